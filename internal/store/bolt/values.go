// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/bbolt"

	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/store"
)

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key string) (store.Value, error) {
	var v store.Value
	err := s.read(ctx, func(tx *bbolt.Tx) (err error) {
		v, err = getValue(tx, key, s.now())
		return err
	})
	switch {
	case err != nil:
		return store.Value{}, err
	case v.Data == nil:
		return store.Value{}, store.ErrNotFound
	}
	return v, nil
}

// Update implements [store.Store]. It calls f again only if a change that was
// made together with it has to be left out.
func (s *Store) Update(ctx context.Context, key string, f func(now time.Time, old store.Value) (store.Value, error)) error {
	var refused error // by f
	err := s.write(ctx, func(tx *bbolt.Tx) error {
		refused = nil
		now := s.now()
		old, err := getValue(tx, key, now)
		if err != nil {
			return err
		}
		v, err := f(now, old)
		switch {
		case err != nil:
			refused = err
			return store.ErrUnchanged
		case v.Data == nil:
			return values.delete(tx, []byte(key))
		}
		return values.put(tx, []byte(key), append(putTime(nil, expiryOf(v.Expires)), v.Data...))
	})
	if err == nil && !errors.Is(refused, store.ErrUnchanged) {
		err = refused
	}
	return err
}

// getValue copies a value out of the transaction; its Data is nil if there is none.
func getValue(tx *bbolt.Tx, key string, now time.Time) (store.Value, error) {
	rec, err := values.get(tx, []byte(key), now)
	if rec == nil || err != nil {
		return store.Value{}, err
	}
	return store.Value{Data: append([]byte{}, rec[8:]...), Expires: expiryTime(getTime(rec))}, nil
}

// Allow implements [store.Store]. All asks are answered in one transaction,
// which writes nothing if one of them is refused.
func (s *Store) Allow(ctx context.Context, asks []limit.Ask) (limit.Decision, error) {
	var d limit.Decision
	err := s.write(ctx, func(tx *bbolt.Tx) error {
		now := s.now().Truncate(time.Microsecond)
		d = limit.Decision{}
		counted := false
		for i, a := range asks {
			key := []byte(a.Key)
			tat, err := getInstant(tx, key, now)
			if err != nil {
				return err
			}
			next, wait := a.Rate.Next(tat, now)
			switch {
			case wait > 0:
				d.Refused = append(d.Refused, i)
				d.RetryAfter = max(d.RetryAfter, wait)
			case !a.Peek:
				// Written here, so that a key that is asked for twice counts
				// twice; taken back with the transaction if another refuses.
				if err := putInstant(tx, key, next); err != nil {
					return err
				}
				counted = true
			}
		}
		if d.Allowed = len(d.Refused) == 0; !d.Allowed || !counted {
			return store.ErrUnchanged
		}
		return nil
	})
	if err != nil {
		return limit.Decision{}, err
	}
	return d, nil
}

// Forget implements [store.Store].
func (s *Store) Forget(ctx context.Context, keys ...string) error {
	return s.write(ctx, func(tx *bbolt.Tx) error {
		for _, key := range keys {
			if err := limits.delete(tx, []byte(key)); err != nil {
				return err
			}
		}
		return nil
	})
}

func getInstant(tx *bbolt.Tx, key []byte, now time.Time) (time.Time, error) {
	rec, err := limits.get(tx, key, now)
	switch {
	case rec == nil || err != nil:
		return time.Time{}, err
	case len(rec) != 16:
		return time.Time{}, errDamaged
	}
	return time.UnixMicro(getTime(rec[8:])), nil
}

func putInstant(tx *bbolt.Tx, key []byte, tat time.Time) error {
	expiry := tat.Add(time.Millisecond - 1).UnixMilli() // not before tat
	return limits.put(tx, key, putTime(putTime(nil, expiry), tat.UnixMicro()))
}
