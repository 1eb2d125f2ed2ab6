// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package store says what the gate needs of a store: to change one value at a
// time by compare-and-swap, to count against limits, and to hold a queue. The
// rules of sign-in are not here; a store never looks inside a value.
//
// Implementations are in folders of their own and are all held to
// [github.com/portalgate/portalgate/internal/store/storetest].
package store

import (
	"context"
	"errors"
	"time"

	"github.com/portalgate/portalgate/internal/limit"
)

var (
	// ErrNotFound is returned by Get if the key holds no value, or one that
	// has expired.
	ErrNotFound = errors.New("not found")

	// ErrUnchanged is returned by the function given to Update to leave the
	// value as it is. Update then writes nothing and returns nil.
	ErrUnchanged = errors.New("unchanged")

	// ErrUnknown is returned (wrapped) by every method if the store cannot
	// tell: it is down, slow, closing, or too contended. It never means "no".
	ErrUnknown = errors.New("store unavailable")

	// ErrFull is returned by Queue.Put if the queue holds as many items as it may.
	ErrFull = errors.New("queue full")
)

// Value is what a key holds. A Value with nil Data is none at all: Update
// gets one for a missing key and removes the key if it is given one.
type Value struct {
	Data []byte
	// Expires is when the store may forget the value, and from when on it
	// must not return it. The zero time is never. It is kept to the
	// millisecond, dropping fractions, as are the times of an Item.
	Expires time.Time
	// Epoch names the history the store's contents belong to. It changes when
	// acknowledged writes may have been lost: another primary, a restart from a
	// snapshot. It is empty where that cannot be told or cannot happen. Get and
	// Update set it, Update also for a missing key; what is stored has none.
	Epoch string
}

// Store keeps values and limits. Its methods may be called concurrently.
type Store interface {
	// Get returns the value of key, or ErrNotFound.
	Get(ctx context.Context, key string) (Value, error)

	// Update changes the value of key: it calls f with the store's time and
	// the present value, and stores what f returns, unless the value or its
	// epoch changed in between, in which case f is called again. An error from f
	// is returned as it is and nothing is written (see ErrUnchanged).
	Update(ctx context.Context, key string, f func(now time.Time, old Value) (Value, error)) error

	// Allow counts all asks at the store's time, each under its own key. Asks
	// whose keys have the same part in braces are a group; one without braces is
	// a group of its own; groups come in the order of their first ask. A group
	// is counted as a whole or, if one of its asks is over its rate, not at all.
	// The last group is counted only if no other refused; those before it may
	// stay counted although another refused, and if one of them did, the
	// Decision need not say what the last would have answered.
	//
	// So the limits of a mailbox come last and in one group: a stranger who is
	// over a limit of their own could otherwise empty the mail budget of a
	// client without a mail being sent.
	//
	// An ask that only peeks writes nothing.
	Allow(ctx context.Context, asks []limit.Ask) (limit.Decision, error)

	// Forget forgets what was counted under keys of one group, as if nobody had
	// asked. Keys under which nothing was are no error.
	Forget(ctx context.Context, keys ...string) error
}

// Item is one thing to be done later.
type Item struct {
	// ID names the item. Putting an ID that is already queued changes nothing.
	ID   string
	Data []byte
	// Due is the earliest time it may be leased.
	Due time.Time
	// Expires is when the item is dropped undone. It must be set.
	Expires time.Time
	// Tries is how often it has been leased, this time included.
	Tries int
	// Lost reports that the item was put in another epoch (see Value.Epoch):
	// what came of it since may be lost, so it may have been done.
	Lost bool
}

// Lane is one of the two parts of a queue: what is tried again never stands
// before what was not tried yet.
type Lane int

// The lanes of a queue.
const (
	Fresh Lane = iota // what nobody has leased yet
	Again             // what somebody has
)

// Queue holds items until somebody has done them. Its methods may be called
// concurrently, and by several processes where the store is shared.
type Queue interface {
	// Put adds an item, durably. ErrFull if there is no room.
	Put(ctx context.Context, it Item) error
	// Lease returns up to max due items of a lane, oldest due first, that nobody
	// else holds, and keeps them from others for the given time.
	Lease(ctx context.Context, lane Lane, max int, hold time.Duration) ([]Item, error)
	// Done removes an item. Removing one that is gone is not an error.
	Done(ctx context.Context, id string) error
	// Retry gives an item back, to be leased from due on.
	Retry(ctx context.Context, id string, due time.Time) error
}

// Feed tells what others do to a store that several processes share. A Backend
// may be one, or wrap one: see [FeedOf].
type Feed interface {
	// Watch calls changed with the key of each value that another process
	// changed, soon after it did, and with "" whenever it may have missed some:
	// when it begins, and when it could not listen for a while. It returns when
	// ctx is done or the store closes, and then only; changed is called by one
	// goroutine at a time.
	Watch(ctx context.Context, changed func(key string)) error
}

// Health is what a store has to say about itself.
type Health struct {
	// Warnings are sentences for the operator.
	Warnings []string
	// Skew is how far the store's clock is ahead of this machine's; of several
	// servers, the one that is furthest off. Common is how far all are: that of
	// the nearest.
	Skew, Common time.Duration
}

// Checker is a Backend that can be asked whether it may be relied on.
type Checker interface {
	// Check returns an error that wraps ErrUnknown if it could not tell; any
	// other is a reason not to use the store, for operators to read.
	Check(ctx context.Context) (Health, error)
}

// FeedOf returns the feed of b or of what it wraps, or nil if there is none:
// then no other process changes the store's values.
func FeedOf(b Backend) Feed {
	for {
		if f, ok := b.(Feed); ok {
			return f
		}
		w, ok := b.(interface{ Unwrap() Backend })
		if !ok {
			return nil
		}
		b = w.Unwrap()
	}
}

// Backend is a whole store, as an implementation provides it.
type Backend interface {
	Store
	Queue
	// Close waits for running calls, then lets go of files and connections.
	// Calls made after it return ErrUnknown.
	Close() error
}
