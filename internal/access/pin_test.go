// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"fmt"
	"testing"
	"time"
)

// pinned is a record with a live PIN whose digits are check.
func pinned(check string) *Record {
	r := new(Record)
	r.Bind(start, "client", "address")
	r.AddPIN(start, PIN{ID: HashOf([]byte(check)), Salt: []byte("salt"), Check: []byte(check), Expires: after(24 * time.Hour).Unix()})
	return r
}

// guess is one guess, as the gate does it: counted, then looked at.
func guess(r *Record, now time.Time, nonce, check string) (s Session, fresh bool, state State) {
	p, _ := r.LivePIN(now)
	if !r.ReservePIN(now, p.ID) || !p.Is([]byte(check)) {
		return Session{}, false, NoPIN
	}
	return r.RedeemPIN(now, Redemption{
		Link: p.ID, Nonce: HashOf([]byte(nonce)), Session: HashOf([]byte(string(p.ID) + nonce)), Method: "pin", Lifetimes: usual,
	})
}

// What voids a PIN, as it voids links.
func TestPINIsVoid(t *testing.T) {
	for name, void := range map[string]func(r *Record){
		"another address":     func(r *Record) { r.Bind(start, "client", "other") },
		"no access":           func(r *Record) { r.Bind(start, "client", "") },
		"signed out":          func(r *Record) { r.EndAll(start, "") },
		"an earlier copy":     func(r *Record) { r.VoidBefore(start, after(time.Second)) },
		"another history":     func(r *Record) { r.Fence(start, "another") },
		"stopped by anybody":  func(r *Record) { r.StopPIN(start, "", StoppedOffice) },
		"stopped by its name": func(r *Record) { r.StopPIN(start, HashOf([]byte("042137")), StoppedClient) },
		"replaced":            func(r *Record) { r.AddPIN(start, PIN{ID: "new", Check: []byte("x"), Expires: after(time.Hour).Unix()}) },
	} {
		t.Run(name, func(t *testing.T) {
			r := pinned("042137")
			void(r)
			if _, fresh, state := guess(r, start, "n", "042137"); fresh || state != NoPIN {
				t.Errorf("it still opens: %q", state)
			}
			if _, state, past := r.Look(start, HashOf([]byte("042137"))); !past.PIN || state == Used || state == NoLink {
				t.Errorf("what became of it: %q", state)
			}
		})
	}
}

// A PIN is good in the history of the store that it was made in, and where it is not
// known which that is. Whoever adds one does not say how often it was tried.
func TestPINStays(t *testing.T) {
	r := new(Record)
	r.Bind(start, "client", "address")
	r.Fence(start, "one")
	r.AddPIN(start, PIN{ID: here, Check: []byte("042137"), Expires: after(time.Hour).Unix(), Tries: pinTries})
	r.Fence(start, "one")
	r.Fence(start, "")
	if _, fresh, state := guess(r, start, "n", "042137"); !fresh || state != Live {
		t.Errorf("it does not open: %q", state)
	}
}

func TestPINExpires(t *testing.T) {
	for at, want := range map[time.Duration]bool{24*time.Hour - time.Second: true, 24 * time.Hour: false} {
		if _, fresh, state := guess(pinned("042137"), after(at), "n", "042137"); fresh != want {
			t.Errorf("after %v: opens %t, %q", at, fresh, state)
		}
	}
}

// However many PINs and days wrong guesses are spread over: after so many in a row
// the right PIN opens nothing either.
func TestWrongPINsTurnPINsOff(t *testing.T) {
	r := pinned("042137")
	var now time.Time
	for n := range WrongPINs {
		now = after(time.Duration(n/dayTries) * pinDay)
		if r.PINsClosed(now) {
			t.Fatalf("closed after %d wrong ones", n)
		}
		r.AddPIN(now, PIN{ID: name("pin", n), Check: []byte("042137"), Expires: now.Add(time.Hour).Unix()})
		guess(r, now, "n", "0")
	}
	if last := r.Events[len(r.Events)-1]; !r.PINsOff() || last.What != "pin_off" {
		t.Errorf("off is %t, staff are told %q", r.PINsOff(), last.What)
	}
	now = now.Add(pinDay)
	r.AddPIN(now, PIN{ID: here, Check: []byte("042137"), Expires: now.Add(time.Hour).Unix()})
	if _, fresh, _ := guess(r, now, "n", "042137"); fresh {
		t.Error("the next one opens")
	}
}

// An older gate that rewrites a record would drop what it does not know, and
// with it the count of guesses: it must see that the record is newer. A record
// without PINs is written so that it can.
func TestPINVersion(t *testing.T) {
	moved := func(r *Record) *Record { r.Moved(r.Events); return r }
	plain, _ := moved(record(1)).Encode(start)
	if r, err := Decode(plain); err != nil || r.Version != 1 {
		t.Errorf("a record without PINs has version %d, %v", r.Version, err)
	}
	with, _ := moved(pinned("042137")).Encode(start)
	if r, err := Decode(with); err != nil || r.Version != 2 {
		t.Errorf("one with a PIN has version %d, %v", r.Version, err)
	}
	waits, _ := record(1).Encode(start)
	if r, err := Decode(waits); err != nil || r.Version != 3 {
		t.Errorf("one with an event that waits has version %d, %v", r.Version, err)
	}
}

// A record is never too full for what was counted.
func TestPINCountsOutliveAFullRecord(t *testing.T) {
	r := pinned("042137")
	for range 10 {
		guess(r, start, "n", "0")
	}
	for i := range 40 {
		r.Known = append(r.Known, Known{HashOf(fmt.Append(nil, i)), start.Unix()})
	}
	signIns(r, 21, false)
	data, expires := r.Encode(start)
	if got, err := Decode(data); err != nil || got.PINs == nil || got.PINs.Row != 10 || !expires.IsZero() {
		t.Errorf("after that %+v, %v, gone at %v", got.PINs, err, expires)
	}
}
