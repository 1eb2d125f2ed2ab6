// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"testing"
	"time"
)

// opened is a record with one session, opened at start.
func opened(shared bool, lt Lifetimes) (*Record, Hash) {
	r := record(1)
	in := press(0, "a")
	in.Shared, in.Lifetimes = shared, lt
	s, _, _ := r.Redeem(start, in)
	return r, s.Hash
}

func TestSessionEnds(t *testing.T) {
	const s, m, h = time.Second, time.Minute, time.Hour
	shorter := Lifetimes{5 * m, 2 * h, 5 * m, 30 * m}
	longer := Lifetimes{3 * h, 72 * h, 3 * h, 72 * h}
	for _, tc := range []struct {
		name   string
		shared bool
		opened Lifetimes
		now    Lifetimes
		active time.Duration // touched every minute until then
		at     time.Duration
		want   End
	}{
		{"idle, just before", false, usual, usual, 0, 30*m - s, ""},
		{"idle", false, usual, usual, 0, 30 * m, ByIdle},
		{"idle, just after", false, usual, usual, 0, 30*m + s, ByIdle},
		{"idle since the last activity, just before", false, usual, usual, 5 * h, 5*h + 30*m - s, ""},
		{"idle since the last activity", false, usual, usual, 5 * h, 5*h + 30*m, ByIdle},
		{"idle long ago", false, usual, usual, 0, 13 * h, ByIdle},
		{"absolute, just before", false, usual, usual, 12*h - m, 12*h - s, ""},
		{"absolute", false, usual, usual, 12*h - m, 12 * h, ByAge},
		{"absolute, just after", false, usual, usual, 12*h - m, 12*h + s, ByAge},
		{"activity after the end", false, usual, usual, 13 * h, 13 * h, ByAge},
		{"shared idle, just before", true, usual, usual, 0, 10*m - s, ""},
		{"shared idle", true, usual, usual, 0, 10 * m, ByIdle},
		{"shared absolute, just before", true, usual, usual, h - m, h - s, ""},
		{"shared absolute", true, usual, usual, h - m, h, ByAge},
		{"shortened idle, just before", false, usual, shorter, 0, 5*m - s, ""},
		{"shortened idle", false, usual, shorter, 0, 5 * m, ByIdle},
		{"shortened absolute", false, usual, shorter, 2*h - m, 2 * h, ByAge},
		{"shortened shared absolute", true, usual, shorter, 30*m - m, 30 * m, ByAge},
		// A session must not come back because times were made longer later.
		{"lengthened idle", false, usual, longer, 0, 30 * m, ByIdle},
		{"lengthened absolute", false, usual, longer, 12*h - m, 12 * h, ByAge},
		{"lengthened shared idle", true, usual, longer, 0, 10 * m, ByIdle},
	} {
		r, hash := opened(tc.shared, tc.opened)
		for at := m; at <= tc.active; at += m {
			r.Touch(after(at), hash, tc.now, m)
		}
		got, _ := r.Session(hash)
		if why := got.Over(after(tc.at), tc.now); why != tc.want {
			t.Errorf("%s: Over = %q, want %q", tc.name, why, tc.want)
		}
		if n := len(r.Live(after(tc.at), tc.now)); (n == 1) != (tc.want == "") {
			t.Errorf("%s: %d live", tc.name, n)
		}
		idle, absolute := got.Ends(tc.now)
		if live := after(tc.at).Before(idle); live != (tc.want == "") || idle.After(absolute) {
			t.Errorf("%s: Ends = %v, %v", tc.name, idle, absolute)
		}
		if tc.want != "" && r.Touch(after(tc.at), hash, tc.now, 0) {
			t.Errorf("%s: Touch revived it", tc.name)
		}
	}
}

// A clock that is set back (NTP, another node) must not bring back what was
// over when the record was last written.
func TestClockSetBackRevivesNothing(t *testing.T) {
	r, hash := opened(false, usual)
	r.AddLink(start, Link{Hash: name("link", 1), Made: start.Unix(), Expires: after(time.Minute).Unix()})
	r.Encode(after(30 * time.Minute))
	if s, _ := r.Session(hash); s.Over(start, usual) != ByIdle || r.Touch(start, hash, usual, 0) {
		t.Errorf("the session is over %q", s.Over(start, usual))
	}
	if _, state, _ := r.Look(start, name("link", 1)); state != Expired {
		t.Errorf("the link is %q", state)
	}
}

func TestTouchGrain(t *testing.T) {
	r, hash := opened(false, usual)
	for _, tc := range []struct {
		at   time.Duration
		want bool
	}{{-time.Second, false}, {59 * time.Second, false}, {time.Minute, true}, {time.Minute, false}, {30 * time.Second, false}, {2 * time.Minute, true}} {
		if got := r.Touch(after(tc.at), hash, usual, time.Minute); got != tc.want {
			t.Errorf("Touch at %v = %t, want %t", tc.at, got, tc.want)
		}
	}
	if r.Touch(after(time.Hour), "", usual, 0) || r.Touch(after(time.Minute), name("session", 9), usual, 0) {
		t.Error("Touch of no session reports activity")
	}
}

func TestEndedSessionSaysWhyForADay(t *testing.T) {
	r, hash := opened(false, usual)
	if !r.EndSession(start, hash, BySignOut) || r.EndSession(start, hash, ByElsewhere) {
		t.Error("EndSession reports an end not once")
	}
	for _, tc := range []struct {
		at    time.Duration
		found bool
	}{{endedLife - time.Second, true}, {endedLife, false}} {
		r.Encode(after(tc.at))
		if s, ok := r.Session(hash); ok != tc.found || ok && s.Over(start, usual) != BySignOut {
			t.Errorf("after %v: found %t, over %q", tc.at, ok, s.Over(start, usual))
		}
	}
}

func TestEndAllTellsWhoAsked(t *testing.T) {
	r, there := opened(false, usual)
	r.AddLink(start, Link{Hash: name("link", 1), Made: start.Unix(), Expires: after(day).Unix()})
	in := press(1, "b")
	in.Session, in.Browser = here, name("browser", 0)
	r.Redeem(start, in)
	r.EndAll(start, here)
	a, _ := r.Session(here)
	b, _ := r.Session(there)
	if a.Over(start, usual) != BySignOut || b.Over(start, usual) != ByElsewhere || r.Knows(start, in.Browser) {
		t.Errorf("here over %q, there over %q, browser known %t", a.Over(start, usual), b.Over(start, usual), r.Knows(start, in.Browser))
	}
}

// signIns opens n sessions, each in a browser of its own, a second apart.
func signIns(r *Record, n int, shared bool) {
	for i := range n {
		now := after(time.Duration(i) * time.Second)
		r.AddLink(now, Link{Hash: name("link", i), Made: now.Unix(), Expires: now.Add(day).Unix()})
		in := press(i, "a")
		in.Session, in.Browser, in.Shared = name("session", i), name("browser", i), shared
		r.Redeem(now, in)
		r.Moved(r.Events)
	}
}

func TestTwentyFirstEndsTheOldest(t *testing.T) {
	r := record(0)
	signIns(r, 20, false)
	if n := len(r.Live(after(19*time.Second), usual)); n != 20 {
		t.Fatalf("%d live, want 20", n)
	}
	r.Encode(after(19 * time.Second))
	if n := len(r.Live(after(19*time.Second), usual)); n != 20 {
		t.Errorf("%d live once stored, want 20", n)
	}
	r = record(0)
	signIns(r, 21, false)
	if n := len(r.Live(after(20*time.Second), usual)); n != 20 {
		t.Errorf("%d live, want 20", n)
	}
	if s, ok := r.Session(name("session", 0)); ok && s.Over(after(20*time.Second), usual) == "" {
		t.Error("the oldest is live")
	}
}

func TestKnownBrowsers(t *testing.T) {
	r := record(0)
	signIns(r, 11, false)
	for i := range 11 {
		if got, want := r.Knows(start, name("browser", i)), i > 0; got != want {
			t.Errorf("knows browser %d: %t, want %t", i, got, want)
		}
	}
	last := 10 * time.Second
	for at, want := range map[time.Duration]bool{
		last + knownLife - time.Second: true, last + knownLife: false, last + knownLife + time.Second: false,
	} {
		if got := r.Knows(after(at), name("browser", 10)); got != want {
			t.Errorf("known after %v: %t, want %t", at, got, want)
		}
	}
	r = record(0)
	if signIns(r, 1, true); r.Knows(start, name("browser", 0)) {
		t.Error("a shared computer is known")
	}
}
