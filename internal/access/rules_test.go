// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// start is when the tables begin; usual are the lifetimes by default.
var (
	start = time.Unix(1_800_000_000, 0)
	usual = lifetimes[0]
	here  = HashOf([]byte("here"))
)

const day = 24 * time.Hour

func after(d time.Duration) time.Time { return start.Add(d) }

func name(kind string, n int) Hash { return HashOf(fmt.Appendf(nil, "%s %d", kind, n)) }

// record is a client's with n links, made a second apart up to start.
func record(links int) *Record {
	r := &Record{}
	r.Bind(start, "client", addresses[0])
	for i := range links {
		made := after(time.Duration(i-links+1) * time.Second)
		r.AddLink(made, Link{Hash: name("link", i), Made: made.Unix(), Expires: made.Add(day).Unix(), ReturnTo: "/page"})
	}
	return r
}

// press is the redemption of link n in a browser.
func press(n int, browser string) Redemption {
	return Redemption{
		Link: name("link", n), Nonce: HashOf([]byte(browser)), Session: HashOf(fmt.Appendf(nil, "%d %s", n, browser)),
		Method: "magic_link", Kind: "Firefox on Linux", Lifetimes: usual,
	}
}

func TestLinkExpires(t *testing.T) {
	for _, tc := range []struct {
		at   time.Duration
		want State
	}{
		{0, Live},
		{23*time.Hour + 59*time.Minute + 59*time.Second, Live},
		{day - time.Nanosecond, Live},
		{day, Expired},
		{day + time.Second, Expired},
		{day + pastLife - time.Second, Expired},
	} {
		r := record(1)
		if _, got, _ := r.Look(after(tc.at), name("link", 0)); got != tc.want {
			t.Errorf("Look after %v = %q, want %q", tc.at, got, tc.want)
		}
		if _, fresh, got := r.Redeem(after(tc.at), press(0, "a")); got != tc.want || fresh != (got == Live) {
			t.Errorf("Redeem after %v = %t, %q, want %q", tc.at, fresh, got, tc.want)
		}
	}
}

func TestFateIsRemembered(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(r *Record)
		want State
		at   time.Duration // when it ended
	}{
		{"used", func(r *Record) { r.Redeem(start, press(0, "a")) }, Used, 0},
		{"superseded", func(r *Record) {
			for i := range 3 {
				r.AddLink(start, Link{Hash: name("newer", i), Made: start.Unix(), Expires: after(day).Unix()})
			}
		}, NewerAsked, 0},
		{"another used", func(r *Record) {
			r.AddLink(start, Link{Hash: name("link", 1), Made: start.Unix(), Expires: after(day).Unix()})
			r.Redeem(start, press(1, "a"))
		}, NewerSignedIn, 0},
		{"stopped", func(r *Record) { r.StopLink(start, name("link", 0)) }, StoppedClient, 0},
		{"signed out everywhere", func(r *Record) { r.EndAll(start, "") }, StoppedClient, 0},
		{"no access", func(r *Record) { r.Bind(start, "client", "") }, StoppedOffice, 0},
		{"another address", func(r *Record) { r.Bind(start, "client", addresses[1]) }, StoppedOffice, 0},
		{"id used again", func(r *Record) { r.Bind(start, "other", addresses[0]) }, StoppedOffice, 0},
		{"expired", func(r *Record) { r.Encode(after(day)) }, Expired, day},
	} {
		r := record(1)
		tc.end(r)
		for at, want := range map[time.Duration]State{
			tc.at: tc.want, tc.at + pastLife - time.Second: tc.want, tc.at + pastLife: NoLink, tc.at + pastLife + time.Second: NoLink,
		} {
			if _, got, past := r.Look(after(at), name("link", 0)); got != want || got != NoLink && past.Life != secs(day) {
				t.Errorf("%s: Look after %v = %q, life %d, want %q", tc.name, at, got, past.Life, want)
			}
		}
		again := Link{Hash: name("link", 0), Made: start.Unix(), Expires: after(day).Unix()}
		if got := r.AddLink(after(tc.at), again); got != tc.want {
			t.Errorf("%s: AddLink again = %q, want %q", tc.name, got, tc.want)
		}
		r.Bind(after(tc.at), "client", addresses[0])
		if _, _, got := r.Redeem(after(tc.at+time.Second), press(0, "b")); got != tc.want {
			t.Errorf("%s: Redeem = %q, want %q", tc.name, got, tc.want)
		}
	}
}

// A queue item that is worked off again after memory has no room for its link
// must not bring the link back, not even where the clock that made the link
// was ahead of the store's (it then was: the memory was older than the link).
func TestL08_ForgottenLinkStaysOut(t *testing.T) {
	for _, ahead := range []int64{0, 5} {
		r := record(0)
		used := Link{Hash: name("link", 0), Made: start.Unix() + ahead, Expires: after(day).Unix()}
		r.AddLink(start, used)
		r.Redeem(start, press(0, "a"))
		for i := range maxPast + maxLinks {
			now := after(time.Duration(i) * time.Millisecond)
			r.AddLink(now, Link{Hash: name("other", i), Made: start.Unix() + 10, Expires: after(day).Unix()})
			r.StopLink(now, name("other", i))
		}
		r.Encode(start)
		if _, got, _ := r.Look(start, used.Hash); got != NoLink {
			t.Fatalf("the link is still remembered: %q", got)
		}
		if got := r.AddLink(start, used); got == Live {
			t.Errorf("clock ahead %d s: a used link that was forgotten is taken on again", ahead)
		}
	}
}

func TestSixteenAreRemembered(t *testing.T) {
	r := record(0)
	for i := range maxPast + 1 {
		r.AddLink(start, Link{Hash: name("link", i), Made: start.Unix(), Expires: after(day).Unix()})
		r.StopLink(start, name("link", i))
	}
	r.Encode(start)
	for i := range maxPast + 1 {
		want := StoppedClient
		if i == 0 {
			want = NoLink
		}
		if _, got, _ := r.Look(start, name("link", i)); got != want {
			t.Errorf("link %d is %q, want %q", i, got, want)
		}
	}
}

func TestL12_FourthSupersedesTheOldest(t *testing.T) {
	r := record(4)
	for i, want := range []State{NewerAsked, Live, Live, Live} {
		if _, got, _ := r.Look(start, name("link", i)); got != want {
			t.Errorf("link %d is %q, want %q", i, got, want)
		}
	}
	r.Redeem(start, press(2, "a"))
	for i, want := range []State{NewerAsked, NewerSignedIn, Used, NewerSignedIn} {
		if _, got, _ := r.Look(start, name("link", i)); got != want {
			t.Errorf("after link 2 was used, link %d is %q, want %q", i, got, want)
		}
	}
}

// TestInvitationSupersedes: of invitations the newest counts, in whatever order
// they are made, and the links that the client asked for are another matter.
func TestInvitationSupersedes(t *testing.T) {
	add := func(r *Record, i int, at time.Duration, invited bool) State {
		made := after(at).Unix()
		return r.AddLink(after(at), Link{Hash: name("invitation", i), Made: made, Expires: made + 86400, Invited: invited})
	}
	r := record(1) // link 0 is the client's own
	for i := range 3 {
		if got := add(r, i, time.Duration(i)*time.Minute, true); got != Live {
			t.Fatalf("invitation %d is %q", i, got)
		}
	}
	add(r, 3, 4*time.Minute, false)
	if got := add(r, 4, time.Minute, true); got != NewerInvited {
		t.Errorf("one that was overtaken is %q", got)
	}
	if got := add(r, 1, time.Minute, true); got != NewerInvited {
		t.Errorf("one that is added again is %q", got)
	}
	for i, want := range []State{NewerInvited, NewerInvited, Live, Live} {
		if _, got, _ := r.Look(after(5*time.Minute), name("invitation", i)); got != want {
			t.Errorf("invitation %d is %q, want %q", i, got, want)
		}
	}
	if _, got, _ := r.Look(after(5*time.Minute), name("link", 0)); got != Live {
		t.Errorf("the client's own link is %q", got)
	}
}

func TestRepeat(t *testing.T) {
	for _, tc := range []struct {
		name    string
		browser string
		at      time.Duration
		before  func(r *Record)
		want    State
	}{
		{"at once", "a", 0, nil, Live},
		{"in time", "a", repeatLife - time.Second, nil, Live},
		{"too late", "a", repeatLife, nil, Used},
		{"much too late", "a", repeatLife + time.Second, nil, Used},
		{"another browser", "b", 0, nil, Used},
		{"a browser without a nonce", "", 0, nil, Used},
		{"signed out", "a", 0, func(r *Record) { r.EndSession(start, press(0, "a").Session, BySignOut) }, Used},
		{"signed out everywhere", "a", 0, func(r *Record) { r.EndAll(start, "") }, Used},
		{"address changed and back", "a", 0, func(r *Record) {
			r.Bind(start, "client", addresses[1])
			r.Bind(start, "client", addresses[0])
		}, Used},
	} {
		r := record(1)
		first, _, _ := r.Redeem(start, press(0, "a"))
		if tc.before != nil {
			tc.before(r)
		}
		in := press(0, tc.browser)
		if tc.browser == "" {
			in.Nonce = ""
		}
		in.Repeat = true
		s, fresh, got := r.Redeem(after(tc.at), in)
		if got != tc.want || fresh || got == Live && s.Hash != first.Hash {
			t.Errorf("%s: Redeem = %t, %q, want %q and the same session", tc.name, fresh, got, tc.want)
		}
	}
	if _, _, got := record(1).Redeem(start, Redemption{Link: name("link", 0), Repeat: true, Lifetimes: usual}); got != Used {
		t.Errorf("asking for a repetition of nothing = %q, want it not to use the link", got)
	}
}

func TestL03_WrongAddressesCloseTyping(t *testing.T) {
	r := record(1)
	for i := 1; i <= WrongAddresses+2; i++ {
		in := press(0, "a")
		in.Typed = true
		if _, _, got := clone(t, r).Redeem(start, in); (got == Closed) != (i > WrongAddresses) {
			t.Errorf("after %d wrong addresses the right one = %q", i-1, got)
		}
		if got := r.WrongAddress(start, name("link", 0)); got != (i >= WrongAddresses) {
			t.Errorf("WrongAddress %d = %t", i, got)
		}
	}
	for what, in := range map[string]Redemption{"asked or known": {}, "code": {Code: true}} {
		code := in.Code
		in = press(0, "a")
		in.Code = code
		if _, _, got := clone(t, r).Redeem(start, in); got != Live {
			t.Errorf("%s: Redeem = %q, want the link to work where nothing is typed", what, got)
		}
	}
}

func TestWrongCodesTurnCodesOff(t *testing.T) {
	r := record(2)
	for i := 1; i <= WrongCodes+1; i++ {
		r.WrongCode(start)
		in := press(0, "a")
		in.Code = true
		was := clone(t, r)
		_, _, got := was.Redeem(start, in)
		if want := map[bool]State{true: Closed, false: Live}[i >= WrongCodes]; got != want {
			t.Errorf("a right code after %d wrong ones = %q, want %q", i, got, want)
		}
		if want := map[bool]int{true: WrongCodes, false: 0}[i >= WrongCodes]; was.WrongCodes != want {
			t.Errorf("after %d wrong codes and a right one %d are counted, want %d", i, was.WrongCodes, want)
		}
	}
	if n := len(slices.DeleteFunc(r.Events, func(e Event) bool { return e.What != "codes_off" })); n != 1 {
		t.Errorf("%d events tell that codes are off, want 1", n)
	}
	if _, _, got := r.Redeem(start, press(0, "a")); got != Live || !r.CodesOff() {
		t.Errorf("a link while codes are off = %q, codes off %t, want it to work and them to stay off", got, r.CodesOff())
	}
	if _, expires := r.Encode(start); !expires.IsZero() {
		t.Errorf("a count of wrong codes expires at %v", expires)
	}
}

func TestL13_AnotherAddressStopsEverything(t *testing.T) {
	r := record(1)
	in := press(0, "a")
	in.Browser = name("browser", 0)
	r.Redeem(start, in)
	r.AddLink(start, Link{Hash: name("link", 1), Made: start.Unix(), Expires: after(day).Unix()})
	r.WrongCode(start)
	if r.Bind(start, "client", addresses[0]) {
		t.Error("Bind to what it is bound to stopped something")
	}
	for _, to := range []Hash{addresses[1], addresses[0]} {
		if stopped := r.Bind(start, "client", to); stopped != (to == addresses[1]) {
			t.Errorf("Bind = %t", stopped)
		}
		if _, state, _ := r.Look(start, name("link", 1)); state != StoppedOffice {
			t.Errorf("the link is %q", state)
		}
		if s, _ := r.Session(in.Session); s.Over(start, usual) != ByPractice {
			t.Errorf("the session is over %q", s.Over(start, usual))
		}
		if r.Knows(start, in.Browser) || r.WrongCodes != 1 {
			t.Errorf("knows the browser %t, %d wrong codes", r.Knows(start, in.Browser), r.WrongCodes)
		}
	}
	if !r.BoundTo("client", addresses[0]) || r.BoundTo("another", addresses[0]) {
		t.Error("a record is not bound to one client at one address")
	}
	if r.Bind(start, "client", ""); r.BoundTo("client", "") {
		t.Error("a record without an address is bound to nobody's")
	}
}

// clone is r as a store would give it back.
func clone(t testing.TB, r *Record) *Record {
	t.Helper()
	c := *r
	c.Links, c.Sessions, c.Past = slices.Clone(r.Links), slices.Clone(r.Sessions), slices.Clone(r.Past)
	data, _ := c.Encode(start)
	out, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// An earlier copy of the store was put back: what it holds from before the
// mark may have been used or ended since, and must not count again.
func TestVoidBefore(t *testing.T) {
	for _, tc := range []struct {
		floor time.Duration
		link  State
		over  End
	}{{0, Live, ""}, {time.Second, StoppedOffice, ByPractice}} {
		r := record(1)
		in := press(0, "a")
		in.Browser = name("browser", 0)
		r.Redeem(start, in)
		l := Link{Hash: name("link", 1), Made: start.Unix(), Expires: after(day).Unix()}
		r.AddLink(start, l)
		r.VoidBefore(start, after(tc.floor))
		if got := r.AddLink(start, l); got != tc.link {
			t.Errorf("floor %v: a link is %q, want %q", tc.floor, got, tc.link)
		}
		if s, _, state := r.Redeem(start, in); (state == Live) != (tc.over == "") || state == Live && s.Over(start, usual) != "" {
			t.Errorf("floor %v: a lost answer is repeated: %q", tc.floor, state)
		}
		if s, _ := r.Session(in.Session); s.Over(start, usual) != tc.over || !r.Knows(start, in.Browser) {
			t.Errorf("floor %v: the session is over %q, want %q, and the browser known", tc.floor, s.Over(start, usual), tc.over)
		}
	}
}
