// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"go.etcd.io/bbolt"
)

// A table is a bucket of records and the index by which the expired are found
// without looking at the others. A record begins with when it expires; an entry
// of the index is that time and the record's key.
type table struct{ data, expiry []byte }

var (
	values = table{[]byte("values"), []byte("values by expiry")} // expiry, data
	limits = table{[]byte("limits"), []byte("limits by expiry")} // expiry, instant in microseconds
	queue  = table{[]byte("queue"), []byte("queue by expiry")}   // see item
)

// never is the expiry of a record that has none. It has no entry in the index.
const never = math.MaxInt64

var errDamaged = errors.New("damaged record")

// get returns the record of key if it has not expired at now, else nil. It is
// valid only in the transaction.
func (t table) get(tx *bbolt.Tx, key []byte, now time.Time) ([]byte, error) {
	rec := tx.Bucket(t.data).Get(key)
	if rec == nil {
		return nil, nil
	}
	if len(rec) < 8 {
		return nil, errDamaged
	}
	if ms := getTime(rec); ms != never && !now.Before(time.UnixMilli(ms)) {
		return nil, nil
	}
	return rec, nil
}

// put stores a record, which the table keeps.
func (t table) put(tx *bbolt.Tx, key, rec []byte) error {
	if err := t.unindex(tx, key); err != nil {
		return err
	}
	if ms := getTime(rec); ms != never {
		if err := tx.Bucket(t.expiry).Put(entry(ms, key), nil); err != nil {
			return err
		}
	}
	return tx.Bucket(t.data).Put(key, rec)
}

func (t table) delete(tx *bbolt.Tx, key []byte) error {
	if err := t.unindex(tx, key); err != nil {
		return err
	}
	return tx.Bucket(t.data).Delete(key)
}

func (t table) unindex(tx *bbolt.Tx, key []byte) error {
	rec := tx.Bucket(t.data).Get(key)
	if len(rec) < 8 || getTime(rec) == never {
		return nil
	}
	return tx.Bucket(t.expiry).Delete(entry(getTime(rec), key))
}

// expired returns the keys of up to max records that have expired at now, the
// longest expired first.
func (t table) expired(tx *bbolt.Tx, now time.Time, max int) (keys [][]byte) {
	c := tx.Bucket(t.expiry).Cursor()
	for k, _ := c.First(); k != nil && len(keys) < max && getTime(k) <= now.UnixMilli(); k, _ = c.Next() {
		keys = append(keys, append([]byte(nil), k[8:]...))
	}
	return keys
}

// entry is a key of an index by time.
func entry(ms int64, key []byte) []byte { return append(putTime(nil, ms), key...) }

// putTime appends 8 bytes that sort as the times do.
func putTime(b []byte, ms int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(ms)^1<<63)
}

func getTime(b []byte) int64 { return int64(binary.BigEndian.Uint64(b) ^ 1<<63) }

// expiryOf is a time of expiry as records have it. A fraction of a millisecond
// is dropped: better forgotten too early than too late.
func expiryOf(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return t.UnixMilli()
}

func expiryTime(ms int64) time.Time {
	if ms == never {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
