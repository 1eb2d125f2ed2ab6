// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/portalgate/portalgate/internal/store"
)

// Chain is the log of one gate in its store, to which any number of processes
// append at once. It may be used concurrently.
type Chain struct {
	st    store.Store
	files *Files // for what the store has no longer; may be nil

	mu     sync.Mutex
	at     int64             // guarded by mu; the piece that was last appended to; 0 is not known
	began  int64             // guarded by mu; when that was made
	closed map[int64]*memory // guarded by mu; of pieces that never change again
	queued []Event           // guarded by mu; see Later
	lost   int               // guarded by mu; what had no room among them
}

// memory is what is kept of a closed piece, to know what was appended before and
// what need not be looked for in it.
type memory struct {
	began, ended, seq int64 // as in segment
	ids, whats        map[string]bool
}

const (
	// maxClosed bounds the closed pieces that are remembered, at some 5 KB each:
	// an import writes hundreds within a minute.
	maxClosed = 1024
	// slack is how much later than it was appended an event may say that it
	// happened: clocks of several stores differ.
	slack = time.Minute
)

// New returns the chain in a store. files, where older events are, may be nil.
func New(st store.Store, files *Files) *Chain {
	return &Chain{st: st, files: files, closed: make(map[int64]*memory)}
}

// Append adds events, in this order, and returns when they are kept. An event
// whose ID is there already is left as it is. Seq, Prev and Hash are given to it
// here. An error, which wraps store.ErrUnknown, says that some may not be kept;
// appending them again is safe.
func (c *Chain) Append(ctx context.Context, events ...Event) error {
	return c.append(ctx, events, c.fresh)
}

// AppendNew is Append for any number of events that nobody can have appended yet,
// because their IDs were made for this: what is there already is not looked at.
func (c *Chain) AppendNew(ctx context.Context, events ...Event) error {
	return c.append(ctx, events, func(_ context.Context, _ int64, all []Event) ([]Event, error) { return all, nil })
}

// append adds the events that fresh leaves of them.
func (c *Chain) append(ctx context.Context, events []Event, fresh func(context.Context, int64, []Event) ([]Event, error)) error {
	left := make([]Event, 0, len(events))
	for _, ev := range events {
		if ev.ID == "" || ev.What == "" {
			return fmt.Errorf("%w: an event without an id or a name", store.ErrUnknown)
		}
		left = append(left, ev.trimmed())
	}
	for len(left) > 0 {
		n, h, err := c.current(ctx)
		if err != nil {
			return err
		}
		if left, err = fresh(ctx, n, left); err != nil || len(left) == 0 {
			return err
		}
		if left, err = c.extend(ctx, n, h, left); err != nil {
			return err
		}
	}
	return nil
}

// current returns the piece to append to, and what it continues.
func (c *Chain) current(ctx context.Context) (int64, head, error) {
	c.mu.Lock()
	n := c.at
	c.mu.Unlock()
	if n > 0 {
		return n, head{}, nil // it is there: what it continues is in it
	}
	h, err := c.head(ctx)
	return h.N, h, err
}

// extend appends what the piece has room for, and returns the rest.
func (c *Chain) extend(ctx context.Context, n int64, h head, events []Event) (left []Event, err error) {
	var s segment
	err = c.st.Update(ctx, segmentKey(n), func(now time.Time, old store.Value) (store.Value, error) {
		s, left = segment{Began: now.UnixMilli(), Seq: h.Seq, Prev: h.Prev}, events
		switch {
		case old.Data != nil:
			s = segment{}
			if err := decode(old, &s); err != nil {
				return store.Value{}, err
			}
		case h.N != n:
			return store.Value{}, errMoved // closed and forgotten since: ask the head
		}
		if s.Closed {
			return store.Value{}, store.ErrUnchanged
		}
		before, size := len(s.Events), len(old.Data)
		seq, hash := s.end()
		for len(left) > 0 && !s.full(size, now) {
			ev := left[0]
			left = left[1:]
			if slices.ContainsFunc(s.Events, func(o Event) bool { return o.ID == ev.ID }) {
				continue
			}
			ev.link(seq, hash)
			seq, hash = ev.Seq, ev.Hash
			s.Events = append(s.Events, ev)
			size += len(encode(ev)) + 1
		}
		if s.Closed = s.full(size, now); len(s.Events) == before && !s.Closed {
			return store.Value{}, store.ErrUnchanged
		}
		s.Ended = now.UnixMilli()
		return store.Value{Data: encode(s)}, nil
	})
	if errors.Is(err, errMoved) {
		c.move(0, 0)
		return events, nil
	}
	if err != nil {
		return events, err
	}
	if !s.Closed {
		if len(s.Events) > 0 {
			c.move(n, s.Began)
		}
		return left, nil
	}
	c.remember(n, &s)
	if _, err := c.advance(ctx, n, &s); err != nil {
		return events, err
	}
	c.move(0, 0) // the next one begins where the head says
	return left, nil
}

var errMoved = errors.New("the piece is gone")

func (c *Chain) move(n, began int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.began = n, began
}

// fresh leaves out the events that are in pieces before n. None can be in a piece
// that was closed before it happened.
func (c *Chain) fresh(ctx context.Context, n int64, events []Event) ([]Event, error) {
	oldest := slices.MinFunc(events, func(a, b Event) int { return a.At.Compare(b.At) }).At.Add(-slack).UnixMilli()
	c.mu.Lock()
	known := c.at == n && c.began <= oldest
	c.mu.Unlock()
	if known {
		return events, nil // as it is nearly always
	}
	for n--; n > 0; n-- {
		m, err := c.recall(ctx, n)
		if err != nil || m == nil {
			return events, err
		}
		events = slices.DeleteFunc(events, func(ev Event) bool { return m.ids[ev.ID] })
		if m.began <= oldest || len(events) == 0 {
			break
		}
	}
	return events, nil
}

// recall returns what was in a piece before the last, or nil if it is gone.
func (c *Chain) recall(ctx context.Context, n int64) (*memory, error) {
	if m := c.remembered(n); m != nil {
		return m, nil
	}
	s, err := c.segment(ctx, n)
	if err != nil || s == nil {
		return nil, err
	}
	return c.remember(n, s), nil
}

func (c *Chain) remembered(n int64) *memory {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed[n]
}

func (c *Chain) remember(n int64, s *segment) *memory {
	m := &memory{began: s.Began, ended: s.Ended, seq: s.Seq, ids: make(map[string]bool, len(s.Events)), whats: make(map[string]bool)}
	for _, ev := range s.Events {
		m.ids[ev.ID], m.whats[ev.What] = true, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed[n] = m
	for len(c.closed) > maxClosed {
		oldest := n
		for k := range c.closed {
			oldest = min(oldest, k)
		}
		delete(c.closed, oldest)
	}
	return m
}
