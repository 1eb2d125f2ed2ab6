// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/portalgate/portalgate/internal/store"
)

// queue runs a script of the queue, which is in one slot.
func (s *Store) queue(ctx context.Context, sc *script, args ...any) (any, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()
	at := s.prefix + "{queue}:"
	return s.do(ctx, &call{
		script: sc,
		keys:   []string{at + "due", at + "expiry", at + "data", at + "tries", at + "holder", at + "again"},
		args:   args,
	})
}

// Put implements [store.Queue].
func (s *Store) Put(ctx context.Context, it store.Item) error {
	if it.Expires.IsZero() {
		return errors.New("queue item without an expiry")
	}
	reply, err := s.queue(ctx, putScript, it.ID, it.Data, it.Due.UnixMilli(), it.Expires.UnixMilli(), s.queueSize)
	if err == nil && reply == int64(0) {
		return store.ErrFull
	}
	return done(reply, err)
}

// Lease implements [store.Queue].
func (s *Store) Lease(ctx context.Context, lane store.Lane, max int, hold time.Duration) ([]store.Item, error) {
	name := s.lease()
	reply, err := s.queue(ctx, leaseScript, max, hold.Milliseconds(), name, int(lane))
	if err != nil {
		select {
		case s.leases <- name: // the answer may be lost, and items with it
		default:
		}
		return nil, err
	}
	const fields = 5
	all, ok := reply.([]any)
	if !ok || len(all)%fields != 1 {
		return nil, unknown(errReply)
	}
	now, ok := all[0].(string)
	if !ok {
		return nil, unknown(errReply)
	}
	all = all[1:]
	var items []store.Item
	for ; len(all) > 0; all = all[fields:] {
		id, ok1 := all[0].(string)
		text, ok2 := all[1].(string)
		then, data, ok6 := strings.Cut(text, " ")
		due, ok3 := score(all[2])
		expires, ok4 := score(all[3])
		tries, ok5 := all[4].(int64)
		if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 {
			return nil, unknown(errReply)
		}
		items = append(items, store.Item{ID: id, Data: []byte(data), Due: due, Expires: expires, Tries: int(tries), Lost: then != now})
	}
	return items, nil
}

// lease returns the name of a call whose answer was lost, or a fresh one.
func (s *Store) lease() string {
	select {
	case name := <-s.leases:
		return name
	default:
		return rand.Text()[:8]
	}
}

// Done implements [store.Queue].
func (s *Store) Done(ctx context.Context, id string) error {
	return done(s.queue(ctx, doneScript, id))
}

// Retry implements [store.Queue].
func (s *Store) Retry(ctx context.Context, id string, due time.Time) error {
	return done(s.queue(ctx, retryScript, id, due.UnixMilli()))
}

// done wants the 1 of a script that did what it was asked.
func done(reply any, err error) error {
	if err == nil && reply != int64(1) {
		return unknown(errReply)
	}
	return err
}

// score is a time that Redis kept as a number.
func score(v any) (time.Time, bool) {
	text, ok := v.(string)
	ms, err := strconv.ParseFloat(text, 64)
	return time.UnixMilli(int64(ms)), ok && err == nil
}
