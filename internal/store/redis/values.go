// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/portalgate/portalgate/internal/store"
)

// A record is what a key holds in Redis: when the value expires, in milliseconds,
// and its data. Redis forgets it then, by its own clock; what is returned goes by
// the time of the answer.
const recordHeader = 8

const never = math.MaxInt64

// maxTries is how often Update tries when others change the key, and backoff
// the most it waits between two.
const (
	maxTries = 16
	backoff  = 10 * time.Millisecond
)

var (
	errDamaged   = errors.New("damaged record")
	errReply     = errors.New("unexpected reply")
	errContended = errors.New("too many others change this value")
	errReplicas  = errors.New("written, but not on enough replicas")
	errReplica   = errors.New("this is a replica")
)

// A name is a key as Redis has it, and the part of it that says in which slot of
// a cluster it is kept.
type name struct{ full, tag string }

// name puts the last part of a key in braces, "access/{tag}", unless the key has
// some; those are of another kind, so that no two keys have one name.
func (s *Store) name(kind, key string) name {
	if strings.ContainsAny(key, "{}") {
		return name{s.prefix + kind + "b:" + key, tagOf(key)}
	}
	at := strings.LastIndexByte(key, '/') + 1
	if at == len(key) {
		at = 0
	}
	return name{s.prefix + kind + ":" + key[:at] + "{" + key[at:] + "}", key[at:]}
}

// tagOf is what Redis takes for the tag of a key: what is between the first
// opening brace and the next closing one, or all of it if there is nothing.
func tagOf(key string) string {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			return tag
		}
	}
	return key
}

// found is a record as a script returned it.
type found struct {
	record string // empty for none
	now    time.Time
	epoch  string
}

func parse(reply any) (f found, err error) {
	r, ok := reply.([]any)
	if !ok || len(r) != 4 {
		return found{}, unknown(errReply)
	}
	var sec, usec string
	if r[0] != nil {
		f.record, ok = r[0].(string)
		if ok && len(f.record) < recordHeader {
			return found{}, unknown(errDamaged)
		}
	}
	sec, ok1 := r[1].(string)
	usec, ok2 := r[2].(string)
	f.epoch, ok = r[3].(string)
	if !ok || !ok1 || !ok2 {
		return found{}, unknown(errReply)
	}
	a, err1 := strconv.ParseInt(sec, 10, 64)
	b, err2 := strconv.ParseInt(usec, 10, 64)
	if err1 != nil || err2 != nil {
		return found{}, unknown(errReply)
	}
	f.now = time.Unix(a, b*1000)
	return f, nil
}

// value is what the record says; its Data is nil if there is none.
func (f found) value() store.Value {
	v := store.Value{Epoch: f.epoch}
	if f.record == "" {
		return v
	}
	ms := int64(binary.BigEndian.Uint64([]byte(f.record[:recordHeader])))
	if ms != never {
		if v.Expires = time.UnixMilli(ms); !f.now.Before(v.Expires) {
			v.Expires = time.Time{}
			return v
		}
	}
	v.Data = []byte(f.record[recordHeader:])
	return v
}

func (s *Store) read(ctx context.Context, n name) (found, error) {
	c := &call{keys: []string{n.full}}
	_, err := s.do(ctx, c)
	return c.found, err
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key string) (store.Value, error) {
	if err := s.begin(ctx); err != nil {
		return store.Value{}, err
	}
	defer s.end()
	f, err := s.read(ctx, s.name("v", key))
	if err != nil {
		return store.Value{}, err
	}
	v := f.value()
	if v.Data == nil {
		return store.Value{}, store.ErrNotFound
	}
	return v, nil
}

// Update implements [store.Store].
//
// With Replicas, what f decides is never based on less than they have: a write
// is followed by WAIT, and so is a value that f leaves as it is, for the write
// that made it, of this gate or another, may have been the one whose caller was
// told that it is on too few.
func (s *Store) Update(ctx context.Context, key string, f func(now time.Time, old store.Value) (store.Value, error)) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()
	// In turn within the process: a crowd of writers of one key would otherwise
	// spend its time on losing to one another.
	unlock, err := s.locks.lock(ctx, key)
	if err != nil {
		return unknown(err)
	}
	defer unlock()

	n := s.name("v", key)
	old, err := s.read(ctx, n)
	if err != nil {
		return err
	}
	for range maxTries {
		v, err := f(old.now, old.value())
		switch {
		case errors.Is(err, store.ErrUnchanged):
			same, now, err := s.confirm(ctx, n, old)
			if same || err != nil {
				return err
			}
			old = now
			continue
		case err != nil:
			return err
		}
		wrote, now, err := s.write(ctx, n, key, old, v)
		if wrote || err != nil {
			return err
		}
		old = now
		select {
		case <-time.After(rand.N(backoff)):
		case <-ctx.Done():
			return unknown(context.Cause(ctx))
		}
	}
	return unknown(errContended)
}

// write stores v if the record is still the old one, and otherwise says what it
// is now.
func (s *Store) write(ctx context.Context, n name, key string, old found, v store.Value) (wrote bool, now found, err error) {
	var record []byte
	forget := ""
	if v.Data != nil {
		ms := int64(never)
		if !v.Expires.IsZero() {
			ms = v.Expires.UnixMilli()
			forget = strconv.FormatInt(ms, 10)
		}
		if v.Expires.IsZero() || old.now.UnixMilli() < ms { // else it is over already
			record = binary.BigEndian.AppendUint64(make([]byte, 0, recordHeader+len(v.Data)), uint64(ms))
			record = append(record, v.Data...)
		}
	}
	c := &call{
		script: casScript,
		keys:   []string{n.full},
		args:   []any{old.record, old.epoch, record, forget, s.channel, s.id + key},
		wait:   s.replicas > 0,
	}
	return s.swap(ctx, c)
}

// confirm returns when the replicas have all that the primary had when it still
// had the old record in the same history, and otherwise says what it has now.
// WAIT is about what its connection wrote, so it writes something of no
// interest, in the record's slot.
func (s *Store) confirm(ctx context.Context, n name, old found) (same bool, now found, err error) {
	if s.replicas == 0 {
		return true, found{}, nil
	}
	return s.swap(ctx, &call{
		script: markScript,
		keys:   []string{n.full, s.prefix + "mark:{" + n.tag + "}"},
		args:   []any{old.record, old.epoch},
		wait:   true,
	})
}

// swap makes a call that does something if a record is still what it was.
func (s *Store) swap(ctx context.Context, c *call) (done bool, now found, err error) {
	reply, err := s.do(ctx, c)
	if err != nil {
		return false, found{}, err
	}
	if reply != int64(1) {
		now, err = parse(reply)
		return false, now, err
	}
	if c.acks < s.replicas {
		return false, found{}, unknown(errReplicas)
	}
	return true, found{}, nil
}
