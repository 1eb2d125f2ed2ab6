// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestMean(t *testing.T) {
	// Student's own example of 1908: hours of sleep gained with a drug.
	got := mean([]float64{0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0})
	want := interval{-0.530, 0.75, 2.030}
	if !near(got.low, want.low) || !near(got.mean, want.mean) || !near(got.high, want.high) {
		t.Errorf("mean = %.3f, want %.3f", got, want)
	}
}

func TestPaired(t *testing.T) {
	// What makes both of a pair slow is not a difference between them.
	bare := []float64{1, 5, 2, 100}
	gate := []float64{1.03, 5.15, 2.06, 103}
	if got := paired(bare, gate); !near(got.low, 3) || !near(got.mean, 3) || !near(got.high, 3) {
		t.Errorf("always 3 %% more = %.3f", got)
	}
	// Half as much and twice as much are the same distance away.
	if got := paired([]float64{1, 1}, []float64{2, 0.5}); !near(got.mean, 0) || got.low >= 0 || got.high <= 0 {
		t.Errorf("twice and half = %.3f, want 0 between its bounds", got)
	}
}

// TestCoverage checks that the interval holds what it says, 95 times in 100.
func TestCoverage(t *testing.T) {
	const trials, truth = 4000, 10
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{3, 10} {
		held := 0
		for range trials {
			xs := make([]float64, n)
			for i := range xs {
				xs[i] = truth + random.NormFloat64()
			}
			if got := mean(xs); got.low <= truth && truth <= got.high {
				held++
			}
		}
		if share := float64(held) / trials; math.Abs(share-0.95) > 0.012 {
			t.Errorf("of %d values: the interval holds the truth in %.3f of all cases, want 0.95", n, share)
		}
	}
}

func TestQuantile(t *testing.T) {
	var xs []time.Duration
	for i := range 200 {
		xs = append(xs, time.Duration(i+1))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 100, 0.99: 198, 1: 200} {
		if got := quantile(xs, q); got != want {
			t.Errorf("quantile(1 to 200, %v) = %d, want %d", q, got, want)
		}
	}
	if got := quantile(xs[:1], 0.99); got != 1 {
		t.Errorf("quantile of one value = %d, want that", got)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{1: "1", 999: "999", 1000: "1 000", 100_000: "100 000", 1_234_567: "1 234 567"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
}

func near(a, b float64) bool { return math.Abs(a-b) < 0.001 }
