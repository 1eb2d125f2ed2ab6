// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/portalgate/portalgate/internal/access"
)

// TestN04_Uniform: a PIN that is drawn unevenly is guessed sooner than its
// digits promise. A million of them are as even as chance makes them, and the
// first and the last that there are occur: a draw below 999999 never gives it.
func TestN04_Uniform(t *testing.T) {
	const n, bins = 1_000_000, 1000
	var firsts, lasts [bins]int
	var ends [2]bool
	draw := func() int {
		pin := newPIN(6)
		v, err := strconv.Atoi(pin)
		if err != nil || len(pin) != 6 {
			t.Fatalf("a PIN of %d digits: %v", len(pin), err)
		}
		ends[0], ends[1] = ends[0] || v == 0, ends[1] || v == 999_999
		return v
	}
	for range n {
		v := draw()
		firsts[v/1000]++
		lasts[v%1000]++
	}
	for half, counts := range map[string][bins]int{"first": firsts, "last": lasts} {
		var x2 float64
		for _, c := range counts {
			d := float64(c) - n/bins
			x2 += d * d / (n / bins)
		}
		// Of 999 degrees of freedom, five standard deviations from the mean: one
		// run in a million fails by chance.
		if most := 999 + 5*math.Sqrt(2*999); x2 > most {
			t.Errorf("the %s three digits: chi-square %.0f, want at most %.0f", half, x2, most)
		}
	}
	for i := 0; !ends[0] || !ends[1]; i++ {
		draw()
		if i > 40_000_000 { // e^-40
			t.Fatalf("000000 and 999999: %t", ends)
		}
	}
}

// TestP07_DumpCracking: somebody has the whole record, opened, and knows how it
// is made, but not the root secret. There are only a million PINs: all of them
// are tried (in proof; else those around the right one), and none is confirmed. With the pepper exactly one is, so the
// search would find it.
func TestP07_DumpCracking(t *testing.T) {
	w := newWorld(t, pins)
	pin := w.issue("c-ada")
	kept := w.record("c-ada").PINs.Live
	cost := Stretch{Passes: 1, KiB: 8} // as the tests' gate has it, or this would take days
	pepper := w.rt.eng.Load().pins.pepper
	from, to := 0, 1_000_000
	if !proof() { // the race detector makes each try ten times as long
		at, err := strconv.Atoi(pin)
		if err != nil {
			t.Fatal(err)
		}
		from, to = max(0, at-10_000), min(at+10_000, to)
	}
	for i := from; i < to; i++ {
		guess := fmt.Sprintf("%06d", i)
		if bytes.Equal(argon2.IDKey([]byte(guess), kept.Salt, cost.Passes, cost.KiB, 1, checkSize), kept.Check) {
			t.Fatal("the PIN is kept without the pepper")
		}
	}
	with := newStretcher(pepper, cost)
	without := newStretcher(make([]byte, 32), cost)
	for range 1000 {
		guess := newPIN(6)
		for name, s := range map[string]*stretcher{"the pepper": with, "another key": without} {
			check, err := s.guess(context.Background(), guess, kept.Salt)
			if err != nil {
				t.Fatal(err)
			}
			if kept.Is(check) != (guess == pin && name == "the pepper") {
				t.Fatalf("with %s another PIN than the one issued is confirmed", name)
			}
		}
	}
	if check, _ := with.guess(context.Background(), pin, kept.Salt); !kept.Is(check) {
		t.Error("with the pepper the PIN is not confirmed: the search proves nothing")
	}
}

// TestC06_HashFlood: PINs are posted faster than they can be stretched. No more
// than three are at a time, who has gone waits for nothing, and staff have a turn
// of their own.
func TestC06_HashFlood(t *testing.T) {
	s := newStretcher(make([]byte, 32), Stretch{Passes: 1, KiB: 8})
	for range maxStretching {
		s.turns <- struct{}{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.guess(ctx, "000000", make([]byte, saltSize)); err == nil {
		t.Error("a fourth was stretched beside three others")
	}
	if _, err := s.stretch(t.Context(), s.desk, "000000", make([]byte, saltSize)); err != nil {
		t.Errorf("staff wait behind guesses: %v", err)
	}
}

// TestP01_Bound: the best that guessing can do, whatever the number of networks
// and addresses: the rules alone, without limits by network, and each PIN that of
// a client at whom nobody has guessed that day. At most one live PIN in 100 000
// falls.
func TestP01_Bound(t *testing.T) {
	guesses := 1_000_000
	if proof() {
		guesses = 100_000_000
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	lt := access.Lifetimes{Idle: time.Hour, Absolute: time.Hour, SharedIdle: time.Hour, SharedAbsolute: time.Hour}
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	pinsMade, fell, made := 0, 0, 0
	for made < guesses {
		var r access.Record
		secret := rnd.Uint32N(1_000_000)
		id := access.Hash(fmt.Sprint(pinsMade))
		r.AddPIN(now, access.PIN{ID: id, Salt: []byte{1}, Check: fmt.Append(nil, secret), Expires: now.Add(24 * time.Hour).Unix()})
		pinsMade++
		first := rnd.Uint32N(1_000_000)
		for i := range uint32(12) { // two more than there are tries
			made++
			in := access.Redemption{Link: id, Nonce: "n", Session: "s", Method: "pin", Lifetimes: lt}
			p, _ := r.LivePIN(now)
			if r.ReservePIN(now, id) && p.Is(fmt.Append(nil, (first+i*7919)%1_000_000)) {
				if _, fresh, _ := r.RedeemPIN(now, in); fresh {
					fell++
				}
			}
		}
	}
	// Each PIN is guessed ten times of a million; three standard deviations more.
	mean := float64(pinsMade) * 1e-5
	if most := mean + 3*math.Sqrt(mean) + 1; float64(fell) > most {
		t.Errorf("%d of %d PINs fell to %d guesses, want at most %.1f", fell, pinsMade, made, most)
	}
	if proof() {
		fmt.Printf("proof: %d guesses at %d live PINs: %d fell, %.2g of them\n", made, pinsMade, fell, float64(fell)/float64(pinsMade))
	}
}

// TestP02_PINTiming: whoever guesses at a PIN measures the answers, to learn who
// is on file and has a PIN. A guess costs what it does in earnest.
func TestP02_PINTiming(t *testing.T) {
	n, bound := 80, 0.25 // five standard deviations
	if proof() {
		n, bound = 1_000, 0.065
	}
	w := &world{clock: &clock{}, stretch: Stretch{Passes: 2, KiB: 19 << 10}}
	var list strings.Builder
	list.WriteString("id,email,name\n")
	for i := range n {
		fmt.Fprintf(&list, "c%d,p%06d@example.com,Ada Lovelace\n", i, i)
	}
	w.clock.t.Store(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).UnixNano())
	w.begin(t, list.String(), wide, pins)
	for i := range n {
		w.issue(fmt.Sprintf("c%d", i))
	}
	var known, unknown []time.Duration
	for i := range n {
		tries := []func(){
			func() {
				_, took := w.guess(network(2*i), fmt.Sprintf("p%06d@example.com", i), "000000")
				known = append(known, took)
			},
			func() {
				_, took := w.guess(network(2*i+1), fmt.Sprintf("q%06d@example.com", i), "000000")
				unknown = append(unknown, took)
			},
		}
		if rand.N(2) == 0 {
			tries[0], tries[1] = tries[1], tries[0]
		}
		tries[0]()
		tries[1]()
	}
	area := auc(known, unknown)
	if proof() {
		fmt.Printf("proof: AUC of a guess at a live PIN %.4f, medians %v and %v, over %d each\n", area, median(known), median(unknown), n)
	}
	if math.Abs(area-0.5) > bound {
		t.Errorf("AUC %.4f, medians %v and %v; want 0.5 within %.2f", area, median(known), median(unknown), bound)
	}
}
