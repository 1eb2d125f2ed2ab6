// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"fmt"
	"math/rand/v2"
	"os"
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

func guess(r *Record, now time.Time, nonce, check string) (Session, bool, State) {
	id := Hash("none")
	if p, ok := r.LivePIN(now); ok {
		id = p.ID
	}
	in := Redemption{Link: id, Nonce: HashOf([]byte(nonce)), Session: HashOf([]byte(string(id) + nonce)), Method: "pin", Lifetimes: usual}
	s, fresh, _, state := r.TryPIN(now, in, []byte(check))
	return s, fresh, state
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

// An older gate that rewrites a record would drop what it does not know, and
// with it the count of guesses: it must see that the record is newer. A record
// without PINs is written so that it can.
func TestPINVersion(t *testing.T) {
	plain, _ := record(1).Encode(start)
	if r, err := Decode(plain); err != nil || r.Version != 1 {
		t.Errorf("a record without PINs has version %d, %v", r.Version, err)
	}
	with, _ := pinned("042137").Encode(start)
	if r, err := Decode(with); err != nil || r.Version != 2 {
		t.Errorf("one with a PIN has version %d, %v", r.Version, err)
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

// TestPINModel runs generated sequences beside a model that knows only how often
// what was guessed.
func TestPINModel(t *testing.T) {
	var opened, spent, off, dayOver int
	seeds := uint64(40)
	if os.Getenv("PORTALGATE_PROOF") == "1" {
		seeds = 3000
	}
	for seed := range seeds {
		rnd := rand.New(rand.NewPCG(seed, 7))
		r, now := new(Record), start
		r.Bind(now, "client", "address")
		var live string // the digits of the live PIN
		var expires, dayFrom time.Time
		var tries, day, row, made int
		for step := range 400 {
			now = now.Add(time.Duration(rnd.IntN(3600)) * time.Second)
			if rnd.IntN(20) == 0 {
				now = now.Add(25 * time.Hour)
			}
			data, _ := r.Encode(now)
			var err error
			if r, err = Decode(data); err != nil {
				t.Fatal(err)
			}
			if live != "" && !now.Before(expires) {
				live = ""
			}
			switch n := rnd.IntN(100); {
			case n < 12:
				made++
				live, tries, expires = fmt.Sprintf("%d-%d", seed, made), 0, now.Truncate(time.Second).Add(24*time.Hour)
				r.AddPIN(now, PIN{ID: HashOf([]byte(live)), Salt: []byte{1}, Check: []byte(live), Expires: expires.Unix()})
			case n < 14:
				r.StopPIN(now, "", StoppedOffice)
				if row < WrongPINs {
					live = ""
				}
			case n < 14+int(seed%4)/3:
				r.Unlock(now)
				row, day = 0, 0
			default:
				right := live != "" && seed%2 == 0 && rnd.IntN(60) == 0
				typed := "wrong"
				if right {
					typed = live
				}
				if !now.Before(dayFrom.Add(24 * time.Hour)) {
					day = 0
				}
				looked := live != "" && row < WrongPINs && day < dayTries
				s, fresh, state := guess(r, now, fmt.Sprint(step), typed)
				if fresh != (looked && right) || fresh != (state == Live) || fresh && s.Method != "pin" {
					t.Fatalf("seed %d, step %d: fresh %t, %q; looked at %t, right %t", seed, step, fresh, state, looked, right)
				}
				if live != "" && row < WrongPINs && day >= dayTries {
					dayOver++
				}
				if looked {
					if day == 0 {
						dayFrom = now.Truncate(time.Second)
					}
					day, row, tries = day+1, row+1, tries+1
					switch {
					case right:
						row, live = 0, ""
						opened++
					case row >= WrongPINs:
						live = ""
						off++
					case tries >= pinTries:
						live = ""
						spent++
					}
				}
			}
			got := 0
			if r.PINs != nil {
				got = r.PINs.Row
			}
			_, is := r.LivePIN(now)
			if got != row || is != (live != "" && row < WrongPINs) {
				t.Fatalf("seed %d, step %d: %d in a row, want %d; live %t, want %t", seed, step, got, row, is, live != "")
			}
		}
	}
	if min(opened, spent, off, dayOver) == 0 {
		t.Errorf("some rule was never exercised: opened %d, spent %d, off %d, day over %d", opened, spent, off, dayOver)
	}
}
