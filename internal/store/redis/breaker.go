// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"errors"
	"sync"
	"time"
)

const (
	// breakAfter is how many failures in a row open a breaker. One connection
	// that was reset is not yet a server that is down.
	breakAfter = 3
	// probeEvery is how long an open breaker waits between two probes, and so
	// about how long a server that is back is not noticed.
	probeEvery = 100 * time.Millisecond
)

var errDown = errors.New("the server is down, and was asked a moment ago")

// A breaker keeps calls from a server that does not answer: each would wait for
// its timeout, and the gate with it. While it is open one call at a time is let
// through to see. The zero breaker is closed.
type breaker struct {
	mu       sync.Mutex
	failures int
	probing  bool
	probeAt  time.Time
}

// enter lets a call through or not, and says whether it is a probe. One that
// was let through ends with leave.
func (b *breaker) enter() (probe bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < breakAfter {
		return false, nil
	}
	if b.probing || time.Now().Before(b.probeAt) {
		return false, errDown
	}
	b.probing = true
	return true, nil
}

// verdict is what a call says about the server.
type verdict int

const (
	answered verdict = iota // with an error, perhaps
	silent                  // did not, in time
	unasked                 // the caller did not wait
)

func (b *breaker) leave(probe bool, v verdict) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
	}
	switch v {
	case answered:
		b.failures = 0
	case silent:
		b.failures++
		b.probeAt = time.Now().Add(probeEvery)
	}
}
