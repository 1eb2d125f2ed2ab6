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
	t.Run("nothing to ask", h.noAsks)
	t.Run("peek", h.peek)
	t.Run("durable", h.durableLimits)
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
		{Key: "narrow", Rate: limit.Rate{Count: 10, Per: 24 * time.Hour}},
		{Key: "wide", Rate: limit.Rate{Count: 40, Per: 24 * time.Hour}},
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

// severalAsks: a refusal counts nothing, or else a stranger who is over a
// limit of their own could empty the mail budget of a client, for whom no mail
// is then sent.
func (h Harness) severalAsks(t *testing.T) {
	b := h.open(t)
	one := limit.Ask{Key: "one", Rate: limit.Rate{Count: 1, Per: time.Hour}}
	three := limit.Ask{Key: "three", Rate: limit.Rate{Count: 3, Per: time.Hour}}
	none := limit.Ask{Key: "none"}

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
	d = allow(t, b, none, limit.Ask{Key: "fresh", Rate: one.Rate}, three)
	if want := []int{0, 2}; !slices.Equal(d.Refused, want) {
		t.Errorf("Refused = %v, want %v", d.Refused, want)
	}

	// Limits and values do not meet.
	wantValue(t, b, "one", "")
	update(t, b, "three", set("value"))
	if n := left(t, b, three); n != 0 {
		t.Errorf("a value of that name gave back %d", n)
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
	a := limit.Ask{Key: "key", Rate: limit.Rate{Count: 2, Per: time.Hour}}
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
	none := limit.Ask{Key: "none", Rate: limit.Rate{Count: 1, Per: time.Minute}}
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
	a := limit.Ask{Key: "key", Rate: limit.Rate{Count: 2, Per: 10 * time.Second}}
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
	slow := limit.Ask{Key: "slow", Rate: limit.Rate{Count: 1, Per: time.Hour}}
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
