// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"math/rand/v2"
	"testing"
	"time"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// key is what a store does for one key.
type key struct{ tat time.Time }

func (k *key) ask(r Rate, now time.Time) (wait time.Duration) {
	k.tat, wait = r.Next(k.tat, now)
	return wait
}

// burst counts how many are allowed at one instant.
func (k *key) burst(r Rate, now time.Time) (n int) {
	for k.ask(r, now) == 0 {
		n++
	}
	return n
}

func TestNext(t *testing.T) {
	type step struct {
		at   time.Duration
		wait time.Duration
	}
	for _, tc := range []struct {
		name  string
		rate  Rate
		steps []step
	}{
		{"one an hour", Rate{1, time.Hour}, []step{
			{0, 0}, {0, time.Hour}, {time.Hour - time.Microsecond, time.Microsecond}, {time.Hour, 0}, {time.Hour, time.Hour},
		}},
		{"three at once, then one each third", Rate{3, 3 * time.Second}, []step{
			{0, 0}, {0, 0}, {0, 0}, {0, time.Second},
			{time.Second - 1, 1}, {time.Second, 0}, {time.Second, time.Second},
			{3 * time.Second, 0}, {3 * time.Second, 0}, {3 * time.Second, time.Second},
		}},
		{"what was refused is not counted", Rate{1, time.Second}, []step{
			{0, 0}, {time.Second / 2, time.Second / 2}, {time.Second / 2, time.Second / 2}, {time.Second, 0},
		}},
		{"nothing is saved up beyond a full bucket", Rate{2, time.Second}, []step{
			{0, 0}, {time.Hour, 0}, {time.Hour, 0}, {time.Hour, time.Second / 2},
		}},
		{"thirds are rounded up, never down", Rate{3, time.Second}, []step{
			{0, 0}, {0, 0}, {0, 0}, {0, 333334 * time.Microsecond},
		}},
		{"more than one in a microsecond", Rate{3, 2 * time.Microsecond}, []step{
			{0, 0}, {0, 0}, {0, 0}, {0, time.Microsecond}, {time.Microsecond, 0}, {time.Microsecond, time.Microsecond},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var k key
			for i, s := range tc.steps {
				if got := k.ask(tc.rate, t0.Add(s.at)); got != s.wait {
					t.Fatalf("step %d, at %v: wait %v, want %v", i, s.at, got, s.wait)
				}
			}
		})
	}
}

// A rate that is missing or nonsense must not let everybody through.
func TestNextAllowsNothing(t *testing.T) {
	for _, r := range []Rate{{}, {0, time.Hour}, {5, 0}, {-1, time.Hour}, {5, -time.Hour}} {
		for _, tat := range []time.Time{{}, t0, t0.Add(time.Hour)} {
			if next, wait := r.Next(tat, t0); wait != Never || !next.Equal(tat) {
				t.Errorf("%+v.Next(%v) = %v, %v, want %v, %v", r, tat, next, wait, tat, Never)
			}
		}
	}
}

// A clock that is set back must neither give new tries nor shut somebody out
// until it has caught up.
func TestNextClockSetBack(t *testing.T) {
	r := Rate{4, time.Minute}
	for _, back := range []time.Duration{time.Nanosecond, time.Second, time.Minute, time.Hour, 10 * 365 * 24 * time.Hour} {
		var k key
		k.burst(r, t0)
		now := t0.Add(-back)
		wait := k.ask(r, now)
		if wait != 15*time.Second {
			t.Errorf("back by %v: wait %v, want 15 s", back, wait)
		}
		if n := k.burst(r, now.Add(wait)); n != 1 {
			t.Errorf("back by %v: %d after the wait, want 1", back, n)
		}
		if n := k.burst(r, now.Add(wait+time.Minute)); n != 4 {
			t.Errorf("back by %v: %d a minute later, want 4", back, n)
		}
	}
}

// Forgetting an instant that is reached changes nothing: stores do.
func TestNextForgets(t *testing.T) {
	r := Rate{3, time.Minute}
	tat := t0.Add(time.Second)
	for _, d := range []time.Duration{time.Second, time.Minute, time.Hour} {
		n1, w1 := r.Next(tat, t0.Add(d))
		n2, w2 := r.Next(time.Time{}, t0.Add(d))
		if !n1.Equal(n2) || w1 != w2 {
			t.Errorf("%v later: %v, %v with the instant and %v, %v without", d, n1, w1, n2, w2)
		}
	}
}

// The model is the bucket that GCRA stands for, followed microsecond by
// microsecond: each event pours in what drains in each, and it may hold count
// of them.
func TestNextIsTheBucket(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		count := 1 + rnd.IntN(6)
		r := Rate{count, time.Duration(1+rnd.IntN(60)) * time.Microsecond}
		each := int((r.Per.Microseconds() + int64(count) - 1) / int64(count))
		full := each * count

		var k key
		var admitted []int
		level := 0
		for now := range 1000 { // microseconds
			level = max(level-1, 0)
			for range rnd.IntN(3) * rnd.IntN(2) {
				wait := k.ask(r, t0.Add(time.Duration(now)*time.Microsecond))
				wantWait := max(level+each-full, 0)
				if wait != time.Duration(wantWait)*time.Microsecond {
					t.Fatalf("%+v at %d µs with level %d of %d: wait %v, want %d µs", r, now, level, full, wait, wantWait)
				}
				if wait == 0 {
					level += each
					admitted = append(admitted, now)
				}
			}
		}
		// In no window of Per more than the bucket and what drains meanwhile.
		for i := range admitted {
			if j := i + 2*count; j < len(admitted) && admitted[j]-admitted[i] < int(r.Per.Microseconds()) {
				t.Fatalf("%+v: more than %d within %v", r, 2*count, r.Per)
			}
		}
	}
}
