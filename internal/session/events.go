// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/store"
)

// An event is written in the record with the change it tells of, or neither is.
// It is moved to the log soon after, in the background. Until it is there it stays
// in the record; a record without room has its events moved before the next
// change, and if they cannot be, that change is not made: store.ErrUnknown.

// Log is where events go for good: once, however often they are appended.
type Log interface {
	Append(ctx context.Context, events ...audit.Event) error
	// Pretend writes as Append does, and adds nothing.
	Pretend(ctx context.Context) error
}

// movers is how many records at once have their events taken out.
const movers = 16

// errCrowded is a change that there is no room for beside the events that wait.
var errCrowded = fmt.Errorf("events wait to be moved: %w", store.ErrUnknown)

// moving is what waits in records that this process has changed.
type moving struct {
	log  Log        // nil keeps events nowhere
	turn sync.Mutex // of Move: when it returns, nobody is at it

	mu      sync.Mutex
	waiting map[string]waiting // guarded by mu; by tag
}

// waiting is the events of a record, as they were last written. unread says that
// they are not known.
type waiting struct {
	client string
	events []access.Event
	unread bool
}

// Keep has the events of records moved to a log. It is called before the records
// are used.
func (rs *Records) Keep(log Log) { rs.moving.log = log }

// tell takes up what a written record says.
func (m *moving) tell(tag string, r *access.Record) {
	if m.log == nil || len(r.Events) == 0 {
		return
	}
	m.put(tag, waiting{client: r.Client, events: r.Events})
}

// doubt is that for a record that may have been written.
func (m *moving) doubt(tag string) {
	if m.log != nil {
		m.put(tag, waiting{unread: true})
	}
}

func (m *moving) put(tag string, w waiting) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.putLocked(tag, w)
}

// putBack is put for what could not be moved. What was written meanwhile tells
// more.
func (m *moving) putBack(tag string, w waiting) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, newer := m.waiting[tag]; !newer {
		m.putLocked(tag, w)
	}
}

func (m *moving) putLocked(tag string, w waiting) {
	if m.waiting == nil {
		m.waiting = make(map[string]waiting)
	}
	m.waiting[tag] = w
}

// Waiting counts the records of which events wait to be moved.
func (rs *Records) Waiting() int {
	m := &rs.moving
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.waiting)
}

// Move moves the events of the records that this process has changed. What could
// not be moved is tried again the next time.
func (rs *Records) Move(ctx context.Context) error {
	m := &rs.moving
	m.turn.Lock()
	defer m.turn.Unlock()
	m.mu.Lock()
	all := m.waiting
	m.waiting = nil
	m.mu.Unlock()
	return rs.move(ctx, all)
}

// move appends everything in one go, and only then takes it out of the records.
func (rs *Records) move(ctx context.Context, all map[string]waiting) error {
	if len(all) == 0 {
		return nil
	}
	var errs []error
	var events []audit.Event
	failed := func(tag string, w waiting, err error) {
		errs = append(errs, err)
		rs.moving.putBack(tag, w)
	}
	for tag, w := range all {
		if w.unread {
			var err error
			if w, err = rs.waits(ctx, tag); err != nil {
				delete(all, tag)
				failed(tag, waiting{unread: true}, err)
				continue
			}
			all[tag] = w
		}
		if w.client != "" { // nobody's record tells of nobody
			events = append(events, told(tag, w)...)
		}
	}
	var err error
	if len(events) > 0 {
		err = rs.moving.log.Append(ctx, events...)
	} else {
		err = rs.moving.log.Pretend(ctx)
	}
	if err != nil {
		for tag, w := range all {
			failed(tag, w, nil)
		}
		return errors.Join(append(errs, err)...)
	}
	var working sync.WaitGroup
	var mu sync.Mutex
	free := make(chan struct{}, movers)
	for tag, w := range all {
		free <- struct{}{}
		working.Go(func() {
			defer func() { <-free }()
			_, err := rs.write(ctx, tag, func(_ time.Time, r *access.Record) error {
				if !r.Moved(w.events) {
					return store.ErrUnchanged
				}
				return nil
			}, func(*access.Record) bool { return false })
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed(tag, w, err)
			}
		})
	}
	working.Wait()
	return errors.Join(errs...)
}

// waits reads what waits in a record.
func (rs *Records) waits(ctx context.Context, tag string) (waiting, error) {
	v, err := rs.st.Get(ctx, key(tag))
	if errors.Is(err, store.ErrNotFound) {
		return waiting{}, nil
	}
	if err != nil {
		return waiting{}, err
	}
	r, err := access.Decode(v.Data)
	if err != nil { // a newer gate wrote it, which moves them itself
		return waiting{}, errors.Join(store.ErrUnknown, err)
	}
	return waiting{client: r.Client, events: r.Events}, nil
}

// makeRoom moves the events of one record now.
func (rs *Records) makeRoom(ctx context.Context, tag string) error {
	w, err := rs.waits(ctx, tag)
	if err != nil || len(w.events) == 0 {
		return err
	}
	return rs.move(ctx, map[string]waiting{tag: w})
}

// MoveAll looks at the record of everybody on file for events that nobody moved,
// because a process was killed that meant to. A record that cannot be read, or moved
// from, keeps it from no other; the first error is returned.
func (rs *Records) MoveAll(ctx context.Context, on directory.Finder) (first error) {
	for q := (directory.Query{Limit: 500}); ; {
		page, next, err := on.Find(ctx, q)
		if err != nil {
			return cmp.Or(first, err)
		}
		all := make(map[string]waiting)
		for _, c := range page {
			tag := rs.Tag(c.ID)
			w, err := rs.waits(ctx, tag)
			if first = cmp.Or(first, err); len(w.events) > 0 {
				all[tag] = w
			}
		}
		first = cmp.Or(first, rs.move(ctx, all))
		if q.Cursor = next; next == "" || ctx.Err() != nil {
			return first
		}
	}
}

// told is what a record's events are in the log. Their ids are the same whoever
// moves them.
func told(tag string, w waiting) (all []audit.Event) {
	for _, e := range w.events {
		id := access.HashOf([]byte("event " + tag + " " + strconv.FormatInt(e.N, 10) + " " + strconv.FormatInt(e.At, 10) + " " + e.What))
		all = append(all, audit.Event{
			ID: string(id), At: time.Unix(e.At, 0).UTC(), What: e.What, Client: w.client, By: e.By, From: e.From,
			Method: e.Method, Outcome: e.Outcome, Note: e.Note,
		})
	}
	return all
}
