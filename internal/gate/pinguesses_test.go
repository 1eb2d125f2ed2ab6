// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/access"
)

// What guessing at PINs comes to, and what it tells.

// TestP01_ManyNetworks: 10 000 networks, every other one of IPv6, guess one live
// PIN. Limits by network never see more than one guess each; the client's own
// budget ends it.
func TestP01_ManyNetworks(t *testing.T) {
	n := 1_000
	if proof() {
		n = 10_000
	}
	w := newWorld(t, pins, wide)
	pin := w.issue("c-ada")
	for i := range n {
		guess := fmt.Sprintf("%06d", i)
		if guess == pin {
			continue
		}
		from := network(i)
		if i%2 == 1 { // a /64 of its own
			from = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, byte(i >> 16), byte(i >> 8), byte(i), 15: byte(i)})
		}
		if rec, _ := w.guess(from, "ada@example.com", guess); rec.Code != 422 {
			t.Fatalf("guess %d answered %d", i, rec.Code)
		}
	}
	r := w.record("c-ada")
	if r.PINs.Row > 10 || r.PINs.Row == 0 {
		t.Errorf("%d guesses were evaluated, want 10", r.PINs.Row)
	}
	if rec, _ := w.guess(network(n), "ada@example.com", pin); rec.Code != 422 {
		t.Errorf("the PIN still works after that: %d", rec.Code)
	}
	if proof() {
		fmt.Printf("proof: %d networks guessed one PIN, %d guesses were evaluated\n", n, r.PINs.Row)
	}
}

// TestP02_Spraying: one guess each at many addresses, of which few have a PIN.
// The network is stopped, and until then every address answers alike.
func TestP02_Spraying(t *testing.T) {
	w := newWorld(t, pins)
	w.issue("c-ada")
	refused := 0
	for i := range 100 {
		email := fmt.Sprintf("nobody%d@example.com", i)
		if i%10 == 3 {
			email = "ada@example.com"
		}
		switch rec, _ := w.guess(network(1), email, "000001"); rec.Code {
		case 429:
			refused++
		case 422:
		default:
			t.Fatalf("guess %d answered %d", i, rec.Code)
		}
	}
	if refused < 30 {
		t.Errorf("only %d of 100 guesses of one network were refused", refused)
	}
}

// TestP03_ManyAtOnce: 200 wrong guesses at the same moment. A count that is
// read, raised and written back would let most of them through.
func TestP03_ManyAtOnce(t *testing.T) {
	w := newWorld(t, pins, wide)
	pin := w.issue("c-ada")
	var wg sync.WaitGroup
	var odd atomic.Int64
	for i := range 200 {
		wg.Go(func() {
			if rec, _ := w.guess(network(i), "ada@example.com", other(pin)); rec.Code != 422 {
				odd.Add(1)
			}
		})
	}
	wg.Wait()
	if r := w.record("c-ada"); r.PINs.Row != 10 || odd.Load() != 0 {
		t.Errorf("%d were evaluated, want 10; %d odd answers", r.PINs.Row, odd.Load())
	}
	w.browser().from("192.0.2.1").pin("ada@example.com", pin).is(422)
}

// TestP04_ReissueResetsNothing: an attacker who gets staff to make new PINs, or
// waits for them, starts no count anew (NIST SP 800-63B-4, 3.1.3.2). After 100
// in a row PINs are off until staff turn them on; a link works all the while.
func TestP04_ReissueResetsNothing(t *testing.T) {
	w := newWorld(t, pins, wide)
	net := 0
	for w.row("c-ada") < access.WrongPINs {
		pin := w.issue("c-ada")
		for range 10 {
			net++
			w.guess(network(net), "ada@example.com", other(pin))
		}
		if w.row("c-ada")%20 == 0 { // the day's budget
			w.clock.advance(25 * time.Hour)
		}
		if net > 200 {
			t.Fatalf("%d guesses, %d counted", net, w.row("c-ada"))
		}
	}
	if _, err := w.rt.IssuePIN(context.Background(), PINOrder{Client: "c-ada", By: "desk", VerifiedBy: "x"}); !errors.Is(err, ErrLocked) {
		t.Fatalf("issuing while PINs are off: %v", err)
	}
	w.signIn("ada@example.com") // the other ways are open
	if err := w.rt.Unlock(context.Background(), "c-ada", "desk"); err != nil {
		t.Fatal(err)
	}
	if p := w.browser().from("192.0.2.1").pin("ada@example.com", w.issue("c-ada")); p.status != 200 {
		t.Errorf("after unlocking: %d %s", p.status, p.text())
	}
}

// row is the number of wrong PINs in a row.
func (w *world) row(client string) int {
	if r := w.record(client); r.PINs != nil {
		return r.PINs.Row
	}
	return 0
}

// TestP05_LockoutFromElsewhere: somebody burns tries to keep the client out.
// Their network is stopped; the client signs in from another.
func TestP05_LockoutFromElsewhere(t *testing.T) {
	w := newWorld(t, pins)
	pin := w.issue("c-ada")
	for i := range 20 {
		rec, _ := w.guess(network(1), "ada@example.com", other(pin))
		if want := map[bool]int{true: 422, false: 429}[i < 5]; rec.Code != want {
			t.Fatalf("guess %d answered %d, want %d", i, rec.Code, want)
		}
	}
	p := w.browser().from("10.0.0.1").pin("ada@example.com", pin)
	p.is(429).says("pin.wait.title").says("pin.wait.other")
	if p.header.Get("Retry-After") == "" {
		t.Error("it does not say how long to wait")
	}
	w.browser().from("192.0.2.1").pin("ada@example.com", pin).is(200)
}

// TestE03_PINLimitOracle: a wait after the same number of guesses, whether or not
// the address is on file or has a PIN.
func TestE03_PINLimitOracle(t *testing.T) {
	w := newWorld(t, pins)
	w.issue("c-ada")
	for i, email := range []string{"ada@example.com", "bob@example.com", "off@example.com", "nobody@example.com"} {
		for try := range 7 {
			rec, _ := w.guess(network(i), email, "000001")
			if want := map[bool]int{true: 422, false: 429}[try < 5]; rec.Code != want {
				t.Errorf("guess %d for %s answered %d, want %d", try, email, rec.Code, want)
			}
		}
	}
}

// TestP02_EqualWork: what a guess costs and how it is answered tells nothing of
// the address: whether it is on file, may sign in, has a PIN, or another one.
func TestP02_EqualWork(t *testing.T) {
	w := newWorld(t, pins, wide)
	w.issue("c-ada")
	type cost struct{ gets, updates, allows, puts int64 }
	var first cost
	var body string
	for i, email := range []string{"ada@example.com", "bob@example.com", "off@example.com", "nob@example.com"} {
		w.guess(network(100+i), email, "000001") // so that every record has been read
		w.clock.advance(time.Second)
		before := cost{w.db.gets.Load(), w.db.updates.Load(), w.db.allows.Load(), w.db.puts.Load()}
		rec, _ := w.guess(network(i), email, "000001")
		got := cost{w.db.gets.Load() - before.gets, w.db.updates.Load() - before.updates, w.db.allows.Load() - before.allows, w.db.puts.Load() - before.puts}
		shown := strings.ReplaceAll(stripNonces(rec.Body.String()), email, "EMAIL")
		if i == 0 {
			first, body = got, shown
			continue
		}
		if got != first {
			t.Errorf("a guess for %s costs %+v, for a client with a PIN %+v", email, got, first)
		}
		if shown != body || rec.Code != 422 || len(rec.Result().Cookies()) != 0 {
			t.Errorf("a guess for %s is answered %d with %d cookies, and with another page", email, rec.Code, len(rec.Result().Cookies()))
		}
	}
}

// TestP02_SpentPIN: the budget of a PIN, or of the day, is used up, and the
// attacker goes on guessing, to measure which guess is right: that a right one
// goes on to the queue and the record, or that none is written any more. No
// guess is looked at, and each costs what it costs for an address that is not
// on file.
func TestP02_SpentPIN(t *testing.T) {
	for name, spend := range map[string]func(w *world) string{
		"of the PIN": func(w *world) string {
			pin := w.issue("c-ada")
			for i := range 10 {
				w.guess(network(i), "ada@example.com", other(pin))
			}
			return pin
		},
		"of the day": func(w *world) string {
			pin := w.issue("c-ada")
			for i := range 19 {
				if i == 10 {
					pin = w.issue("c-ada")
				}
				w.guess(network(i), "ada@example.com", other(pin))
			}
			pin = w.issue("c-ada")
			w.guess(network(19), "ada@example.com", other(pin))
			return pin
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, pins, wide)
			pin := spend(w)
			w.guess(network(99), "zed@example.com", pin)
			row := w.row("c-ada")
			for i, email := range []string{"zed@example.com", "ada@example.com"} {
				for _, typed := range []string{pin, other(pin)} {
					before := w.cost()
					rec, _ := w.guess(network(200+2*i), email, typed)
					if got := w.cost().since(before); rec.Code != 422 || got.updates != 1 || got.puts != 0 || got.gets != 0 {
						t.Errorf("a guess at %s: %d, cost %+v", email, rec.Code, got)
					}
				}
			}
			if w.row("c-ada") != row {
				t.Error("a guess that was not looked at was counted")
			}
		})
	}
}

// TestP05_StaffLearn: after a day's budget staff are not given a PIN that could
// not work; once they have lifted that, they are.
func TestP05_StaffLearn(t *testing.T) {
	w := newWorld(t, pins, wide)
	for i := range 20 {
		if i%10 == 0 {
			w.issue("c-ada")
		}
		w.guess(network(i), "ada@example.com", fmt.Sprintf("%06d", i))
	}
	ctx, order := context.Background(), PINOrder{Client: "c-ada", By: "desk", VerifiedBy: "called back"}
	if _, err := w.rt.IssuePIN(ctx, order); !errors.Is(err, ErrLocked) {
		t.Fatalf("IssuePIN = %v, want %v", err, ErrLocked)
	}
	if err := w.rt.Unlock(ctx, "c-ada", "desk"); err != nil {
		t.Fatal(err)
	}
	w.browser().from("192.0.2.1").pin("ada@example.com", w.issue("c-ada")).is(200)
}
