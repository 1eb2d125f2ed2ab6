// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/portalgate/portalgate/internal/seal"
)

// Sealed returns b with the data of every value and queue item sealed in box,
// for its own key or id and its own expiry. Whoever can write b cannot change
// data, move it to another key or make it live longer; putting an old value
// back under its own key is not prevented. Closing it closes b.
//
// Data that does not open is an error that wraps ErrUnknown and
// [seal.ErrOpen]: it is never taken for a missing value.
func Sealed(b Backend, box *seal.Box) Backend {
	return &sealed{b, box}
}

type sealed struct {
	Backend
	box *seal.Box
}

// Unwrap is for [FeedOf]: keys are not sealed.
func (s *sealed) Unwrap() Backend { return s.Backend }

func (s *sealed) Get(ctx context.Context, key string) (Value, error) {
	v, err := s.Backend.Get(ctx, key)
	if err != nil {
		return Value{}, err
	}
	return s.openValue(key, v)
}

func (s *sealed) Update(ctx context.Context, key string, f func(now time.Time, old Value) (Value, error)) error {
	return s.Backend.Update(ctx, key, func(now time.Time, old Value) (Value, error) {
		if old.Data != nil {
			var err error
			if old, err = s.openValue(key, old); err != nil {
				return Value{}, err
			}
		}
		v, err := f(now, old)
		if v.Data == nil || err != nil {
			return Value{}, err
		}
		return Value{Data: s.seal(v.Data, v.Expires, "value", key), Expires: v.Expires}, nil
	})
}

func (s *sealed) openValue(key string, v Value) (Value, error) {
	data, err := s.open(v.Data, v.Expires, "value", key)
	if err != nil {
		return Value{}, err
	}
	v.Data = data
	return v, nil
}

func (s *sealed) Put(ctx context.Context, it Item) error {
	it.Data = s.seal(it.Data, it.Expires, "item", it.ID)
	return s.Backend.Put(ctx, it)
}

// Lease leaves out items that do not open, so that one of them does not keep
// the others from being done: they stay leased, come back, and expire. It is an
// error if there are no others.
func (s *sealed) Lease(ctx context.Context, lane Lane, max int, hold time.Duration) ([]Item, error) {
	leased, err := s.Backend.Lease(ctx, lane, max, hold)
	if err != nil {
		return nil, err
	}
	var items []Item
	for _, it := range leased {
		var bad error
		if it.Data, bad = s.open(it.Data, it.Expires, "item", it.ID); bad != nil {
			err = bad
			continue
		}
		items = append(items, it)
	}
	if len(items) > 0 {
		err = nil
	}
	return items, err
}

// seal seals the expiry with the data: it stands outside as well, where a store
// needs it and could change it.
func (s *sealed) seal(data []byte, expires time.Time, kind, name string) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(data)), uint64(millis(expires)))
	return s.box.Seal(append(b, data...), place(kind, name))
}

func (s *sealed) open(data []byte, expires time.Time, kind, name string) ([]byte, error) {
	b, err := s.box.Open(data, place(kind, name))
	if err != nil || len(b) < 8 || int64(binary.BigEndian.Uint64(b)) != millis(expires) {
		return nil, fmt.Errorf("%w: %s %q was sealed with another secret, or altered: %w", ErrUnknown, kind, name, seal.ErrOpen)
	}
	return b[8:], nil
}

func place(kind, name string) string { return "v1 " + kind + " " + name }

// millis is an expiry as stores keep it, at most to the millisecond.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return math.MaxInt64 // never
	}
	return t.UnixMilli()
}

// claim is the value that says whose a store is. What it says is of no
// interest, only whether it opens.
var claim = []byte("portalgate")

// Claim makes a sealed store the gate's own at its first use, and checks that it
// still is at every other: an error that does not wrap ErrUnknown says that the
// store was made with another secret, and the gate must not start with it.
func Claim(ctx context.Context, s Store, gate string) error {
	err := s.Update(ctx, gate+"/claim", func(_ time.Time, old Value) (Value, error) {
		if old.Data != nil {
			return Value{}, ErrUnchanged
		}
		return Value{Data: claim}, nil
	})
	if errors.Is(err, seal.ErrOpen) {
		return fmt.Errorf("the store of gate %q was made with another secret: "+
			"give the gate the secret it had, or a new store, in which everybody is signed out", gate)
	}
	return err
}
