// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/portalgate/portalgate/identity"
	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/assertion"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/seal"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/store"
)

// shelf is a store that holds what it was given, and a directory.
type shelf struct {
	values  map[string]store.Value
	clients map[string]directory.Client
}

func (s *shelf) Get(_ context.Context, key string) (store.Value, error) {
	v, ok := s.values[key]
	if !ok {
		return v, store.ErrNotFound
	}
	return v, nil
}

func (s *shelf) Update(_ context.Context, key string, f func(time.Time, store.Value) (store.Value, error)) error {
	v, err := f(time.Now(), s.values[key])
	if err == nil {
		s.values[key] = v
	}
	return err
}

func (s *shelf) Allow(context.Context, []limit.Ask) (limit.Decision, error) {
	return limit.Decision{}, errors.New("nothing is limited here")
}

func (s *shelf) Forget(context.Context, ...string) error { return store.ErrUnknown }

func (s *shelf) ByID(_ context.Context, id string) (directory.Client, error) {
	return s.clients[id], nil
}

func (s *shelf) ByAddress(context.Context, address.Address) (directory.Client, error) {
	return directory.Client{}, directory.ErrNotFound
}

// A live session takes at most 2 KB of the process's memory: its client's
// record, who that was found to be, and the assertion that was signed for it.
func TestMemoryPerSession(t *testing.T) {
	n := 20_000
	if proof() {
		n = 100_000
	}
	sh := &shelf{map[string]store.Value{}, map[string]directory.Client{}}
	root, err := seal.New([]byte("0123456789abcdef0123456789abcdef"), "main")
	if err != nil {
		t.Fatal(err)
	}
	lt := access.Lifetimes{Idle: 30 * time.Minute, Absolute: 12 * time.Hour, SharedIdle: 10 * time.Minute, SharedAbsolute: time.Hour}
	cookies := make([]string, n)
	filling := session.New(sh, root, time.Now, time.Time{})
	for i := range n {
		id, email := fmt.Sprintf("c-%06d", i), fmt.Sprintf("client.%06d@example.com", i)
		a, err := address.Parse(email)
		if err != nil {
			t.Fatal(err)
		}
		sh.clients[id] = directory.Client{ID: id, Email: email, Name: fmt.Sprintf("Some Body %d", i), Access: true, EmailOK: true}
		secret, link := randomBytes(session.SecretSize), access.HashOf(randomBytes(32))
		cookies[i] = session.Token(filling.Tag(id), secret)
		err = filling.Update(t.Context(), filling.Tag(id), func(now time.Time, r *access.Record) error {
			r.Bind(now, id, filling.Address(a))
			r.AddLink(now, access.Link{Hash: link, Made: now.Unix(), Expires: now.Unix() + 86400})
			r.Redeem(now, access.Redemption{
				Link: link, Nonce: access.HashOf(randomBytes(32)), Session: access.HashOf(secret), Method: "magic_link",
				Kind: "Firefox on Windows", Browser: access.HashOf(randomBytes(16)), Lifetimes: lt,
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	filling = nil
	ring, err := assertion.Open(t.Context(), sh)
	if err != nil {
		t.Fatal(err)
	}
	records := session.New(sh, root, time.Now, time.Time{})
	before := heap()
	now := time.Now() // stands, so that all of them are kept
	for _, cookie := range cookies {
		who, err := records.Who(t.Context(), cookie, sh, lt)
		if err != nil || !who.SignedIn() {
			t.Fatalf("%v, %v", who, err)
		}
		_, err = ring.For(identity.Claims{
			Issuer: "https://portal.example.com", Audience: "portal", Subject: who.Client.ID, Email: who.Client.Email,
			Name: who.Client.Name, Session: who.SID, AMR: who.AMR, AuthTime: time.Unix(who.Session.Made, 0),
		}, now)
		if err != nil {
			t.Fatal(err)
		}
	}
	each := (heap() - before) / uint64(n)
	t.Logf("proof: %d bytes per live session, of %d", each, n)
	if each > 2048 {
		t.Errorf("%d bytes per live session, want 2048 at most", each)
	}
	if got := records.Live(lt); got != n {
		t.Errorf("%d live, want %d: some are not kept", got, n)
	}
	runtime.KeepAlive(ring)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
