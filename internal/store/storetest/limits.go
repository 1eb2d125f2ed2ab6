// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/store"
)

func (h Harness) limits(t *testing.T) {
	t.Run("exact under concurrency", h.limitsConcurrent)
	t.Run("several asks", h.severalAsks)
	t.Run("groups", h.groups)
	t.Run("nothing to ask", h.noAsks)
	t.Run("peek", h.peek)
	t.Run("durable", h.durableLimits)
	t.Run("forget", h.forget)
	if h.Advance != nil {
		t.Run("retry after", h.retryAfter)
	}
}

func allow(t *testing.T, b store.Backend, asks ...limit.Ask) limit.Decision {
	t.Helper()
	d, err := b.Allow(t.Context(), asks)
	if err != nil {
		t.Fatalf("Allow: %v", err)
	}
	if d.Allowed != (len(d.Refused) == 0) || d.Allowed != (d.RetryAfter == 0) {
		t.Fatalf("Allow contradicts itself: %+v", d)
	}
	return d
}

// left counts how many more are allowed.
func left(t *testing.T, b store.Backend, a limit.Ask) (n int) {
	t.Helper()
	for allow(t, b, a).Allowed {
		n++
	}
	return n
}

func (h Harness) limitsConcurrent(t *testing.T) {
	b := h.open(t)
	asks := []limit.Ask{
		{Key: "narrow/{a}", Rate: limit.Rate{Count: 10, Per: 24 * time.Hour}},
		{Key: "wide/{a}", Rate: limit.Rate{Count: 40, Per: 24 * time.Hour}},
	}
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 2 {
				d, err := b.Allow(t.Context(), asks)
				if err != nil {
					t.Errorf("Allow: %v", err)
					return
				}
				if d.Allowed {
					allowed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if allowed.Load() != 10 {
		t.Errorf("allowed %d, want 10", allowed.Load())
	}
	if n := left(t, b, asks[1]); n != 30 {
		t.Errorf("%d left of the wide limit's 40, want 30", n)
	}
}

// severalAsks: in a group, a refusal counts nothing, or else a mailbox whose day
// is used up would lose its hour's as well.
func (h Harness) severalAsks(t *testing.T) {
	b := h.open(t)
	one := limit.Ask{Key: "one/{a}", Rate: limit.Rate{Count: 1, Per: time.Hour}}
	three := limit.Ask{Key: "three/{a}", Rate: limit.Rate{Count: 3, Per: time.Hour}}
	none := limit.Ask{Key: "none/{a}"}

	if d := allow(t, b, one, three); !d.Allowed {
		t.Fatalf("fresh keys were refused: %+v", d)
	}
	d := allow(t, b, one, three)
	if want := []int{0}; !slices.Equal(d.Refused, want) {
		t.Errorf("Refused = %v, want %v", d.Refused, want)
	}
	if d.RetryAfter <= 59*time.Minute || d.RetryAfter > time.Hour {
		t.Errorf("RetryAfter = %v, want just under an hour", d.RetryAfter)
	}
	if n := left(t, b, three); n != 2 {
		t.Errorf("%d left of three after one was counted and one refused with another, want 2", n)
	}
	d = allow(t, b, none, limit.Ask{Key: "fresh/{a}", Rate: one.Rate}, three)
	if want := []int{0, 2}; !slices.Equal(d.Refused, want) {
		t.Errorf("Refused = %v, want %v", d.Refused, want)
	}

	// One key asked for twice counts twice.
	twice := limit.Ask{Key: "twice/{a}", Rate: limit.Rate{Count: 3, Per: time.Hour}}
	allow(t, b, twice, twice)
	if n := left(t, b, twice); n != 1 {
		t.Errorf("%d left of three after one call that asked twice, want 1", n)
	}

	// Limits and values do not meet.
	wantValue(t, b, "one/{a}", "")
	update(t, b, "three/{a}", set("value"))
	if n := left(t, b, three); n != 0 {
		t.Errorf("a value of that name gave back %d", n)
	}
}

// groups: a stranger who is over a limit of their own could otherwise empty the
// mail budget of a client, for whom no mail is then sent.
func (h Harness) groups(t *testing.T) {
	b := h.open(t)
	browser := limit.Ask{Key: "browser/{b}", Rate: limit.Rate{Count: 1, Per: time.Hour}}
	network := limit.Ask{Key: "network", Rate: limit.Rate{Count: 100, Per: time.Hour}}
	minute := limit.Ask{Key: "minute/{m}", Rate: limit.Rate{Count: 3, Per: time.Hour}}
	day := limit.Ask{Key: "day/{m}", Rate: limit.Rate{Count: 5, Per: 24 * time.Hour}}
	asks := []limit.Ask{browser, network, minute, day}

	if d := allow(t, b, asks...); !d.Allowed {
		t.Fatalf("fresh keys were refused: %+v", d)
	}
	for range 10 {
		if d := allow(t, b, asks...); !slices.Equal(d.Refused, []int{0}) {
			t.Fatalf("Refused = %v, want the browser's limit alone", d.Refused)
		}
	}
	peek := func(a limit.Ask) limit.Ask { a.Peek = true; return a }
	for range 10 { // whoever peeks at what refuses is stopped by it as well
		if d := allow(t, b, peek(browser), network, minute, day); !slices.Equal(d.Refused, []int{0}) {
			t.Fatalf("Refused = %v, want the browser's limit alone", d.Refused)
		}
	}
	if n := left(t, b, minute); n != 2 {
		t.Errorf("%d left of the mailbox's 3 after one mail, want 2", n)
	}
	if n := left(t, b, day); n != 4 {
		t.Errorf("%d left of the mailbox's 5 after one mail, want 4", n)
	}

	// The last group refuses by itself, with its own indexes, all or nothing.
	other := browser
	other.Key = "browser/{c}"
	fresh := limit.Ask{Key: "fresh/{m}", Rate: limit.Rate{Count: 2, Per: time.Hour}}
	if d := allow(t, b, other, fresh, network, day); !slices.Equal(d.Refused, []int{3}) {
		// Groups are {c}, {m}, network: what is last is decided by the first ask.
		t.Errorf("Refused = %v, want the day's limit", d.Refused)
	}
	if n := left(t, b, fresh); n != 2 {
		t.Errorf("%d left of 2 beside a refusal in the same group, want 2", n)
	}
}

func (h Harness) noAsks(t *testing.T) {
	if d := allow(t, h.open(t)); !d.Allowed {
		t.Errorf("asking for nothing was refused: %+v", d)
	}
}

// peek: it is answered as if it had been counted, or else the answer to
// somebody who is only looked at would differ from that to somebody who is
// counted, and tell which of them it is.
func (h Harness) peek(t *testing.T) {
	b := h.open(t)
	a := limit.Ask{Key: "key/{a}", Rate: limit.Rate{Count: 2, Per: time.Hour}}
	look := a
	look.Peek = true
	for range 5 {
		if d := allow(t, b, look); !d.Allowed {
			t.Fatalf("a peek at a fresh key was refused: %+v", d)
		}
	}
	if n := left(t, b, a); n != 2 {
		t.Errorf("%d left of two after peeks, want 2", n)
	}
	if d := allow(t, b, look); !slices.Equal(d.Refused, []int{0}) {
		t.Errorf("a peek at a full key: %+v, want it refused", d)
	}

	// Beside a refusal, and for how long to wait, a peek is like the event.
	none := limit.Ask{Key: "none/{a}", Rate: limit.Rate{Count: 1, Per: time.Minute}}
	allow(t, b, none)
	peeked, counted := allow(t, b, none, look), allow(t, b, none, a)
	if !slices.Equal(peeked.Refused, counted.Refused) ||
		(peeked.RetryAfter-counted.RetryAfter).Abs() > 10*time.Second {
		t.Errorf("a peek was answered %+v, the event itself %+v", peeked, counted)
	}
}

// durableLimits: a crash must not give an attacker new tries.
func (h Harness) durableLimits(t *testing.T) {
	b := h.open(t)
	a := limit.Ask{Key: "key", Rate: limit.Rate{Count: 3, Per: 24 * time.Hour}}
	allow(t, b, a)
	allow(t, b, a)
	b = h.reopen(t, b)
	if n := left(t, b, a); n != 1 {
		t.Errorf("%d left after a restart, want 1", n)
	}
}

func (h Harness) retryAfter(t *testing.T) {
	b := h.open(t)
	a := limit.Ask{Key: "key/{a}", Rate: limit.Rate{Count: 2, Per: 10 * time.Second}}
	if n := left(t, b, a); n != 2 {
		t.Fatalf("%d at once, want 2", n)
	}
	if d := allow(t, b, a); d.RetryAfter != 5*time.Second {
		t.Errorf("RetryAfter = %v, want 5 s", d.RetryAfter)
	}
	h.Advance(5*time.Second - time.Millisecond)
	if d := allow(t, b, a); d.RetryAfter != time.Millisecond {
		t.Errorf("RetryAfter = %v, want 1 ms", d.RetryAfter)
	}
	h.Advance(time.Millisecond) // on the instant
	if n := left(t, b, a); n != 1 {
		t.Errorf("%d when the first was over, want 1", n)
	}
	h.Advance(time.Hour)
	if n := left(t, b, a); n != 2 {
		t.Errorf("%d after a long time, want 2 and no more", n)
	}

	// It is how long until all that refused would pass, and no longer.
	slow := limit.Ask{Key: "slow/{a}", Rate: limit.Rate{Count: 1, Per: time.Hour}}
	if d := allow(t, b, slow, a); d.RetryAfter != 5*time.Second || !slices.Equal(d.Refused, []int{1}) {
		t.Errorf("%+v, want the second refused for 5 s", d)
	}
	allow(t, b, slow)
	if d := allow(t, b, slow, a); d.RetryAfter != time.Hour || !slices.Equal(d.Refused, []int{0, 1}) {
		t.Errorf("%+v, want both refused for an hour", d)
	}
	h.Advance(time.Hour)
	if d := allow(t, b, slow, a); !d.Allowed {
		t.Errorf("refused after RetryAfter: %+v", d)
	}
}

// forget: what was counted under the keys that are named is as if it had not been,
// and nothing else is.
func (h Harness) forget(t *testing.T) {
	b := h.open(t)
	rate := limit.Rate{Count: 3, Per: 24 * time.Hour}
	ask := func(key string) limit.Ask { return limit.Ask{Key: key, Rate: rate} }
	for _, key := range []string{"a/{one}", "b/{one}", "c/{one}", "a/{two}"} {
		if n := left(t, b, ask(key)); n != 3 {
			t.Fatalf("%s: %d at first", key, n)
		}
	}
	for range 2 { // the second time there is nothing
		if err := b.Forget(t.Context(), "a/{one}", "b/{one}", "never/{one}"); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int{"a/{one}": 3, "b/{one}": 3, "c/{one}": 0, "a/{two}": 0} {
		if n := left(t, b, ask(key)); n != want {
			t.Errorf("%s: %d left, want %d", key, n, want)
		}
	}
}
