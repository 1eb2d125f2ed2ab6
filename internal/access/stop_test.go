// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"slices"
	"testing"
	"time"
)

// Expelling a stranger takes away all that its browser got, and nothing else: a
// stranger who signs in twice in one browser is announced once only.
func TestExpel(t *testing.T) {
	now := after(time.Minute)
	open := func(r *Record, name, browser string, shared bool) Hash {
		h := HashOf([]byte("session " + name))
		link := HashOf([]byte("link " + name))
		r.AddLink(now, Link{Hash: link, Made: now.Unix(), Expires: now.Add(time.Hour).Unix()})
		in := Redemption{Link: link, Session: h, Method: "magic_link", Shared: shared, Lifetimes: usual}
		if browser != "" {
			in.Browser = HashOf([]byte("browser " + browser))
		}
		if _, _, state := r.Redeem(now, in); state != Live {
			t.Fatalf("%s: the link is %s", name, state)
		}
		return h
	}
	r := record(0)
	first := open(r, "first", "stranger's", false)
	second := open(r, "second", "stranger's", false)
	own := open(r, "own", "own", false)
	shared := open(r, "shared", "stranger's", true)
	other := open(r, "other shared", "own", true)
	browser := func(name string) Hash { return HashOf([]byte("browser " + name)) }

	named := func(h Hash) Stranger { s, _ := r.Session(h); return s.Stranger() }
	for _, nobody := range []Stranger{{}, {Session: "nothing"}, {Browser: "nobody"}} {
		if r.Harbours(nobody) || r.Expel(now, nobody) {
			t.Errorf("%v is expelled", nobody)
		}
	}
	if all := r.Strangers(); !slices.Contains(all, named(first)) || !slices.Contains(all, named(shared)) {
		t.Errorf("some cannot be named: %v", all)
	}
	if !r.Harbours(named(first)) || !r.Expel(now, named(first)) {
		t.Fatal("nothing is stopped")
	}
	for _, tc := range []struct {
		name string
		h    Hash
		live bool
	}{{"first", first, false}, {"second, in the same browser", second, false}, {"own", own, true}, {"shared", shared, true}, {"other shared", other, true}} {
		s, _ := r.Session(tc.h)
		if live := s.Over(now, usual) == ""; live != tc.live {
			t.Errorf("%s: live %t, want %t", tc.name, live, tc.live)
		}
	}
	if r.Knows(now, browser("stranger's")) || !r.Knows(now, browser("own")) {
		t.Error("the wrong browser is forgotten")
	}
	if r.Harbours(named(first)) || r.Expel(now, named(first)) || r.Expel(now, named(second)) {
		t.Error("it is stopped twice")
	}
	// On a shared computer no browser is known: one session, and no other.
	if !r.Expel(now, named(shared)) {
		t.Error("a shared computer's session is not stopped")
	}
	if s, _ := r.Session(other); s.Over(now, usual) != "" {
		t.Error("another shared computer's session ended with it")
	}
	// The session is soon forgotten, its browser is not: it can be named as long
	// as it is known, by the mail that told of its first sign-in.
	late := now.Add(48 * time.Hour)
	r.prune(late)
	if _, ok := r.Session(own); ok || !r.Harbours(Stranger{Browser: brief(browser("own"))}) || !r.Expel(late, Stranger{Browser: brief(browser("own"))}) {
		t.Error("two days later the browser cannot be expelled")
	}
}

// An account that a stranger linked lets the stranger in again. The mail that told
// of that sign-in takes it away, also when the client has signed out everywhere
// since and nothing else is left of it.
func TestExpelAfterEndAll(t *testing.T) {
	now := after(time.Minute)
	r := record(0)
	link := HashOf([]byte("link"))
	r.AddLink(now, Link{Hash: link, Made: now.Unix(), Expires: now.Add(time.Hour).Unix()})
	account := Subject{Method: "google", Hash: HashOf([]byte("stranger's account"))}
	s, _, state := r.Redeem(now, Redemption{
		Link: link, Session: HashOf([]byte("session")), Method: "magic_link", Browser: HashOf([]byte("browser")),
		Bind: account, Lifetimes: usual,
	})
	if state != Live || len(r.Subjects) != 1 {
		t.Fatalf("the link is %s, with %d accounts", state, len(r.Subjects))
	}
	who := s.Stranger()
	r.EndAll(now, "")
	late := now.Add(48 * time.Hour)
	r.prune(late)
	if !slices.Contains(r.Strangers(), who) || !r.Harbours(who) {
		t.Error("the stranger cannot be named, or nothing seems left of it")
	}
	if !r.Expel(late, who) || len(r.Subjects) != 0 {
		t.Error("the account stays")
	}
	if slices.Contains(r.Strangers(), who) || r.Harbours(who) {
		t.Error("something is left after that")
	}
}
