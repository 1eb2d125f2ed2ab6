// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"bytes"
	"testing"
	"time"
)

func TestRecognizes(t *testing.T) {
	mine, another := Subject{Method: "google", Hash: HashOf([]byte("mine"))}, Subject{Method: "google", Hash: HashOf([]byte("another"))}
	elsewhere := Subject{Method: "oidc:clinic", Hash: HashOf([]byte("elsewhere"))}
	now, by := time.Unix(1_000_000, 0), Stranger{Browser: "abcdef"}
	r := new(Record)
	for _, tc := range []struct {
		s    Subject
		auth bool
		want State
	}{{mine, true, Live}, {mine, false, Unproved}} {
		if got := r.Recognizes(tc.s, tc.auth); got != tc.want {
			t.Errorf("before any is linked: %v %t is %s", tc.s, tc.auth, got)
		}
	}
	if !r.Link(now, mine, by) || r.Link(now, mine, by) || r.Link(now, another, by) || r.Link(now, Subject{Method: "google"}, by) {
		t.Error("an account is linked once, and no other of its method after it")
	}
	for _, tc := range []struct {
		s    Subject
		auth bool
		want State
	}{
		{mine, false, Live}, {mine, true, Live}, {another, true, OtherAccount}, {another, false, OtherAccount},
		{elsewhere, false, Unproved}, {elsewhere, true, Live},
		{Subject{Method: "google"}, true, OtherAccount},
	} {
		if got := r.Recognizes(tc.s, tc.auth); got != tc.want {
			t.Errorf("%v, authoritative %t, is %s; want %s", tc.s, tc.auth, got, tc.want)
		}
	}
	if !r.Unlink(now, mine.Hash) || r.Unlink(now, mine.Hash) || r.Recognizes(mine, false) != Unproved {
		t.Error("an account is taken away once")
	}
}

func TestEnterAs(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	lt := Lifetimes{Idle: time.Hour, Absolute: 2 * time.Hour, SharedIdle: time.Minute, SharedAbsolute: time.Hour}
	in := Redemption{
		Session: HashOf([]byte("s")), Nonce: HashOf([]byte("n")), Method: "google", Ways: Ways([]string{"magic_link", "pin"}), Lifetimes: lt,
		Bind: Subject{Method: "google", Hash: HashOf([]byte("mine"))},
	}
	r := new(Record)
	if _, fresh, state := r.EnterAs(now, in, false); fresh || state != Unproved || len(r.Sessions)+len(r.Subjects) != 0 {
		t.Errorf("unproved: %t %s", fresh, state)
	}
	s, fresh, state := r.EnterAs(now, in, true)
	if !fresh || state != Live || s.Method != "google" || s.Ways != "magic_link pin" || len(r.Subjects) != 1 {
		t.Fatalf("%+v %t %s", s, fresh, state)
	}
	if again, fresh, state := r.EnterAs(now.Add(time.Minute), in, true); fresh || state != Live || again != s || len(r.Sessions) != 1 {
		t.Errorf("repeated: %+v %t %s", again, fresh, state)
	}
	another := in
	another.Session, another.Bind.Hash = HashOf([]byte("s2")), HashOf([]byte("another"))
	if _, fresh, state := r.EnterAs(now, another, true); fresh || state != OtherAccount || len(r.Sessions) != 1 {
		t.Errorf("another account: %t %s", fresh, state)
	}
	if last := r.Events[len(r.Events)-1]; last.What != "account_refused" || last.Method != "google" || last.At != now.Unix() {
		t.Errorf("staff are not told of another account, but %+v", last)
	}
	r.EndSession(now, s.Hash, BySignOut)
	if _, fresh, state := r.EnterAs(now, in, true); fresh || state != Used {
		t.Errorf("a session that ended was made again: %t %s", fresh, state)
	}
}

// TestUnlinkEnds: somebody who got at a client's mail once has linked an account of
// their own. When it is taken away, what it has opened ends, and the sign-in that
// linked it, and nothing else.
func TestUnlinkEnds(t *testing.T) {
	mine, other := Subject{Method: "google", Hash: HashOf([]byte("mine"))}, Subject{Method: "work", Hash: HashOf([]byte("other"))}
	r := record(1)
	linking := press(0, "a")
	linking.Bind = mine
	r.Redeem(start, linking)
	if r.Recognizes(mine, false) != Live {
		t.Fatal("the account is not linked")
	}
	r.EnterAs(start, Redemption{Session: HashOf([]byte("b")), Method: "google", Bind: mine, Lifetimes: usual}, false)
	r.admit(start, Redemption{Session: HashOf([]byte("c")), Method: "pin", Lifetimes: usual}, false)
	r.Link(start, other, Stranger{Browser: "abcdef"})
	r.Unlink(start, mine.Hash)
	if live := r.Live(start, usual); len(live) != 1 || live[0].Method != "pin" {
		t.Errorf("left: %+v", live)
	}
	if r.Recognizes(mine, false) != Unproved || r.Recognizes(other, false) != Live {
		t.Errorf("accounts left: %+v", r.Subjects)
	}
	if last := r.Events[len(r.Events)-1]; last.What != "account_unlinked" || last.Method != "google" {
		t.Errorf("staff are told %+v", last)
	}
}

// TestSubjectsLast: an account is not forgotten by waiting or by want of room,
// for another with the same address would be taken for the first. Only another
// address on file ends it.
func TestSubjectsLast(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	r := new(Record)
	r.Bind(now, "c-ada", HashOf([]byte("a")))
	r.Link(now, Subject{Method: "google", Hash: HashOf([]byte("mine"))}, Stranger{Browser: "abcdef"})
	for n := range 200 {
		r.AddLink(now, Link{Hash: HashOf([]byte{byte(n)}), Made: now.Unix() + int64(n), Expires: now.Unix() + 1000, ReturnTo: "/" + string(bytes.Repeat([]byte("x"), 500))})
	}
	r.Moved(r.Events)
	data, expires := r.Encode(now)
	if !expires.IsZero() {
		t.Errorf("it is forgotten at %v", expires)
	}
	if !bytes.Contains(data, []byte(`"v":2`)) {
		t.Error("a gate that knows no accounts would write it")
	}
	r, err := Decode(data)
	if err != nil || len(r.Subjects) != 1 {
		t.Fatalf("%v, %v", r.Subjects, err)
	}
	r.Encode(now.Add(10 * 365 * 24 * time.Hour))
	if len(r.Subjects) != 1 {
		t.Error("forgotten by waiting")
	}
	if !r.Bind(now, "c-ada", HashOf([]byte("b"))) || len(r.Subjects) != 0 {
		t.Error("it is linked to another address")
	}
	if data, _ := new(Record).Encode(now); !bytes.Contains(data, []byte(`"v":1`)) {
		t.Error("a record without accounts or PINs is not written as before")
	}
}

// An account that was taken away is taken away again after a failover that lost
// it: the client was told that it is off.
func TestUnlinkIsRevokedAgain(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	lt := Lifetimes{Idle: time.Hour, Absolute: 2 * time.Hour, SharedIdle: time.Minute, SharedAbsolute: time.Hour}
	mine := Subject{Method: "google", Hash: HashOf([]byte("mine"))}
	build := func() *Record {
		r := new(Record)
		r.EnterAs(now, Redemption{Session: HashOf([]byte("a")), Method: "google", Bind: mine, Lifetimes: lt}, true)
		return r
	}
	r := build()
	before := r.Standing()
	r.Unlink(now, mine.Hash)
	promoted := build() // on the replica that never had it
	promoted.Revoke(now, r.RevokedSince(before))
	if state := promoted.Recognizes(mine, false); state == Live {
		t.Error("the account lets in again")
	}
}
