// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"time"

	"go.etcd.io/bbolt"

	"github.com/portalgate/portalgate/internal/store"
)

// sweepBatch is how many records of a table one transaction of the sweep
// removes: few enough that nobody who waits to write notices.
const sweepBatch = 500

// sweepEvery is the sweeper, which lives until stop is closed.
func (s *Store) sweepEvery(interval time.Duration) {
	defer close(s.swept)
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
			// An error is dropped: what has expired is not seen anyway, the next
			// sweep tries again, and whoever writes is told.
			_ = s.sweep()
		}
	}
}

// sweep removes what has expired.
func (s *Store) sweep() error {
	for {
		select {
		case <-s.stop:
			return nil
		case s.writer <- struct{}{}:
		}
		more := false
		err := s.db.Update(func(tx *bbolt.Tx) (err error) {
			more, err = sweepSome(tx, s.now())
			return err
		})
		<-s.writer
		switch {
		case err == store.ErrUnchanged:
			return nil
		case err != nil:
			return unknown(err)
		case !more:
			return nil
		}
	}
}

// sweepSome removes a batch of each table, and reports whether there may be
// more. It returns store.ErrUnchanged if there was nothing to remove.
func sweepSome(tx *bbolt.Tx, now time.Time) (more bool, err error) {
	err = store.ErrUnchanged
	for _, t := range []struct {
		table
		drop func(*bbolt.Tx, []byte) error
	}{
		{values, values.delete},
		{limits, limits.delete},
		{queue, dropItem},
	} {
		keys := t.expired(tx, now, sweepBatch)
		more = more || len(keys) == sweepBatch
		for _, k := range keys {
			if err := t.drop(tx, k); err != nil {
				return false, err
			}
			err = nil
		}
	}
	return more, err
}
