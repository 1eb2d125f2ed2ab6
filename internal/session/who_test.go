// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/store"
)

// Who has three answers, and only one of them lets anybody in.
func TestWho(t *testing.T) {
	on := func(change func(c *directory.Client)) func(*world, access.Hash) {
		return func(w *world, _ access.Hash) {
			c := w.dir.byID[ada]
			change(&c)
			w.dir.byID[ada] = c
		}
	}
	record := func(f func(now time.Time, r *access.Record, h access.Hash)) func(*world, access.Hash) {
		return func(w *world, h access.Hash) {
			w.change(w.Tag(ada), func(now time.Time, r *access.Record) { f(now, r, h) })
		}
	}
	for _, tc := range []struct {
		name   string
		shared bool
		now    func(w *world, h access.Hash) // what happened since
		want   access.End
	}{
		{name: "just signed in"},
		{name: "a second before idle time", now: func(w *world, _ access.Hash) { w.advance(30*time.Minute - time.Second) }},
		{name: "idle", now: func(w *world, _ access.Hash) { w.advance(30 * time.Minute) }, want: access.ByIdle},
		{name: "shared, a second before idle time", shared: true, now: func(w *world, _ access.Hash) { w.advance(10*time.Minute - time.Second) }},
		{name: "shared, idle", shared: true, now: func(w *world, _ access.Hash) { w.advance(10 * time.Minute) }, want: access.ByIdle},
		{name: "a second before the last", now: func(w *world, h access.Hash) { w.busy(h, 12*time.Hour-time.Second) }},
		{name: "absolute", now: func(w *world, h access.Hash) { w.busy(h, 12*time.Hour) }, want: access.ByAge},
		{name: "shared, absolute", shared: true, now: func(w *world, h access.Hash) { w.busy(h, time.Hour) }, want: access.ByAge},
		{name: "signed out", want: access.BySignOut, now: record(func(now time.Time, r *access.Record, h access.Hash) {
			r.EndSession(now, h, access.BySignOut)
		})},
		{name: "signed out elsewhere", want: access.ByElsewhere, now: record(func(now time.Time, r *access.Record, _ access.Hash) {
			r.EndAll(now, "another session")
		})},
		{name: "ended by the practice", want: access.ByPractice, now: record(func(now time.Time, r *access.Record, h access.Hash) {
			r.EndSession(now, h, access.ByPractice)
		})},
		{name: "ended without a reason", want: access.ByElsewhere, now: record(func(now time.Time, r *access.Record, _ access.Hash) {
			r.Sessions[0].Ended, r.Sessions[0].Why = now.Unix(), ""
		})},
		{name: "off the list", now: func(w *world, _ access.Hash) { delete(w.dir.byID, ada) }, want: access.ByPractice},
		{name: "access off", now: on(func(c *directory.Client) { c.Access = false }), want: access.ByPractice},
		{name: "address changed", now: on(func(c *directory.Client) { c.Email = "ada.new@example.com" }), want: access.ByPractice},
		{name: "address no address", now: on(func(c *directory.Client) { c.Email = "ada" }), want: access.ByPractice},
		{name: "address gone", now: on(func(c *directory.Client) { c.Email = "" }), want: access.ByPractice},
		{name: "address in upper case", now: on(func(c *directory.Client) { c.Email = "ADA@Example.com" })},
		{name: "no consent to mail", now: on(func(c *directory.Client) { c.EmailOK = false })},
		{name: "record of another client", want: access.ByPractice, now: record(func(_ time.Time, r *access.Record, _ access.Hash) {
			r.Client = "c-bob"
		})},
		{name: "record of no client", want: access.ByPractice, now: record(func(_ time.Time, r *access.Record, _ access.Hash) {
			r.Client, r.Address = "", ""
		})},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			cookie, h := w.signIn(1, tc.shared)
			if tc.now != nil {
				tc.now(w, h)
			}
			for _, where := range []string{"from memory", "read again"} {
				v := w.visitor(cookie)
				if v.Over != tc.want || v.SignedIn() != (tc.want == "") {
					t.Errorf("%s: over by %q, want %q", where, v.Over, tc.want)
				}
				if v.Tag != w.Tag(ada) || v.Session.Hash != h {
					t.Errorf("%s: the session is another's", where)
				}
				// Whoever is not signed in has no identity that could be passed on.
				if want := w.dir.byID[ada]; v.SignedIn() && v.Client != want || !v.SignedIn() && v.Client != (directory.Client{}) {
					t.Errorf("%s: the client is %q", where, v.Client.ID)
				}
				w.restart(time.Time{})
			}
		})
	}
}

// busy is a session used every five minutes, for d.
func (w *world) busy(h access.Hash, d time.Duration) {
	w.t.Helper()
	for ; d > 0; d -= 5 * time.Minute {
		w.advance(min(d, 5*time.Minute))
		w.change(w.Tag(ada), func(now time.Time, r *access.Record) { r.Touch(now, h, lifetimes, grain) })
	}
}

// A cookie that names no session is nobody's, and costs one read at most.
func TestWhoIsNobody(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(1, false)
	secret := cookie[TagSize+1:]
	for _, tc := range []struct {
		name, cookie string
		reads        int64
	}{
		{"no cookie", "", 0},
		{"not a token", "hello", 0},
		{"tag alone", w.Tag(ada), 0},
		{"tag in upper case", strings.ToUpper(w.Tag(ada)) + "." + secret, 0},
		{"something added", cookie + "A", 0},
		{"a tag nobody has", Token(sampleTag, make([]byte, SecretSize)), 1},
		{"a client who never signed in", w.Tag("c-bob") + "." + secret, 1},
		{"a secret that is not the session's", Token(w.Tag(ada), make([]byte, SecretSize)), 1},
	} {
		w.restart(time.Time{})
		before := w.db.gets.Load()
		for range 3 {
			if v, err := w.Who(t.Context(), tc.cookie, w.dir, lifetimes); v != nil || err != nil {
				t.Errorf("%s: Who = %v, %v", tc.name, v, err)
			}
		}
		if got := w.db.gets.Load() - before; got != tc.reads {
			t.Errorf("%s: %d reads, want %d", tc.name, got, tc.reads)
		}
	}
	var nobody *Visitor
	if nobody.SignedIn() {
		t.Error("nobody is signed in")
	}
}

// What cannot be told is an error, never nobody: a store or a directory that
// is down signs nobody out, and lets nobody in.
func TestWhoIsUnknown(t *testing.T) {
	down := errors.New("no answer")
	for _, tc := range []struct {
		name   string
		change func(w *world)
	}{
		{"store down", func(w *world) { w.db.down.Store(true) }},
		{"record damaged", func(w *world) { w.db.values[key(w.Tag(ada))] = store.Value{Data: []byte("{")} }},
		{"record of a newer release", func(w *world) { w.db.values[key(w.Tag(ada))] = store.Value{Data: []byte(`{"v":99}`)} }},
		{"directory down", func(w *world) { w.dir.err = down }},
		{"directory and record gone", func(w *world) { w.dir.err = down; delete(w.dir.byID, ada) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			cookie, _ := w.signIn(1, false)
			good := w.db.values[key(w.Tag(ada))]
			w.restart(time.Time{})
			tc.change(w)
			for range 2 {
				if v, err := w.Who(t.Context(), cookie, w.dir, lifetimes); v != nil || !errors.Is(err, store.ErrUnknown) {
					t.Errorf("Who = %v, %v, want ErrUnknown", v, err)
				}
			}
			if len(w.later) != 0 {
				t.Error("what is not known is settled")
			}
			w.db.down.Store(false)
			w.db.values[key(w.Tag(ada))] = good
			w.dir = newWorld(t).dir
			if !w.visitor(cookie).SignedIn() {
				t.Error("not signed in any more after it was down")
			}
		})
	}
}

// While the store is down, those whose record is in memory stay signed in.
func TestWhoWithoutTheStore(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(1, false)
	w.db.down.Store(true)
	if !w.visitor(cookie).SignedIn() {
		t.Error("a store that is down signs a client out")
	}
}

// Whoever was not let in because of the list is not let in when the list is as
// it was: the record is settled in the background, once for many requests.
func TestWithdrawnIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cookie, _ := w.signIn(1, false)
		before := w.dir.byID[ada]
		delete(w.dir.byID, ada)
		for range 100 {
			w.visitor(cookie)
		}
		if len(w.later) != 1 {
			t.Errorf("%d jobs for 100 requests", len(w.later))
		}
		writes := w.db.writes.Load()
		w.work()
		if got := w.db.writes.Load() - writes; got != 1 {
			t.Errorf("%d writes for 100 requests", got)
		}
		w.dir.byID[ada] = before
		w.restart(time.Time{})
		if v := w.visitor(cookie); v.Over != access.ByPractice {
			t.Errorf("a session that came back with the client is over by %q", v.Over)
		}
	})
}

// A record that is nobody's, as one for a stranger's address, is not bound to
// whoever is settled.
func TestRebind(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	if err := w.Rebind(ctx, "c-bob", "address"); err != nil || w.db.writes.Load() != 0 {
		t.Errorf("Rebind of no record = %v, %d writes", err, w.db.writes.Load())
	}
	cookie, _ := w.signIn(1, false)
	_, bound, err := w.OnFile(ctx, w.dir, ada)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Rebind(ctx, ada, bound); err != nil || !w.visitor(cookie).SignedIn() {
		t.Errorf("Rebind to the same address = %v, or signs out", err)
	}
	for _, bound := range []access.Hash{"", bound} {
		if err := w.Rebind(ctx, ada, bound); err != nil {
			t.Fatal(err)
		}
		if v := w.visitor(cookie); v.Over != access.ByPractice {
			t.Errorf("bound to %q: over by %q", bound, v.Over)
		}
	}
	w.db.down.Store(true)
	if err := w.Rebind(ctx, ada, ""); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("Rebind with the store down = %v", err)
	}
}
