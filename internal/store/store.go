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
}

// Store keeps values and limits. Its methods may be called concurrently.
type Store interface {
	// Get returns the value of key, or ErrNotFound.
	Get(ctx context.Context, key string) (Value, error)

	// Update changes the value of key: it calls f with the store's time and
	// the present value, and stores what f returns, unless the value changed
	// in between, in which case f is called again. An error from f is
	// returned as it is and nothing is written (see ErrUnchanged).
	Update(ctx context.Context, key string, f func(now time.Time, old Value) (Value, error)) error

	// Allow counts all asks at the store's time, each under its own key, or
	// none of them if one is over its rate. What was refused must not use up
	// anything else: a stranger who is over a limit of their own could
	// otherwise empty the mail budget of a client without a mail being sent.
	Allow(ctx context.Context, asks []limit.Ask) (limit.Decision, error)
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
}

// Queue holds items until somebody has done them. Its methods may be called
// concurrently, and by several processes where the store is shared.
type Queue interface {
	// Put adds an item, durably. ErrFull if there is no room.
	Put(ctx context.Context, it Item) error
	// Lease returns up to max due items, oldest due first, that nobody else
	// holds, and keeps them from others for the given time.
	Lease(ctx context.Context, max int, hold time.Duration) ([]Item, error)
	// Done removes an item. Removing one that is gone is not an error.
	Done(ctx context.Context, id string) error
	// Retry gives an item back, to be leased from due on.
	Retry(ctx context.Context, id string, due time.Time) error
}

// Backend is a whole store, as an implementation provides it.
type Backend interface {
	Store
	Queue
	// Close waits for running calls, then lets go of files and connections.
	// Calls made after it return ErrUnknown.
	Close() error
}
