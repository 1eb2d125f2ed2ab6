// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"time"

	"go.etcd.io/bbolt"

	"github.com/portalgate/portalgate/internal/store"
)

// lanes are the indexes by which items are leased, one for each lane: when each
// may next be, and its id. A lease is no more than a later due time, in the lane
// of what is tried again.
var lanes = map[store.Lane][]byte{
	store.Fresh: []byte("queue by due time"),
	store.Again: []byte("queue again by due time"),
}

// An item is a record of the queue: when it expires, when it is due, how often
// it was leased, and its data. How many there are is kept as the sequence of
// the bucket, so that it is right whatever becomes of a transaction.
type item []byte

const itemHeader = 8 + 8 + 4

func newItem(expires, due int64, tries uint32, data []byte) item {
	return append(binary.BigEndian.AppendUint32(putTime(putTime(nil, expires), due), tries), data...)
}

func (it item) expires() int64 { return getTime(it) }
func (it item) due() int64     { return getTime(it[8:]) }
func (it item) tries() uint32  { return binary.BigEndian.Uint32(it[16:]) }
func (it item) data() []byte   { return it[itemHeader:] }
func (it item) lane() []byte {
	if it.tries() > 0 {
		return lanes[store.Again]
	}
	return lanes[store.Fresh]
}

// Put implements [store.Queue].
func (s *Store) Put(ctx context.Context, it store.Item) error {
	if it.Expires.IsZero() {
		return errors.New("queue item without an expiry")
	}
	full := false
	err := s.write(ctx, func(tx *bbolt.Tx) error {
		full = false
		now := s.now()
		id := []byte(it.ID)
		old, err := getItem(tx, id, now)
		switch {
		case err != nil:
			return err
		case old != nil:
			return store.ErrUnchanged
		}
		// The expired make room: one of them may have this very id.
		for _, k := range queue.expired(tx, now, math.MaxInt) {
			if err := dropItem(tx, k); err != nil {
				return err
			}
		}
		b := tx.Bucket(queue.data)
		n := b.Sequence()
		if n >= s.queueSize {
			full = true
			return store.ErrUnchanged
		}
		if err := b.SetSequence(n + 1); err != nil {
			return err
		}
		return putItem(tx, id, newItem(expiryOf(it.Expires), it.Due.UnixMilli(), 0, it.Data))
	})
	if err == nil && full {
		err = store.ErrFull
	}
	return err
}

// Lease implements [store.Queue]. With nothing due it writes nothing, so it may
// be asked often.
func (s *Store) Lease(ctx context.Context, lane store.Lane, max int, hold time.Duration) ([]store.Item, error) {
	var ids [][]byte
	if err := s.read(ctx, func(tx *bbolt.Tx) error {
		ids = dueItems(tx, lane, s.now(), 1)
		return nil
	}); err != nil || len(ids) == 0 {
		return nil, err
	}

	var items []store.Item
	err := s.write(ctx, func(tx *bbolt.Tx) error {
		items = nil
		now := s.now()
		// The expired go first, so that they take nobody's place.
		for _, id := range queue.expired(tx, now, math.MaxInt) {
			if err := dropItem(tx, id); err != nil {
				return err
			}
		}
		for _, id := range dueItems(tx, lane, now, max) {
			it, err := getItem(tx, id, now)
			if err != nil {
				return err
			}
			if it == nil {
				return errDamaged
			}
			items = append(items, store.Item{
				ID:      string(id),
				Data:    append([]byte{}, it.data()...),
				Due:     time.UnixMilli(it.due()),
				Expires: expiryTime(it.expires()),
				Tries:   int(it.tries()) + 1,
			})
			held := newItem(it.expires(), now.Add(hold).UnixMilli(), it.tries()+1, it.data())
			if err := putItem(tx, id, held); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return items, nil
}

// Done implements [store.Queue].
func (s *Store) Done(ctx context.Context, id string) error {
	return s.write(ctx, func(tx *bbolt.Tx) error {
		if tx.Bucket(queue.data).Get([]byte(id)) == nil {
			return store.ErrUnchanged
		}
		return dropItem(tx, []byte(id))
	})
}

// Retry implements [store.Queue]. Giving back one that is gone is not an error.
func (s *Store) Retry(ctx context.Context, id string, due time.Time) error {
	return s.write(ctx, func(tx *bbolt.Tx) error {
		it, err := getItem(tx, []byte(id), s.now())
		switch {
		case err != nil:
			return err
		case it == nil:
			return store.ErrUnchanged
		}
		return putItem(tx, []byte(id), newItem(it.expires(), due.UnixMilli(), it.tries(), it.data()))
	})
}

// dueItems returns the ids of up to max items of a lane that are due, the oldest
// first.
func dueItems(tx *bbolt.Tx, lane store.Lane, now time.Time, max int) (ids [][]byte) {
	c := tx.Bucket(lanes[lane]).Cursor()
	for k, _ := c.First(); k != nil && len(ids) < max && getTime(k) <= now.UnixMilli(); k, _ = c.Next() {
		ids = append(ids, append([]byte(nil), k[8:]...))
	}
	return ids
}

func getItem(tx *bbolt.Tx, id []byte, now time.Time) (item, error) {
	rec, err := queue.get(tx, id, now)
	if rec != nil && len(rec) < itemHeader {
		err = errDamaged
	}
	return item(rec), err
}

func putItem(tx *bbolt.Tx, id []byte, it item) error {
	if err := undue(tx, id); err != nil {
		return err
	}
	if err := tx.Bucket(it.lane()).Put(entry(it.due(), id), nil); err != nil {
		return err
	}
	return queue.put(tx, id, it)
}

// dropItem removes an item that is there.
func dropItem(tx *bbolt.Tx, id []byte) error {
	if err := undue(tx, id); err != nil {
		return err
	}
	b := tx.Bucket(queue.data)
	if err := b.SetSequence(b.Sequence() - 1); err != nil {
		return err
	}
	return queue.delete(tx, id)
}

func undue(tx *bbolt.Tx, id []byte) error {
	rec := item(tx.Bucket(queue.data).Get(id))
	if len(rec) < itemHeader {
		return nil
	}
	// A version before this one had a single index.
	return errors.Join(
		tx.Bucket(lanes[store.Fresh]).Delete(entry(rec.due(), id)),
		tx.Bucket(lanes[store.Again]).Delete(entry(rec.due(), id)))
}
