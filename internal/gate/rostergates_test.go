// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/redis"
)

// TestStaffActOnEveryGate: what staff do at one gate is so at another at once, for
// the list and for who is in.
func TestStaffActOnEveryGate(t *testing.T) {
	srv := redistest.Standalone(t)
	c := &clock{}
	c.t.Store(time.Now().UnixNano())
	var here, there *world
	for _, w := range []**world{&here, &there} {
		*w = &world{clock: c, store: func() (store.Backend, error) { return redis.Open(redis.Options{URL: srv.URL(), Prefix: "main"}) }}
		(*w).begin(t, sampleClients, wide, pins, func(conf *Config, _ *HandlerOptions) { conf.Clients = (*w).rt.Managed() })
	}
	for name, act := range map[string]func(context.Context, directory.Client) error{
		"sessions ended": func(ctx context.Context, c directory.Client) error { return here.rt.EndSessions(ctx, c.ID, "desk") },
		"access withdrawn": func(ctx context.Context, c directory.Client) error {
			c.Access = false
			_, err := here.rt.ChangeClient(ctx, c, "desk")
			return err
		},
		"another address": func(ctx context.Context, c directory.Client) error {
			c.Email = "other-" + c.Email
			_, err := here.rt.ChangeClient(ctx, c, "desk")
			return err
		},
		"removed": func(ctx context.Context, c directory.Client) error {
			return here.rt.RemoveClient(ctx, c.ID, c.Version, "desk")
		},
	} {
		t.Run(name, func(t *testing.T) {
			on, err := here.rt.AddClient(t.Context(), directory.Client{Email: fmt.Sprintf("c%d@example.com", time.Now().UnixNano()), Access: true, EmailOK: true}, "desk")
			if err != nil {
				t.Fatal(err)
			}
			redistest.Await(t, "the other gate knows the client", func() bool {
				_, err := there.rt.ClientByAddress(t.Context(), on.Email)
				return err == nil
			})
			in := there.signIn(on.Email)
			if !in.signedIn() {
				t.Fatal("not signed in")
			}
			begun := time.Now()
			if err := act(t.Context(), on); err != nil {
				t.Fatal(err)
			}
			redistest.Await(t, "the client is out at the other gate", func() bool { return !in.signedIn() })
			if proof() {
				fmt.Printf("proof: %s at one gate, out at another after %v\n", name, time.Since(begun).Round(time.Millisecond))
			}
		})
	}
}
