// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/store"
)

func (w *world) follow(cookie string, long bool) (context.Context, *Stream) {
	w.t.Helper()
	return w.Follow(context.Background(), w.visitor(cookie), long)
}

func over(ctx context.Context) bool { return ctx.Err() != nil }

// An ended session ends what is under way in it, at once and nothing else.
func TestH10_EndedSessionEndsItsStreams(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(r *access.Record, now time.Time, first access.Hash)
		both bool
	}{
		{"signed out", func(r *access.Record, now time.Time, h access.Hash) { r.EndSession(now, h, access.BySignOut) }, false},
		{"stopped by mail", func(r *access.Record, now time.Time, h access.Hash) { r.Expel(now, access.Stranger{Session: h}) }, false},
		{"everywhere", func(r *access.Record, now time.Time, _ access.Hash) { r.EndAll(now, "") }, true},
		{"address changed", func(r *access.Record, now time.Time, _ access.Hash) { r.Bind(now, ada, "another") }, true},
		{"crowded out of the record", func(r *access.Record, _ time.Time, _ access.Hash) { r.Sessions = r.Sessions[1:] }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			c1, h1 := w.signIn(1, false)
			c2, _ := w.signIn(2, false)
			a, sa := w.follow(c1, true)
			b, sb := w.follow(c1, false)
			c, sc := w.follow(c2, true)
			w.change(w.Tag(ada), func(now time.Time, r *access.Record) { tc.end(r, now, h1) })
			if !over(a) || !over(b) {
				t.Error("a stream goes on after its session's end")
			}
			if over(c) != tc.both {
				t.Errorf("the other session's stream is over: %t, want %t", over(c), tc.both)
			}
			want := 2
			if tc.both {
				want = 3
			}
			if open, ended := w.Streams(); open != 2 || ended != want {
				t.Errorf("%d open and %d ended, want 2 and %d", open, ended, want)
			}
			w.change(w.Tag(ada), func(now time.Time, r *access.Record) { r.WrongCodes++ }) // counts nothing twice
			for _, s := range []*Stream{sb, sa, sc} {
				s.Close()
			}
			if open, ended := w.Streams(); open != 0 || ended != want || len(w.streams.sessions("")) != 0 {
				t.Errorf("%d open, %d ended, %d left after closing", open, ended, len(w.streams.sessions("")))
			}
		})
	}
}

// Time and the list of clients end streams too, by the sweep; what nobody can
// tell does not.
func TestSweep(t *testing.T) {
	for _, tc := range []struct {
		name string
		now  func(w *world)
		over bool
	}{
		{"nothing happened", func(*world) {}, false},
		{"a second before idle time", func(w *world) { w.advance(30*time.Minute - time.Second) }, false},
		{"idle", func(w *world) { w.advance(30 * time.Minute) }, true},
		{"absolute", func(w *world) { w.advance(12 * time.Hour) }, true},
		{"off the list", func(w *world) { delete(w.dir.byID, ada) }, true},
		{"access off", func(w *world) {
			c := w.dir.byID[ada]
			c.Access = false
			w.dir.byID[ada] = c
		}, true},
		{"another name", func(w *world) {
			c := w.dir.byID[ada]
			c.Name = "Ada King"
			w.dir.byID[ada] = c
		}, false},
		{"the directory does not answer", func(w *world) { w.dir.err = errors.New("down") }, false},
		{"the store does not answer", func(w *world) {
			w.db.down.Store(true)
			w.cache.drop(w.Tag(ada))
		}, false},
		{"the record is gone", func(w *world) {
			delete(w.db.values, key(w.Tag(ada)))
			w.cache.drop(w.Tag(ada))
		}, true},
		{"ended by a write of which nobody learned", func(w *world) {
			w.db.lose.Store(true)
			err := w.Update(context.Background(), w.Tag(ada), func(now time.Time, r *access.Record) error {
				r.EndAll(now, "")
				return nil
			})
			if !errors.Is(err, store.ErrUnknown) {
				w.t.Fatal(err)
			}
		}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			cookie, _ := w.signIn(1, false)
			ctx, s := w.follow(cookie, true)
			defer s.Close()
			tc.now(w)
			w.Sweep(context.Background(), w.dir, lifetimes)
			if over(ctx) != tc.over {
				t.Errorf("over: %t, want %t", over(ctx), tc.over)
			}
		})
	}
}

// A lifetime shortened by a reload holds for what is open already.
func TestSweepGoesByTheNewestLifetimes(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(1, false)
	ctx, s := w.follow(cookie, true)
	defer s.Close()
	w.advance(2 * time.Minute)
	short := lifetimes
	short.Idle = time.Minute
	w.Sweep(context.Background(), w.dir, short)
	if !over(ctx) {
		t.Error("a stream outlives the idle time that holds now")
	}
}

// The race of H10: a stream is opened in the very moment its session ends. It
// must not slip between the look for streams and the end.
func TestH10_OpenedWhileItEnds(t *testing.T) {
	for range 200 {
		w := newWorld(t)
		cookie, h := w.signIn(1, false)
		v := w.visitor(cookie)
		var wg sync.WaitGroup
		opened := make([]context.Context, 8)
		streams := make([]*Stream, 8)
		for i := range opened {
			wg.Go(func() { opened[i], streams[i] = w.Follow(context.Background(), v, true) })
		}
		wg.Go(func() {
			w.change(w.Tag(ada), func(now time.Time, r *access.Record) { r.EndSession(now, h, access.BySignOut) })
		})
		wg.Wait()
		for i, ctx := range opened {
			if !over(ctx) {
				t.Fatal("a stream slipped through")
			}
			streams[i].Close()
		}
	}
}

// When a gate closes, nobody is left to end a stream with its session. A page
// that is being loaded is given time to arrive.
func TestEndStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cookie, _ := w.signIn(1, false)
		long, s := w.follow(cookie, true)
		defer s.Close()
		page, s := w.follow(cookie, false)
		defer s.Close()
		w.EndStreams(10 * time.Second)
		if !over(long) || over(page) {
			t.Errorf("at once: the stream is over %t, the page %t", over(long), over(page))
		}
		<-page.Done()
	})
}

func TestLive(t *testing.T) {
	w := newWorld(t)
	w.signIn(1, false)
	_, h := w.signIn(2, false)
	w.signIn(3, true)
	if n := w.Live(lifetimes); n != 3 {
		t.Errorf("%d live, want 3", n)
	}
	w.change(w.Tag(ada), func(now time.Time, r *access.Record) { r.EndSession(now, h, access.BySignOut) })
	w.advance(11 * time.Minute) // the end of a shared computer's
	if n := w.Live(lifetimes); n != 1 {
		t.Errorf("%d live, want 1", n)
	}
}
