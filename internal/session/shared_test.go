// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
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

// changed is what a feed says of another gate's change.
func (w *world) changed(tag string) {
	if tag != "" {
		tag = key(tag)
	}
	w.Changed(w.t.Context(), tag, w.dir, lifetimes)
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
	w.Changed(t.Context(), "keys/current", w.dir, lifetimes)
	w.Changed(t.Context(), tag, w.dir, lifetimes) // no key of ours
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

// history is a store's past, which it may go back to in another epoch.
type history map[string]store.Value

func (w *world) remember() history { return maps.Clone(w.db.values) }

// failover puts the store back to what it was.
func (w *world) failover(to history, epoch string) {
	w.db.mu.Lock()
	defer w.db.mu.Unlock()
	w.db.values = maps.Clone(map[string]store.Value(to))
	w.db.epoch = epoch
}

// in reports whether a session is live by its record in the store.
func (w *world) in(h access.Hash) bool {
	w.t.Helper()
	r, err := w.other().Get(w.t.Context(), w.Tag(ada))
	if err != nil {
		w.t.Fatal(err)
	}
	s, ok := r.Session(h)
	return ok && s.Over(w.clock(), lifetimes) == ""
}

// A session was ended, and the store loses that together with its primary. The
// gate that ended it does it again, if it was in the last minute before.
func TestRevokedAgainAfterFailover(t *testing.T) {
	end := func(h access.Hash) func(time.Time, *access.Record) {
		return func(now time.Time, r *access.Record) { r.EndSession(now, h, access.BySignOut) }
	}
	look := func(w *world) { // another client's request
		if err := w.Update(w.t.Context(), w.Tag("c-bob"), func(time.Time, *access.Record) error { return store.ErrUnchanged }); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name   string
		before string                    // the epoch before
		then   func(w *world, h history) // after the session was ended
		lives  bool
	}{
		{"at once", "one", func(w *world, h history) { w.failover(h, "two"); look(w) }, false},
		{"59 s later", "one", func(w *world, h history) {
			w.advance(againLife - time.Second)
			look(w)
			w.failover(h, "two")
			look(w)
		}, false},
		{"a minute later", "one", func(w *world, h history) {
			w.advance(againLife)
			look(w)
			w.failover(h, "two")
			look(w)
		}, true},
		{"at once, and it takes long to promote a replica", "one", func(w *world, h history) {
			w.db.down.Store(true)
			w.advance(5 * time.Minute)
			w.db.down.Store(false)
			w.failover(h, "two")
			look(w)
		}, false},
		{"twice", "one", func(w *world, h history) {
			w.failover(h, "two")
			look(w)
			w.work()
			w.advance(30 * time.Second)
			w.failover(h, "three")
			look(w)
		}, false},
		// A cluster: each shard has its own epoch, and they are met in turn.
		{"two shards", "one", func(w *world, h history) {
			for range 3 {
				w.db.epoch = "of the other shard"
				look(w)
				w.db.epoch = "one"
				look(w)
			}
			w.work()
			w.failover(h, "two")
			look(w)
		}, false},
		{"only the feed tells, by an interruption", "one", func(w *world, h history) {
			w.failover(h, "two")
			w.changed("")
		}, false},
		{"the store cannot be written at first", "one", func(w *world, h history) {
			w.failover(h, "two")
			look(w)
			w.db.down.Store(true)
			w.work()
			w.db.down.Store(false)
		}, false},
		{"nobody visits the gate", "one", func(w *world, h history) { w.failover(h, "two") }, false},
		{"another record cannot be read", "one", func(w *world, h history) {
			bob := w.Tag("c-bob")
			h[key(bob)] = store.Value{Data: []byte(`{"v":99}`)}
			w.again.list = slices.Insert(w.again.list, 0, &revocation{w.clock(), bob, w.again.list[0].what, false})
			w.failover(h, "two")
			w.changed("")
		}, false},
		{"an epoch that cannot be told", "", func(w *world, h history) { w.failover(h, ""); look(w) }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.Share()
				w.db.epoch = tc.before
				_, h := w.signIn(1, false)
				_, stays := w.signIn(2, false)
				past := w.remember()
				w.change(w.Tag(ada), end(h))
				tc.then(w, past)
				w.workFor(2 * time.Second)
				if got := w.in(h); got != tc.lives {
					t.Errorf("the session that was ended lives: %t, want %t", got, tc.lives)
				}
				if !w.in(stays) {
					t.Error("another session was ended with it")
				}
			})
		})
	}
}

// A link that was used is as new in the history that forgot it: nobody uses it
// again, not even before the gate has noticed, and at no gate.
func TestL10_UsedLinkAfterFailover(t *testing.T) {
	w := newWorld(t)
	w.db.epoch = "one"
	tag, link := w.Tag(ada), access.HashOf([]byte("link"))
	w.change(tag, func(now time.Time, r *access.Record) {
		r.Bind(now, ada, w.Address(mustAddress(t, "ada@example.com")))
		r.AddLink(now, access.Link{Hash: link, Made: now.Unix(), Expires: now.Unix() + 60})
	})
	past := w.remember()
	redeem := func(w *world, nonce string) (state access.State) {
		w.change(tag, func(now time.Time, r *access.Record) {
			_, _, state = r.Redeem(now, access.Redemption{
				Link: link, Nonce: access.HashOf([]byte(nonce)), Session: access.HashOf([]byte("session " + nonce)),
				Method: "magic_link", Lifetimes: lifetimes,
			})
		})
		return state
	}
	if got := redeem(w, "first"); got != access.Live {
		t.Fatalf("the link is %s", got)
	}
	w.failover(past, "two")
	if got := redeem(w.other(), "second"); got != access.NewerAsked {
		t.Errorf("the second redemption is %q", got)
	}
	r, err := w.other().Get(t.Context(), tag)
	if err != nil || len(r.Links) != 0 {
		t.Errorf("the link is still there (%v)", err)
	}
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
		fields["v"], fields["pins"] = 2, "what only the newer one knows"
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

// What is remembered for a failover is bounded, and goes by itself.
func TestRevokedMemoryIsBounded(t *testing.T) {
	w := newWorld(t)
	before := &access.Record{Known: []access.Known{{Hash: "browser"}}}
	what := (&access.Record{}).RevokedSince(before)
	for range maxAgain + 10 {
		w.revoked("tag", "one", what)
	}
	if n := len(w.again.list); n != maxAgain {
		t.Errorf("%d are remembered", n)
	}
	w.seen("one") // all of them may be lost: they were made before it was known
	w.again.list = w.again.list[:10]
	for _, v := range w.again.list {
		w.setLost(v, false)
	}
	w.advance(againLife)
	w.revoked("tag", "one", what)
	if n := len(w.again.list); n != 1 {
		t.Errorf("%d are remembered a minute later", n)
	}
	w.revoked("tag", "one", access.Revoked{})
	w.revoked("tag", "", what)
	if n := len(w.again.list); n != 1 {
		t.Errorf("nothing, or what cannot be lost, is remembered: %d", n)
	}
	for i := range 3 * maxEpochs {
		w.seen(time.Duration(i).String())
	}
	if n := len(w.again.epochs); n > maxEpochs {
		t.Errorf("%d epochs", n)
	}
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

// A sign-out was written, its answer lost, and its repetition found nothing to
// do. The failover that follows loses it all the same: it must be made again.
func TestLostAnswerIsRevokedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Share()
		w.db.epoch = "one"
		cookie, h := w.signIn(1, false)
		tag := w.Tag(ada)
		past := w.remember()
		end := func(now time.Time, r *access.Record) error {
			if !r.EndSession(now, h, access.BySignOut) {
				return store.ErrUnchanged
			}
			return nil
		}
		w.db.lose.Store(true)
		if err := w.Update(t.Context(), tag, end); !errors.Is(err, store.ErrUnknown) {
			t.Fatal(err)
		}
		w.db.lose.Store(false)
		if err := w.Update(t.Context(), tag, end); err != nil {
			t.Fatal(err)
		}
		w.failover(past, "two")
		w.changed("")
		w.workFor(3 * time.Second)
		if w.visitor(cookie).SignedIn() {
			t.Error("the session lives again")
		}
	})
}
