// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package plugins

import (
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
)

// A program that keeps ending is started again at once, and then after waits
// that double up to half a minute; nobody waits for them here.
func TestG01_BackOff(t *testing.T) {
	p := New(command(t, "end at once", "{}"), zap.NewNop())
	waits, over := make(chan time.Duration), make(chan time.Time)
	close(over)
	p.after = func(d time.Duration) <-chan time.Time {
		select {
		case waits <- d:
		case <-p.closing.Done():
		}
		return over
	}
	p.Warm()
	var got []time.Duration
	for range 9 {
		got = append(got, (<-waits).Round(time.Millisecond))
	}
	stop(t, p)
	s := time.Second
	if want := []time.Duration{0, s / 2, s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s}; !slices.Equal(got, want) {
		t.Errorf("waits of %v, want %v", got, want)
	}
}
