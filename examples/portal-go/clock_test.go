// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Clocks that are half a minute apart are usual and harm nobody, whatever the
// age of an assertion. Two minutes let an assertion live three times as long,
// or not at all: that is refused.
func TestJ05_ClockSkew(t *testing.T) {
	const s = time.Second
	for _, tc := range []struct {
		gate, upstream time.Duration // how far ahead
		ok             bool
	}{
		{0, 0, true},
		{0, 20 * s, true}, {0, -20 * s, true}, {20 * s, 0, true}, {-20 * s, 0, true},
		{0, 30 * s, true}, {0, -30 * s, true}, {30 * s, 0, true}, {-30 * s, 0, true},
		{15 * s, -15 * s, true}, {-15 * s, 15 * s, true}, {120 * s, 120 * s, true},
		{0, 120 * s, false}, {0, -120 * s, false}, {120 * s, 0, false}, {-120 * s, 0, false},
		{60 * s, -60 * s, false}, {-60 * s, 60 * s, false},
	} {
		t.Run(fmt.Sprintf("gate %v, upstream %v", tc.gate, tc.upstream), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGates(t, 1)
				u := g.upstream(tc.upstream)
				token := sign(t, g.rings[0], time.Now().Add(tc.gate))
				if ok := u.accepts(token); ok != tc.ok {
					t.Errorf("fresh: accepted %t, want %t", ok, tc.ok)
				}
				time.Sleep(59 * s)
				if ok := u.accepts(token); tc.ok && !ok {
					t.Error("59 s old: refused")
				}
			})
		})
	}
}

// A clock that is put right, or wrong, moves at once. Whatever it does within
// half a minute of the other, back and forth, refuses nobody, also not what was
// signed before the step and arrives after it; and one that was two minutes off
// is forgotten as soon as it is put right.
func TestJ05_ClockSteps(t *testing.T) {
	steps := []struct {
		at             int // second
		gate, upstream int // how far ahead from then on, in seconds
	}{
		{10, -20, 0}, {40, 20, 0}, {80, 0, 0}, // a step back, one forward, right again
		{120, 0, 20}, {160, 0, -20}, {200, 0, 0},
		{240, 15, -15}, {270, -15, 15}, {300, 0, 0},
		{340, 120, 0}, {350, 0, 0}, {390, -120, 0}, {400, 0, 0},
		{440, 0, 120}, {450, 0, 0}, {490, 0, -120}, {500, 0, 0},
	}
	synctest.Test(t, func(t *testing.T) {
		g := newGates(t, 1)
		start := time.Now()
		var gate, upstream, smear time.Duration
		u := g.upstreamAt(func() time.Time { return time.Now().Add(upstream) })
		before := ""
		for second := range 600 {
			for _, s := range steps {
				if s.at == second {
					gate, upstream = time.Duration(s.gate)*time.Second, time.Duration(s.upstream)*time.Second
				}
			}
			if second >= 520 {
				smear = -time.Since(start.Add(520*time.Second)) / 80 // a leap second, spread out
			}
			off := (gate - upstream).Abs() > time.Minute
			token := sign(t, g.rings[0], time.Now().Add(gate+smear))
			if ok := u.accepts(token); ok == off {
				t.Errorf("second %d, gate %v, upstream %v: accepted %t", second, gate+smear, upstream, ok)
			}
			if !off && before != "" && !u.accepts(before) {
				t.Errorf("second %d, gate %v, upstream %v: refused what was signed a second ago", second, gate+smear, upstream)
			}
			before = token
			if off {
				before = ""
			}
			time.Sleep(time.Second)
		}
	})
}

// An upstream whose clock jumps counts its 30 s between two fetches from a
// moment that may lie ahead. It must learn of new keys all the same.
func TestJ05_StepWhileKeysChange(t *testing.T) {
	for _, step := range []time.Duration{-24 * time.Hour, -time.Minute, time.Minute, 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			g := newGates(t, 1)
			var off time.Duration
			u := g.upstreamAt(func() time.Time { return time.Now().Add(off) })
			if !u.accepts(sign(t, g.rings[0], time.Now())) {
				t.Fatal("refused before anything happened")
			}
			off = step // its clock was wrong by as much, and so was the gate's
			g.must(g.rings[0].Replace(t.Context()))
			if !u.accepts(sign(t, g.rings[0], time.Now().Add(off))) {
				t.Errorf("step %v: new keys are not fetched", step)
			}
		})
	}
}
