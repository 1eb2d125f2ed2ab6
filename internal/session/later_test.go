// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/store"
)

// used is when a session was last used, by its record in the store.
func (w *world) used(cookie string) int64 {
	w.t.Helper()
	w.restart(time.Time{})
	return w.visitor(cookie).Session.Used
}

// A busy client costs one write a minute, and no request waits for it.
func TestActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cookie, _ := w.signIn(1, false)
		writes := w.db.writes.Load()
		w.advance(grain - time.Second)
		w.Active(w.visitor(cookie), lifetimes)
		if len(w.later) != 0 {
			t.Error("activity is noted within the first minute")
		}
		w.advance(time.Second)
		stale := w.visitor(cookie)
		for range 50 {
			w.Active(stale, lifetimes)
		}
		if len(w.later) != 1 || w.db.writes.Load() != writes {
			t.Errorf("%d jobs and %d writes before the background has worked", len(w.later), w.db.writes.Load()-writes)
		}
		w.work()
		// A request that was slow, and still has what it knew at its beginning.
		w.advance(time.Second)
		w.Active(stale, lifetimes)
		w.work()
		if got := w.db.writes.Load() - writes; got != 1 {
			t.Errorf("%d writes in a minute", got)
		}
		if v := w.visitor(cookie); v.Session.Used != w.clock().Unix()-1 {
			t.Error("activity is not seen at once")
		}
		for range 60 {
			w.advance(time.Second)
			w.Active(w.visitor(cookie), lifetimes)
			w.work()
		}
		if got := w.db.writes.Load() - writes; got != 2 {
			t.Errorf("%d writes in two minutes of a request a second", got)
		}
		if got, want := w.used(cookie), w.clock().Unix()-1; got != want {
			t.Errorf("last used at %d, want %d", got, want)
		}
	})
}

// Two sessions of one client are noted each for itself.
func TestActiveInTwoBrowsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		one, _ := w.signIn(1, false)
		two, _ := w.signIn(2, false)
		w.advance(2 * grain)
		w.Active(w.visitor(one), lifetimes)
		w.Active(w.visitor(two), lifetimes)
		w.work()
		if w.used(one) != w.clock().Unix() || w.used(two) != w.clock().Unix() {
			t.Error("the activity in one session hid that in another")
		}
	})
}

// The request was let in, and before its activity is written down the session
// ends, its time runs out, or its record goes. It stays so.
func TestActiveNeverRevives(t *testing.T) {
	for _, tc := range []struct {
		name  string
		since func(w *world, h access.Hash)
		want  access.End
	}{
		{"signed out", func(w *world, h access.Hash) {
			w.change(w.Tag(ada), func(now time.Time, r *access.Record) { r.EndSession(now, h, access.BySignOut) })
		}, access.BySignOut},
		{"signed out everywhere", func(w *world, _ access.Hash) {
			w.change(w.Tag(ada), func(now time.Time, r *access.Record) { r.EndAll(now, "") })
		}, access.ByElsewhere},
		{"withdrawn", func(w *world, _ access.Hash) { w.Settle(ada, "") }, access.ByPractice},
		{"idle", func(w *world, _ access.Hash) { w.advance(time.Minute) }, access.ByIdle},
		{"record gone", func(w *world, _ access.Hash) {
			clear(w.db.values)
			w.restart(time.Time{})
		}, "gone"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				cookie, h := w.signIn(1, false)
				w.advance(29 * time.Minute)
				v := w.visitor(cookie)
				tc.since(w, h)
				writes := w.db.writes.Load()
				w.Active(v, lifetimes)
				w.work()
				w.restart(time.Time{})
				got, err := w.Who(t.Context(), cookie, w.dir, lifetimes)
				switch {
				case err != nil:
					t.Fatal(err)
				case tc.want == "gone":
					if got != nil || len(w.db.values) != 0 {
						t.Error("activity made a record")
					}
				case got.Over != tc.want:
					t.Errorf("over by %q, want %q", got.Over, tc.want)
				}
				if n := w.db.writes.Load() - writes; n != 0 && tc.name != "withdrawn" {
					t.Errorf("%d writes for nothing", n)
				}
			})
		})
	}
}

// Requests never wait for the background: what has no room is dropped, and
// comes again with the next request.
func TestQueueOfJobsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cookie, _ := w.signIn(1, false)
		delete(w.dir.byID, ada)
		for i := range cap(w.later) {
			w.Settle(fmt.Sprint("c-", i), "")
		}
		w.visitor(cookie) // a blocked request would end the test as a deadlock
		if len(w.later) != cap(w.later) || len(w.pending) != cap(w.later) {
			t.Errorf("%d jobs, %d names", len(w.later), len(w.pending))
		}
		w.work()
		if len(w.later) != 0 || len(w.pending) != 0 {
			t.Errorf("after the work %d jobs and %d names are left", len(w.later), len(w.pending))
		}
		if v := w.visitor(cookie); v.Session.Ended != 0 {
			t.Error("a job that was dropped was done")
		}
		w.work()
		if v := w.visitor(cookie); v.Session.Ended == 0 {
			t.Error("a job that was dropped does not come again")
		}
	})
}

// A job that fails is tried again by the next request, not kept.
func TestFailedJobComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cookie, _ := w.signIn(1, false)
		w.advance(2 * grain)
		w.db.down.Store(true)
		v := w.visitor(cookie)
		w.Active(v, lifetimes)
		w.work()
		if len(w.later) != 0 || len(w.pending) != 0 {
			t.Errorf("%d jobs and %d names are left", len(w.later), len(w.pending))
		}
		w.db.down.Store(false)
		w.Active(v, lifetimes)
		w.work()
		if w.used(cookie) != w.clock().Unix() {
			t.Error("a job that failed once is never done")
		}
	})
}

// A job that is under way does not swallow one that comes meanwhile: what it
// is about may have changed after it looked.
func TestJobWhileTheSameIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.signIn(1, false)
		reached, release := make(chan struct{}), make(chan struct{})
		w.db.written = func() {
			w.db.written = nil
			close(reached)
			<-release
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go w.Run(ctx)
		job := func() {
			w.Records.change("the same", w.Tag(ada), func(_ time.Time, r *access.Record) error { r.WrongCodes++; return nil })
		}
		job()
		<-reached
		job()
		close(release)
		synctest.Wait()
		if r, err := w.Get(t.Context(), w.Tag(ada)); err != nil || r.WrongCodes != 2 {
			t.Errorf("a job was lost: %+v, %v", r, err)
		}
		if len(w.later) != 0 || len(w.pending) != 0 {
			t.Errorf("%d jobs and %d names are left", len(w.later), len(w.pending))
		}
	})
}

// A write that waits for replicas holds up neither the activity of others nor
// what has to be closed.
func TestSlowWriteHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Share()
		cookie, h := w.signIn(1, false)
		v := w.visitor(cookie)
		stream, s := w.Follow(t.Context(), v, true)
		defer s.Close()
		bob := w.Tag("c-bob")
		w.change(bob, count)
		w.change(w.Tag(ada), func(now time.Time, r *access.Record) { r.EndSession(now, h, access.BySignOut) })
		w.streams.sh = [shards]streamShard{} // nobody has told it yet
		stream, s = w.Follow(t.Context(), v, true)
		defer s.Close()
		hold := make(chan struct{})
		w.db.written = func() { <-hold }
		ctx, cancel := context.WithCancel(t.Context())
		go w.Run(ctx)
		begun := time.Now()
		for i := range hands - 1 {
			w.Records.change(fmt.Sprint(i), w.Tag(fmt.Sprint("c-slow", i)), func(now time.Time, r *access.Record) error { return nil })
		}
		synctest.Wait()
		w.Changed(key(w.Tag(ada)), w.dir, lifetimes)
		synctest.Wait()
		if stream.Err() == nil {
			t.Error("a stream stays open behind writes that wait")
		}
		done := false
		w.soon(w.later, job{"another", func(context.Context) { done = true }})
		synctest.Wait()
		if !done || time.Since(begun) > 0 {
			t.Error("another's activity waits")
		}
		close(hold)
		cancel()
		synctest.Wait()
	})
}

// A browser goes away while others are at its client's record: its request ends,
// and does not wait until a slow store has answered them.
func TestTurnIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.signIn(1, false)
		tag := w.Tag(ada)
		hold := make(chan struct{})
		w.db.written = func() { <-hold }
		slow := make(chan error)
		go func() {
			slow <- w.Update(t.Context(), tag, func(_ time.Time, r *access.Record) error { r.WrongCodes++; return nil })
		}()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			left <- w.Update(ctx, tag, func(time.Time, *access.Record) error { t.Error("it was tried all the same"); return store.ErrUnchanged })
		}()
		synctest.Wait()
		cancel()
		if err := <-left; !errors.Is(err, store.ErrUnknown) || !errors.Is(err, context.Canceled) {
			t.Errorf("Update = %v, want that nobody knows", err)
		}
		close(hold)
		if err := <-slow; err != nil {
			t.Error(err)
		}
	})
}

// Run ends with its context, working or not. That nothing of it is left is
// seen by TestMain.
func TestRunStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.signIn(1, false)
		done := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		reached, release := make(chan struct{}), make(chan struct{})
		w.db.written = func() { close(reached); <-release }
		go func() { w.Run(ctx); close(done) }()
		w.Settle(ada, "")
		<-reached
		cancel()
		synctest.Wait()
		select {
		case <-done:
			t.Error("Run ended while its work went on: the store would be closed under it")
		default:
		}
		close(release)
		<-done
		w.Run(ctx) // one that begins too late ends as well
	})
}
