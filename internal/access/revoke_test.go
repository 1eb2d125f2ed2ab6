// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"testing"
	"time"
)

// again is a record as it comes back from a store.
func again(t *testing.T, r *Record, now time.Time) *Record {
	t.Helper()
	c := *r // Encode prunes
	data, _ := c.Encode(now)
	got, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// A link was used, and the store has lost that: it is there again, as if new.
// That the store is in another epoch is all there is to know it by (L10).
func TestL10_Fence(t *testing.T) {
	for _, tc := range []struct {
		name, made, now string
		want            State
	}{
		{"the same epoch", "one", "one", Live},
		{"another epoch", "one", "two", NewerAsked},
		{"made where none could be told", "", "one", NewerAsked},
		{"none can be told any more", "one", "", Live},
		{"a store without", "", "", Live},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &Record{}
			r.Bind(start, "client", addresses[0])
			r.Fence(start, tc.made)
			for i := range 2 {
				r.AddLink(start, Link{Hash: name("link", i), Made: start.Unix(), Expires: after(day).Unix()})
			}
			r = again(t, r, start)
			r.Fence(start, tc.now)
			for i := range 2 {
				if _, got, past := r.Look(start, name("link", i)); got != tc.want || got != Live && past.Life != int64(day/time.Second) {
					t.Errorf("link %d is %q, its life %d s", i, got, past.Life)
				}
			}
			if _, _, got := r.Redeem(start, press(0, "a")); got != tc.want {
				t.Errorf("Redeem = %q, want %q", got, tc.want)
			}
			// Whoever asks again gets a link that works.
			if got := r.AddLink(start, Link{Hash: name("link", 9), Made: start.Unix(), Expires: after(day).Unix()}); got != Live {
				t.Fatalf("the next link is %q", got)
			}
			r = again(t, r, start)
			r.Fence(start, tc.now)
			if _, _, got := r.Redeem(start, press(9, "a")); got != Live {
				t.Errorf("the next link is %q when it is used", got)
			}
		})
	}
}

// A session has no epoch: who is signed in stays so. Nor does a browser.
func TestFenceSignsNobodyOut(t *testing.T) {
	r := &Record{}
	r.Bind(start, "client", addresses[0])
	r.Fence(start, "one")
	r.AddLink(start, Link{Hash: name("link", 0), Made: start.Unix(), Expires: after(day).Unix()})
	in := press(0, "a")
	in.Browser = name("browser", 0)
	s, _, _ := r.Redeem(start, in)
	r = again(t, r, start)
	r.Fence(start, "two")
	if got, ok := r.Session(s.Hash); !ok || got.Over(start, usual) != "" || !r.Knows(start, in.Browser) {
		t.Error("a session, or a browser, is gone with the epoch")
	}
	if got, fresh, state := r.Redeem(start, in); state != Live || fresh || got.Hash != s.Hash {
		t.Errorf("the repetition of a lost answer is %q", state)
	}
}

// What was taken away is taken away once more from an earlier copy of the
// record, and from nothing else.
func TestRevokeAgain(t *testing.T) {
	// Two sessions, each from a browser that is known since, and a link.
	one := press(0, "a").Session
	signedIn := func() *Record {
		r := &Record{}
		r.Bind(start, "client", addresses[0])
		for i := range 3 {
			r.AddLink(start, Link{Hash: name("link", i), Made: start.Unix(), Expires: after(day).Unix()})
			if i < 2 {
				in := press(i, "a")
				in.Browser = name("browser", i)
				r.Redeem(start, in)
			}
		}
		return r
	}
	for _, tc := range []struct {
		name   string
		change func(r *Record, now time.Time)
		empty  bool
	}{
		{"nothing", func(r *Record, now time.Time) {}, true},
		{"a link added", func(r *Record, now time.Time) {
			r.AddLink(now, Link{Hash: name("new", 0), Made: now.Unix(), Expires: now.Add(day).Unix()})
		}, true},
		{"activity", func(r *Record, now time.Time) { r.Touch(now, one, usual, time.Second) }, true},
		{"signed out", func(r *Record, now time.Time) { r.EndSession(now, one, BySignOut) }, false},
		{"signed out everywhere", func(r *Record, now time.Time) { r.EndAll(now, one) }, false},
		{"a stranger expelled", func(r *Record, now time.Time) {
			s, _ := r.Session(one)
			r.Expel(now, s.Stranger())
		}, false},
		{"a link stopped", func(r *Record, now time.Time) { r.StopLink(now, name("link", 2)) }, false},
		{"a link used", func(r *Record, now time.Time) {
			r.Redeem(now, press(2, "b"))
		}, false},
		{"access withdrawn", func(r *Record, now time.Time) { r.Bind(now, "client", "") }, false},
		{"the session forgotten too", func(r *Record, now time.Time) { r.Sessions = r.Sessions[1:] }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now := after(time.Minute)
			before, r := signedIn(), signedIn()
			if _, state, _ := r.Look(now, name("link", 2)); len(r.Live(now, usual)) != 2 || state != Live || len(r.Known) != 2 {
				t.Fatalf("%d sessions, %d browsers, a link that is %s", len(r.Live(now, usual)), len(r.Known), state)
			}
			standing := r.Standing() // which the change does not reach
			tc.change(r, now)
			r = again(t, r, now)
			gone := r.RevokedSince(standing)
			if gone.Empty() != tc.empty {
				t.Fatalf("Empty is %t", gone.Empty())
			}
			late := now.Add(time.Minute)
			lost := again(t, before, late)
			lost.AddLink(late, Link{Hash: name("other", 0), Made: late.Unix(), Expires: late.Add(day).Unix()})
			if got := lost.Revoke(late, gone); got == tc.empty {
				t.Errorf("Revoke = %t", got)
			}
			if lost.Revoke(late, gone) {
				t.Error("it is taken away twice")
			}
			lost = again(t, lost, late)
			for _, s := range before.Sessions {
				want := End("ended.elsewhere") // if nobody remembers why
				if w, ok := r.Session(s.Hash); ok {
					want = w.Over(late, usual)
				}
				if got, ok := lost.Session(s.Hash); !ok || got.Over(late, usual) != want {
					t.Errorf("a session is over by %q, want %q", got.Over(late, usual), want)
				}
			}
			for _, l := range before.Links {
				_, want, _ := r.Look(late, l.Hash)
				if _, got, _ := lost.Look(late, l.Hash); got != want {
					t.Errorf("a link is %q, want %q", got, want)
				}
			}
			for _, k := range before.Known {
				if lost.Knows(late, k.Hash) != r.Knows(late, k.Hash) {
					t.Error("a browser is known that was not, or is forgotten that was")
				}
			}
			if _, got, _ := lost.Look(late, name("other", 0)); got != Live {
				t.Errorf("what was made since is %q", got)
			}
			// The store had not lost it: nothing to do.
			kept := again(t, r, late)
			if kept.Revoke(late, gone) {
				t.Error("what is taken away already is taken away again")
			}
		})
	}
}
