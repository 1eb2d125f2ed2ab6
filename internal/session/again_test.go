// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/store"
)

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
		{"its shard is away for minutes, the other is not", "one", func(w *world, h history) {
			w.db.epoch = "of the other shard"
			look(w)
			w.db.epoch = "one"
			look(w)
			w.work()
			w.db.epoch = "of the other shard"
			for range 10 {
				w.advance(30 * time.Second)
				look(w)
			}
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
		{"nobody visits the gate, and the last record that was changed is lost whole", "one", func(w *world, h history) {
			w.again.list = append(w.again.list, &revocation{w.clock(), w.Tag("c-new"), "one", w.again.list[0].what, false})
			w.failover(h, "two")
		}, false},
		{"another record cannot be read", "one", func(w *world, h history) {
			bob := w.Tag("c-bob")
			h[key(bob)] = store.Value{Data: []byte(`{"v":99}`)}
			w.again.list = slices.Insert(w.again.list, 0, &revocation{w.clock(), bob, "one", w.again.list[0].what, false})
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

// A record moves to another shard while a sign-out in it is remembered: what
// befalls that shard next must not be missed, and the memory goes by itself.
func TestRevokedInWhatMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Share()
		w.db.epoch = "one"
		_, h := w.signIn(1, false)
		w.change(w.Tag(ada), func(now time.Time, r *access.Record) { r.EndSession(now, h, access.BySignOut) })
		w.db.epoch = "of the other shard"
		w.workFor(3 * time.Second)
		for _, v := range w.again.list {
			if v.epoch != "of the other shard" || v.lost {
				t.Errorf("remembered for the epoch %q, lost %t", v.epoch, v.lost)
			}
		}
		w.advance(2 * againLife)
		w.workFor(3 * time.Second)
		if n := len(w.again.list); n != 0 {
			t.Errorf("%d are remembered minutes later", n)
		}
	})
}

// What is remembered for a failover is bounded, and goes by itself.
func TestRevokedMemoryIsBounded(t *testing.T) {
	w := newWorld(t)
	w.db.down.Store(true)
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
	w.look(t.Context())
	if n := len(w.again.list); n != 10 {
		t.Errorf("%d are remembered of a store that was not seen since", n)
	}
	w.seen("one")
	w.look(t.Context())
	if n := len(w.again.list); n != 0 {
		t.Errorf("%d are remembered a minute later", n)
	}
	w.revoked("tag", "one", what)
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
