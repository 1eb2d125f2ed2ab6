// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/bolt"
	"github.com/portalgate/portalgate/internal/store/redis"
)

// sink takes every mail at once.
type sink struct{ n atomic.Int64 }

func (s *sink) Send(context.Context, mail.Message) (string, error) {
	s.n.Add(1)
	return "taken", nil
}

// TestQueueThroughput puts mails for a thousand clients in the queue of one gate
// while it sends them, and measures how many a second go through, from before
// the first was put in until the last was sent, and what that leaves in memory.
// What is remembered of a client is full after twenty mails, so memory is looked
// at from there on. The embedded store is on the disk.
func TestQueueThroughput(t *testing.T) {
	mails, clients := 200, 100 // too few for the second to be of use
	if proof() {
		mails, clients = 20_000, 1000
	}
	var list strings.Builder
	list.WriteString("id,email,name,portal_access,email_ok\n")
	for i := range clients {
		fmt.Fprintf(&list, "m-%d,m%d@example.com,Many %d,yes,yes\n", i, i, i)
	}
	for name, open := range map[string]func(*testing.T, func() time.Time) (store.Backend, error){
		"embedded": func(t *testing.T, now func() time.Time) (store.Backend, error) {
			return bolt.Open(filepath.Join(t.TempDir(), "gate.db"), bolt.Options{Now: now, QueueSize: 100_000})
		},
		"redis": func(t *testing.T, _ func() time.Time) (store.Backend, error) {
			return redis.Open(redis.Options{URL: redistest.Standalone(t).URL(), Prefix: "main"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, w := new(sink), &world{clock: &clock{}}
			w.clock.t.Store(time.Now().UnixNano())
			w.store = func() (store.Backend, error) { return open(t, w.clock.now) }
			w.begin(t, list.String(), wide, sender(s))
			e := w.rt.eng.Load()
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			through := func(n int) {
				w.clock.t.Store(time.Now().UnixNano()) // no link is older than what was forgotten
				now := w.clock.now()
				want := s.n.Load() + int64(n)
				var putting sync.WaitGroup
				for from := range 4 {
					putting.Go(func() {
						for i := from; i < n; i += 4 {
							to, err := address.Parse(fmt.Sprintf("m%d@example.com", i%clients))
							if err == nil {
								_, err = e.queue(t.Context(), now, to, order{life: 24 * time.Hour, back: "/"})
							}
							if err != nil {
								t.Error(err)
								return
							}
						}
					})
				}
				putting.Wait()
				for late := time.Now().Add(5 * time.Minute); s.n.Load() < want; <-tick.C {
					if t.Failed() || time.Now().After(late) {
						t.Fatalf("%d mails were sent, want %d", s.n.Load(), want)
					}
				}
			}
			used := func() int64 {
				w.logs.reset() // the log of a test stays in memory
				return int64(heap())
			}
			through(mails / 2)
			through(mails / 2)
			before := used()
			begun := time.Now()
			through(mails / 2)
			through(mails / 2)
			rate := float64(mails) / time.Since(begun).Seconds()
			grown := used() - before
			if proof() && rate < 200 { // with the race detector, beside other tests, it says nothing
				t.Errorf("%.0f mails a second, want at least 200", rate)
			}
			if most := int64(1 << 20); proof() && grown > most {
				t.Errorf("the heap grew by %d bytes over %d mails", grown, mails)
			}
			if n := s.n.Load(); n != int64(2*mails) {
				t.Errorf("%d mails were sent, want %d", n, 2*mails)
			}
			t.Logf("proof: %s: %.0f mails a second put in and sent by one gate; after %d mails, %d more change the heap by %d KB", name, rate, mails, mails, grown>>10)
		})
	}
}
