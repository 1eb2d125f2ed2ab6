// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestHourly(t *testing.T) {
	var h Hourly
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		at   time.Duration
		want bool
	}{
		{0, true}, {0, false}, {59 * time.Minute, false}, {time.Hour, true}, {90 * time.Minute, false}, {3 * time.Hour, true},
		{-time.Hour, true}, // a clock that was put back does not silence it
	} {
		if got := h.Due(start.Add(tc.at)); got != tc.want {
			t.Errorf("due after %v: %t, want %t", tc.at, got, tc.want)
		}
	}
	var said atomic.Int64
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if h.Due(start.Add(9 * time.Hour)) {
				said.Add(1)
			}
		})
	}
	all.Wait()
	if said.Load() != 1 {
		t.Errorf("due %d times at once", said.Load())
	}
}
