// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/store"
)

// other is another gate on the same store.
func (w *world) other() *world {
	o := &world{t: w.t, db: w.db, dir: w.dir}
	o.Records = New(w.db, root(w.t, "main"), w.clock, time.Time{})
	return o
}

// changed is what a feed says of another gate's change, and what comes of it.
func (w *world) changed(tag string) {
	if tag != "" {
		tag = key(tag)
	}
	w.Changed(tag, w.dir, lifetimes)
	for len(w.looks) > 0 {
		j := <-w.looks
		delete(w.pending, j.name)
		j.do(w.t.Context())
	}
}

// What no feed tells is over after five seconds: a session that another gate has
// ended, and one that it has opened.
func TestSharedCopiesLive5s(t *testing.T) {
	w := newWorld(t)
	w.Share()
	cookie, h := w.signIn(1, false)
	w.visitor(cookie)
	o := w.other()
	o.change(w.Tag(ada), func(now time.Time, r *access.Record) { r.EndSession(now, h, access.BySignOut) })
	begun := w.db.gets.Load()
	for _, tc := range []struct {
		after time.Duration
		want  access.End
		reads int64
	}{
		{0, "", 0}, {sharedLife - 1, "", 0}, {1, access.BySignOut, 1}, {0, access.BySignOut, 1},
		{sharedLife, access.BySignOut, 2}, {-time.Hour, access.BySignOut, 3}, // the clock is set back
	} {
		w.at.Add(int64(tc.after))
		if v := w.visitor(cookie); v.Over != tc.want {
			t.Errorf("after %v: over by %q, want %q", tc.after, v.Over, tc.want)
		}
		if got := w.db.gets.Load() - begun; got != tc.reads {
			t.Errorf("after %v: %d reads, want %d", tc.after, got, tc.reads)
		}
	}
	// A copy is as old as its read, however often it is used.
	w.restart(time.Time{})
	w.Share()
	begun = w.db.gets.Load()
	for range 100 {
		w.visitor(cookie)
		w.advance(sharedLife / 10)
	}
	if got := w.db.gets.Load() - begun; got != 10 {
		t.Errorf("%d reads in 50 s of requests", got)
	}
}

// A store that is down signs nobody out, and lets nobody in by an old copy.
func TestSharedStoreDown(t *testing.T) {
	w := newWorld(t)
	w.Share()
	cookie, _ := w.signIn(1, false)
	w.db.down.Store(true)
	w.advance(sharedLife - 1)
	w.visitor(cookie)
	w.advance(1)
	if v, err := w.Who(t.Context(), cookie, w.dir, lifetimes); v != nil || !errors.Is(err, store.ErrUnknown) {
		t.Errorf("Who = %v, %v, want that nobody knows", v, err)
	}
	w.db.down.Store(false)
	w.visitor(cookie)
}

// Another gate changed a record: its copy is dropped, and no other.
func TestChanged(t *testing.T) {
	w := newWorld(t)
	w.Share()
	tag, bob := w.Tag(ada), w.Tag("c-bob")
	w.change(tag, count)
	w.change(bob, count)
	o := w.other()
	for _, tc := range []struct {
		name, tag string
		ada, bob  int
	}{
		{"ada's", tag, 2, 1}, {"bob's", bob, 2, 3}, {"some were missed", "", 4, 4},
	} {
		o.change(tag, count)
		o.change(bob, count)
		w.changed(tc.tag)
		if a, b := w.counted(tag), w.counted(bob); a != tc.ada || b != tc.bob {
			t.Errorf("%s: %d and %d, want %d and %d", tc.name, a, b, tc.ada, tc.bob)
		}
	}
	w.Changed("keys/current", w.dir, lifetimes)
	for _, strange := range []string{tag, key(""), key("x"), key(tag + "x"), "access"} { // no keys of ours; whoever can write to the store can say anything
		w.Changed(strange, w.dir, lifetimes)
	}
	before := w.db.gets.Load()
	if w.counted(tag) != 4 || w.db.gets.Load() != before {
		t.Error("a change of something else drops a copy")
	}
}

// What is open in a session that another gate has ended is closed as soon as the
// feed says so, and nothing else is; nor if nobody can tell.
func TestChangedClosesStreams(t *testing.T) {
	for _, tc := range []struct {
		name   string
		missed bool // the feed only says that something changed
		down   bool
		closed bool
	}{{"told", false, false, true}, {"missed", true, false, true}, {"told, store down", false, true, false}, {"missed, store down", true, true, false}} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.Share()
			tag := w.Tag(ada)
			one, h := w.signIn(1, false)
			two, _ := w.signIn(2, false)
			ended, s1 := w.Follow(t.Context(), w.visitor(one), true)
			defer s1.Close()
			stays, s2 := w.Follow(t.Context(), w.visitor(two), true)
			defer s2.Close()
			w.changed(tag)
			if ended.Err() != nil {
				t.Fatal("a change that ends nothing closes a stream")
			}
			w.other().change(tag, func(now time.Time, r *access.Record) { r.EndSession(now, h, access.BySignOut) })
			if tc.missed {
				tag = ""
			}
			w.db.down.Store(tc.down)
			w.changed(tag)
			if got := ended.Err() != nil; got != tc.closed {
				t.Errorf("the stream is closed: %t, want %t", got, tc.closed)
			}
			if stays.Err() != nil {
				t.Error("a stream in another session was closed with it")
			}
			w.db.down.Store(false)
			w.Sweep(t.Context(), w.dir, lifetimes)
			if ended.Err() == nil || stays.Err() != nil {
				t.Error("the sweep does not come after")
			}
		})
	}
}

// The feed tells of one change after the other. A store that hangs while the
// gate looks what has to be closed for one of them must not keep it from hearing
// of the next, and of many open sessions one is not looked at after the other.
func TestChangedWaitsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Share()
		const clients = 2 * atOnce
		tags := make(map[string]bool)
		for i := range clients {
			id := fmt.Sprint("c-", i)
			tags[w.Tag(id)] = true
			_, s := w.Follow(t.Context(), &Visitor{Tag: w.Tag(id), Session: &access.Session{Hash: access.HashOf([]byte(id))}}, true)
			defer s.Close()
		}
		ctx, cancel := context.WithCancel(t.Context())
		w.db.read = func() { <-time.After(time.Second) }
		go w.Run(ctx)
		begun := time.Now()
		for tag := range tags {
			w.Changed(key(tag), w.dir, lifetimes)
		}
		w.Changed("", w.dir, lifetimes)
		if took := time.Since(begun); took > 0 {
			t.Errorf("the feed waits %v", took)
		}
		w.Sweep(ctx, w.dir, lifetimes)
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("a sweep of %d sessions takes %v, at two reads of a second for each", clients, took)
		}
		cancel()
		synctest.Wait()
		<-time.After(time.Minute)
	})
}

// Two releases share a store, and the newer one has changed a record. The older
// leaves it to the byte, whatever comes: activity, a sign-out, a client who is
// not on file any more, a failover. It reads it, and takes nobody for signed out.
func TestNewerRecordIsLeftAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Share()
		w.db.epoch = "one"
		cookie, h := w.signIn(1, false)
		tag := w.Tag(ada)
		end := func(now time.Time, r *access.Record) error { r.EndSession(now, h, access.BySignOut); return nil }
		seen := w.visitor(cookie)
		open, s := w.Follow(t.Context(), seen, true)
		defer s.Close()
		w.change(tag, func(now time.Time, r *access.Record) { r.StopLink(now, "a link") })

		var fields map[string]any
		if err := json.Unmarshal(w.db.values[key(tag)].Data, &fields); err != nil {
			t.Fatal(err)
		}
		fields["v"], fields["later"] = 4, "what only the newer one knows"
		newer, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		w.db.values[key(tag)] = store.Value{Data: newer}
		w.changed(tag)
		if v, err := w.Who(t.Context(), cookie, w.dir, lifetimes); err != nil || !v.SignedIn() {
			t.Errorf("an older gate takes the client for %v (%v)", v, err)
		}
		w.advance(2 * grain)
		w.Active(seen, lifetimes)
		w.Settle(ada, "")
		if err := w.Update(t.Context(), tag, end); !errors.Is(err, store.ErrUnknown) || !errors.Is(err, access.ErrNewer) {
			t.Errorf("Update = %v", err)
		}
		w.failover(w.remember(), "two")
		w.changed("")
		w.Sweep(t.Context(), w.dir, lifetimes)
		w.workFor(3 * time.Second)
		if got := string(w.db.values[key(tag)].Data); got != string(newer) {
			t.Errorf("the newer record is now %s", got)
		}
		if open.Err() != nil {
			t.Error("a stream was closed")
		}
	})
}

// Another gate ends a session while the answer to a change of this gate's is on
// its way. What this gate wrote is then the older: it must not be kept.
func TestLateAnswerIsNotKept(t *testing.T) {
	w := newWorld(t)
	w.Share()
	cookie, h := w.signIn(1, false)
	tag := w.Tag(ada)
	w.db.written = func() {
		w.db.written = nil
		w.other().change(tag, func(now time.Time, r *access.Record) { r.EndSession(now, h, access.BySignOut) })
		w.changed(tag)
	}
	w.change(tag, func(_ time.Time, r *access.Record) { r.WrongCodes++ })
	if w.visitor(cookie).SignedIn() {
		t.Error("a session that has ended elsewhere goes on from an older copy")
	}
}

// Of two reads on their way, the older may be the later to be kept, and then
// knows nothing of a session that another gate has just opened. What has begun
// in that session must not be cut for it.
func TestOlderCopyCutsNothing(t *testing.T) {
	w := newWorld(t)
	w.Share()
	older, _ := w.entry(t.Context(), w.Tag(ada)) // before the sign-in
	cookie, h := w.other().signIn(1, false)
	w.changed(w.Tag(ada))
	v := w.visitor(cookie)
	_, gen := w.cache.get(w.Tag(ada))
	w.cache.fill(w.Tag(ada), older.rec, gen, w.clock())
	ctx, s := w.Follow(t.Context(), v, true)
	defer s.Close()
	if ctx.Err() != nil {
		t.Error("cut by a copy that does not know the session")
	}
	w.Sweep(t.Context(), w.dir, lifetimes)
	if ctx.Err() != nil {
		t.Error("cut once the sweep has come by")
	}
	// One that says it has ended is believed.
	w.other().change(w.Tag(ada), func(now time.Time, r *access.Record) { r.EndSession(now, h, access.BySignOut) })
	w.cache.drop(w.Tag(ada))
	if _, err := w.Get(t.Context(), w.Tag(ada)); err != nil {
		t.Fatal(err)
	}
	late, s2 := w.Follow(t.Context(), v, true)
	defer s2.Close()
	if late.Err() == nil {
		t.Error("a stream is opened in a session that has ended")
	}
}
