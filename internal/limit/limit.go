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
	// Peek only asks whether the event would pass, and counts nothing. It is
	// answered, RetryAfter included, as if the event had been counted.
	Peek bool
}

// Decision is the answer to several asks made together.
type Decision struct {
	// Allowed reports whether every ask was within its rate. If not, none of the
	// group that refused was counted: see package store.
	Allowed bool
	// RetryAfter is how long until those that were refused would pass; zero if
	// Allowed.
	RetryAfter time.Duration
	// Refused lists the indexes of the asks that were over their rate.
	Refused []int
}

// Never is how long to wait for a rate that allows nothing: long enough to mean
// no, short enough to be added to a time or rounded up.
const Never = 365 * 24 * time.Hour

// Next counts one event at now. tat is the instant kept for the key, zero if
// there is none; next is what to keep in its place, even if the event was over
// the rate. wait is zero if the event was within the rate, else how long until
// one would be.
//
// An instant that now has reached says no more than none at all: it may be
// forgotten.
func (r Rate) Next(tat, now time.Time) (next time.Time, wait time.Duration) {
	if r.Count <= 0 || r.Per <= 0 {
		return tat, Never // fail closed
	}
	// Rounded up to whole microseconds, which every store can keep: Count at
	// once is exact, and what follows is never faster than the rate.
	n := time.Duration(r.Count)
	each := (r.Per + n*time.Microsecond - 1) / (n * time.Microsecond) * time.Microsecond
	full := now.Add(n * each)

	switch {
	case tat.Before(now):
		tat = now
	case tat.After(full):
		tat = full // the clock was set back: nobody waits longer than for a full bucket
	}
	if wait := tat.Add(each).Sub(full); wait > 0 {
		return tat, wait
	}
	return tat.Add(each), 0
}
