// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/seal"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/bolt"
	"github.com/portalgate/portalgate/internal/store/redis"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// box seals as a gate does.
func box(t *testing.T) *seal.Box {
	t.Helper()
	root, err := seal.New([]byte("0123456789abcdef0123456789abcdef"), "main")
	if err != nil {
		t.Fatal(err)
	}
	return root.Box("store")
}

// stores returns, for every store there is, how to get at the same one as
// another process does.
func stores(t *testing.T, do func(t *testing.T, open func() store.Store)) {
	t.Run("bolt", func(t *testing.T) {
		st := onBolt(t, time.Now)
		do(t, func() store.Store { return st })
	})
	t.Run("redis", func(t *testing.T) {
		s := redistest.Standalone(t)
		do(t, func() store.Store {
			b, err := redis.Open(redis.Options{URL: s.URL(), Prefix: "main"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Close() })
			return store.Sealed(b, box(t))
		})
	})
}

func onBolt(t *testing.T, now func() time.Time) store.Store {
	t.Helper()
	b, err := bolt.Open(filepath.Join(t.TempDir(), "store.db"), bolt.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return store.Sealed(b, box(t))
}

// event returns an event that has just happened.
func event(id string) audit.Event {
	return audit.Event{ID: id, At: time.Now(), What: "signed_in", Client: "c-ada", From: "192.0.2.1", Method: "magic_link"}
}

// whole checks that the chain holds, and returns it.
func whole(t *testing.T, c *audit.Chain) (all []audit.Event) {
	t.Helper()
	r, err := audit.Verify(c.Events(t.Context()), "")
	if err != nil {
		t.Fatal(err)
	}
	for ev, err := range c.Events(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ev)
	}
	if n := int64(len(all)); r.Last != n || n > 0 && r.First != 1 {
		t.Fatalf("events %d to %d of %d", r.First, r.Last, n)
	}
	return all
}

// TestSeveralGates: gates that append at once, each some events that another
// appends as well, make one chain: no gap, no fork, nothing twice.
func TestSeveralGates(t *testing.T) {
	const gates, each, shared = 4, 120, 60
	stores(t, func(t *testing.T, open func() store.Store) {
		var working sync.WaitGroup
		for g := range gates {
			c := audit.New(open(), nil)
			working.Go(func() {
				for i := 0; i < each; i += 3 {
					batch := []audit.Event{
						event(fmt.Sprintf("g%d-%d", g, i)), event(fmt.Sprintf("g%d-%d", g, i+1)), event(fmt.Sprintf("g%d-%d", g, i+2)),
						event(fmt.Sprintf("all-%d", rand.IntN(shared))),
					}
					for {
						// Under this much at once a store may say that it cannot
						// tell; the events are then appended again.
						if err := c.Append(t.Context(), batch...); err == nil {
							break
						}
					}
				}
			})
		}
		working.Wait()
		seen := make(map[string]bool)
		for _, ev := range whole(t, audit.New(open(), nil)) {
			if seen[ev.ID] {
				t.Fatalf("%s is there twice", ev.ID)
			}
			seen[ev.ID] = true
		}
		for g := range gates {
			for i := range each {
				if !seen[fmt.Sprintf("g%d-%d", g, i)] {
					t.Fatalf("event %d of gate %d is gone", i, g)
				}
			}
		}
	})
}

// TestAgainLater: an event whose appending was not heard of is appended again
// much later, by another process; it is still one event.
func TestAgainLater(t *testing.T) {
	stores(t, func(t *testing.T, open func() store.Store) {
		first := event("first")
		c := audit.New(open(), nil)
		if err := c.Append(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		for i := range 9 { // several pieces
			var batch []audit.Event
			for k := range 50 {
				batch = append(batch, event(fmt.Sprintf("%d-%d", i, k)))
			}
			if err := c.Append(t.Context(), batch...); err != nil {
				t.Fatal(err)
			}
		}
		if err := audit.New(open(), nil).Append(t.Context(), first, event("last"), first); err != nil {
			t.Fatal(err)
		}
		all := whole(t, c)
		if n := len(all); n != 452 || all[0].ID != "first" || all[n-1].ID != "last" {
			t.Errorf("%d events, from %s to %s", n, all[0].ID, all[n-1].ID)
		}
	})
}

// torn fails every write from some time on, before it or after it was made: what
// a process that is killed leaves behind.
type torn struct {
	store.Store
	left  int
	after bool
}

func (s *torn) Update(ctx context.Context, key string, f func(time.Time, store.Value) (store.Value, error)) error {
	s.left--
	if s.left < 0 || s.left == 0 && !s.after {
		return store.ErrUnknown
	}
	err := s.Store.Update(ctx, key, f)
	if s.left == 0 {
		return store.ErrUnknown
	}
	return err
}

// TestTornAnywhere: wherever a process ends that was appending, the next one goes
// on with a whole chain and has every event once.
func TestTornAnywhere(t *testing.T) {
	for left := 1; left < 12; left++ {
		for _, after := range []bool{false, true} {
			st := onBolt(t, time.Now)
			var events []audit.Event
			for i := range 300 { // three pieces
				events = append(events, event(fmt.Sprint(i)))
			}
			_ = audit.New(&torn{Store: st, left: left, after: after}, nil).Append(t.Context(), events...)
			c := audit.New(st, nil)
			if err := c.Append(t.Context(), events...); err != nil {
				t.Fatal(err)
			}
			if n := len(whole(t, c)); n != 300 {
				t.Errorf("torn at write %d (after it: %t): %d events", left, after, n)
			}
		}
	}
}

// TestStoreLife: the store forgets a piece 90 days after it was closed, and the
// chain goes on where it was, however long nothing happened.
func TestStoreLife(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	st := onBolt(t, func() time.Time { return now })
	at := func(id string) audit.Event { return audit.Event{ID: id, What: "signed_in", At: now} }
	dir := t.TempDir()
	files := audit.NewFiles(dir, audit.UsualKeep)
	c := audit.New(st, files)
	if err := c.Append(t.Context(), at("old")); err != nil {
		t.Fatal(err)
	}
	now = now.Add(25 * time.Hour)
	if err := c.Roll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := files.Follow(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	now = now.Add(audit.StoreLife + time.Hour)
	for ev := range c.Events(t.Context()) {
		t.Errorf("the store still has %s", ev.ID)
	}
	c = audit.New(st, files)
	if err := c.Append(t.Context(), at("new")); err != nil {
		t.Fatal(err)
	}
	if err := files.Follow(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if r, err := audit.Verify(audit.ReadDir(dir), ""); err != nil || r.First != 1 || r.Last != 2 {
		t.Errorf("on disk: %+v, %v", r, err)
	}
	all, next, err := c.List(t.Context(), audit.Filter{})
	if err != nil || next != "" || len(all) != 2 || all[0].ID != "new" || all[1].ID != "old" {
		t.Errorf("List = %v, %q, %v", all, next, err)
	}
}

// TestList: pages in turn are all that the filter picks, the newest first, once.
func TestList(t *testing.T) {
	stores(t, func(t *testing.T, open func() store.Store) {
		c := audit.New(open(), nil)
		var events []audit.Event
		for i := range 400 {
			ev := event(fmt.Sprint(i))
			if i%3 == 0 {
				ev.Client, ev.By = "c-bob", "s-1"
			}
			events = append(events, ev)
		}
		if err := c.Append(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
		for _, tc := range []struct {
			f    audit.Filter
			want int
		}{
			{audit.Filter{}, 400}, {audit.Filter{Client: "c-bob"}, 134}, {audit.Filter{By: "s-1", Limit: 7}, 134},
			{audit.Filter{What: "pin_issued"}, 0}, {audit.Filter{Since: time.Now().Add(time.Hour)}, 0},
			{audit.Filter{Until: time.Now().Add(time.Hour), Limit: 1000}, 400}, {audit.Filter{Limit: 400}, 400}, {audit.Filter{Limit: 200}, 400},
		} {
			n, last := 0, int64(1<<62)
			for {
				found, next, err := c.List(t.Context(), tc.f)
				if err != nil {
					t.Fatal(err)
				}
				for _, ev := range found {
					if n++; ev.Seq >= last {
						t.Fatalf("%+v: %d after %d", tc.f, ev.Seq, last)
					}
					last = ev.Seq
				}
				if tc.f.Cursor = next; next == "" {
					break
				}
			}
			if n != tc.want {
				t.Errorf("%+v: %d events, want %d", tc.f, n, tc.want)
			}
		}
		if _, _, err := c.List(t.Context(), audit.Filter{Cursor: "x"}); err != audit.ErrCursor {
			t.Errorf("a cursor that is none: %v", err)
		}
	})
}

// counting counts what is read of a store.
type counting struct {
	store.Store
	gets int
}

func (c *counting) Get(ctx context.Context, key string) (store.Value, error) {
	c.gets++
	return c.Store.Get(ctx, key)
}

// TestListAfterAnImport: a list of many clients is brought in, with an event of each,
// and staff go on opening clients' pages, for each of which one kind of event is
// looked for. The pieces with none are not read again for it, and what comes later is
// found.
func TestListAfterAnImport(t *testing.T) {
	st := &counting{Store: onBolt(t, time.Now)}
	c := audit.New(st, nil)
	list := func(wants int) int {
		t.Helper()
		before := st.gets
		found, _, err := c.List(t.Context(), audit.Filter{Client: "c-ada", What: "account_refused", Since: time.Now().Add(-time.Hour)})
		if err != nil || len(found) != wants {
			t.Fatalf("List = %+v, %v, want %d", found, err, wants)
		}
		return st.gets - before
	}
	appends := func(what string, n int) {
		t.Helper()
		events := make([]audit.Event, n)
		for i := range events {
			events[i] = event(fmt.Sprint(what, i))
			events[i].What = what
		}
		if err := c.AppendNew(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
	}
	appends("client_add_asked", 400)
	if n := list(0); n > 4 {
		t.Errorf("%d reads right after it", n)
	}
	appends("account_refused", 1)
	list(1)
	appends("client_change_asked", 400)
	c = audit.New(st, nil) // another process, or a restart
	all := list(1)
	if n := list(1); n >= all || n > 5 {
		t.Errorf("%d reads at first and then %d", all, n)
	}
	if n := len(whole(t, c)); n != 801 {
		t.Errorf("%d events in the chain", n)
	}
}
