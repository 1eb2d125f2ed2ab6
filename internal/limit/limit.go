// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package limit is the arithmetic of rate limits: the generic cell rate
// algorithm (GCRA, ITU-T I.371), which needs one instant per key and knows to
// the microsecond how long somebody has to wait. It is pure: a store keeps the
// instants and supplies the clock, so every store limits alike.
//
// What is limited, and how much, is the gate's business. This package keeps
// nothing and decides nothing about people.
package limit

import "time"

// Rate allows Count events in every Per, all of them at once if need be. The
// zero Rate allows nothing.
type Rate struct {
	Count int
	Per   time.Duration
}

// Ask is one event to be counted under a key. Keys are hashes: no address or
// network may stand in one.
type Ask struct {
	Key  string
	Rate Rate
}

// Decision is the answer to several asks made together.
type Decision struct {
	// Allowed reports whether every ask was within its rate. Asks that were
	// within theirs are counted even if another was not: nothing is refunded.
	Allowed bool
	// RetryAfter is how long until all of them would pass; zero if Allowed.
	RetryAfter time.Duration
	// Refused lists the indexes of the asks that were over their rate.
	Refused []int
}
