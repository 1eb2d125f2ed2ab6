// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"sync"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/store"
)

// What happened to a client is written into the record with the change it tells
// of, and moved from there to the audit chain a moment later. If this process dies
// in between it is still in the record, and is moved with the next change of that
// or by [Records.Recover]; moved twice it is in the chain once.

// moveWait is how long events wait, so that those of one visit are moved
// together. It is up to twice as long: that somebody is on file must not show in
// how busy the store is right after an answer.
const moveWait = time.Second

// moveTime bounds one moving, and the last one when the gate closes.
const moveTime = 3 * time.Second

// The most that wait to be moved; of more the record remembers, and loose ones
// are lost.
const (
	maxUnmoved = 4096
	maxLoose   = 4096
)

// Ledger is the audit chain; [audit.Chain] is one.
type Ledger interface {
	Append(ctx context.Context, events ...audit.Event) error
}

// moving is what is to be moved.
type moving struct {
	ledger Ledger        // nil if events are not moved
	woken  chan struct{} // tells Run that there is something

	mu    sync.Mutex
	tags  map[string]told // guarded by mu
	loose []audit.Event   // guarded by mu
	busy  int             // guarded by mu; what is being moved
}

// told is what one record has to tell, up to an event's number.
type told struct {
	events []audit.Event
	upTo   int64
}

// errFull is returned by a change that has to wait until events are moved.
var errFull = errors.New("the record is full of events")

// Tell has events moved to l. It is to be called before the records are used.
func (rs *Records) Tell(l Ledger) { rs.moving.ledger = l }

type actorKey struct{}

// Acting returns a context in which a acts: events of what is changed in it say
// so. What a leaves empty stays as it was.
func Acting(ctx context.Context, a access.Actor) context.Context {
	was := ActorIn(ctx)
	if a.By == "" {
		a.By = was.By
	}
	if a.From == "" {
		a.From = was.From
	}
	if a.Note == "" {
		a.Note = was.Note
	}
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorIn returns who acts in ctx.
func ActorIn(ctx context.Context) access.Actor {
	a, _ := ctx.Value(actorKey{}).(access.Actor)
	return a
}

// Loose has an event moved that tells of no change of a record. It is lost if
// this process dies within seconds.
func (rs *Records) Loose(e audit.Event) {
	if rs.moving.ledger == nil {
		return
	}
	if e.ID == "" {
		e.ID = rand.Text()
	}
	if e.At.IsZero() {
		e.At = rs.now()
	}
	m := &rs.moving
	m.mu.Lock()
	if len(m.loose) < maxLoose {
		m.loose = append(m.loose, e)
	}
	m.mu.Unlock()
	m.wake()
}

func (m *moving) wake() {
	select {
	case m.woken <- struct{}{}:
	default:
	}
}

// happened notes that a record was written with events in it.
func (rs *Records) happened(tag string, r *access.Record) {
	if rs.moving.ledger == nil || len(r.Events) == 0 || r.Client == "" { // nobody's has nothing to tell
		return
	}
	m := &rs.moving
	m.mu.Lock()
	if _, there := m.tags[tag]; there || len(m.tags) < maxUnmoved {
		m.tags[tag] = tell(tag, r)
	}
	m.mu.Unlock()
	m.wake()
}

// tell puts the events of a record as the chain has them.
func tell(tag string, r *access.Record) (t told) {
	for _, e := range r.Events {
		t.upTo = max(t.upTo, e.N)
		t.events = append(t.events, audit.Event{
			ID: string(access.HashOf(fmt.Appendf(nil, "%s %d %d", tag, e.N, e.At))), At: time.Unix(e.At, 0), What: e.What,
			Client: r.Client, Method: e.Method, By: e.By, From: e.From, Note: e.Note,
		})
	}
	return t
}

// moveAll moves what there is, again and again until ctx is done, and then once
// more.
func (rs *Records) moveAll(ctx context.Context) {
	m := &rs.moving
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-m.woken:
			timer.Reset(moveWait + mrand.N(moveWait))
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
		case <-ctx.Done():
		}
		rs.moveNoted(ctx)
		if ctx.Err() != nil {
			return
		}
	}
}

// moveNoted moves what is noted. What cannot be moved is noted again.
func (rs *Records) moveNoted(running context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(running), moveTime)
	defer cancel()
	m := &rs.moving
	m.mu.Lock()
	tags, loose := m.tags, m.loose
	m.tags, m.loose = make(map[string]told), nil
	m.busy = len(tags) + len(loose)
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.busy = 0
	}()
	events := loose
	for _, t := range tags {
		events = append(events, t.events...)
	}
	if err := m.ledger.Append(ctx, events...); err != nil {
		m.mu.Lock()
		for tag, t := range tags {
			if _, newer := m.tags[tag]; !newer {
				m.tags[tag] = t
			}
		}
		m.loose = append(loose, m.loose...)
		m.loose = m.loose[max(0, len(m.loose)-maxLoose):]
		m.mu.Unlock()
		m.wake()
		return
	}
	for tag, t := range tags {
		// If this fails they are moved once more, which changes nothing.
		_ = rs.Update(ctx, tag, dropUpTo(t.upTo))
	}
}

// Unmoved counts what waits to be moved: records, and events of none.
func (rs *Records) Unmoved() int {
	m := &rs.moving
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.tags) + len(m.loose) + m.busy
}

func dropUpTo(n int64) func(time.Time, *access.Record) error {
	return func(_ time.Time, r *access.Record) error {
		if !r.Moved(n) {
			return store.ErrUnchanged
		}
		return nil
	}
}

// moveNow makes room in a record that is full of events.
func (rs *Records) moveNow(ctx context.Context, tag string) error {
	r, err := rs.unmoved(ctx, tag)
	if err != nil {
		return err
	}
	t := tell(tag, r)
	if err := rs.moving.ledger.Append(ctx, t.events...); err != nil {
		return err
	}
	return rs.Update(ctx, tag, dropUpTo(t.upTo))
}

// unmoved reads a record with its events.
func (rs *Records) unmoved(ctx context.Context, tag string) (*access.Record, error) {
	v, err := rs.st.Get(ctx, key(tag))
	if err != nil {
		return nil, err
	}
	r, err := access.Decode(v.Data)
	if r == nil {
		return nil, errors.Join(store.ErrUnknown, err)
	}
	return r, nil
}

// Recover looks whether a client's record still has events, which a process that
// died could not move, and has them moved.
func (rs *Records) Recover(ctx context.Context, client string) error {
	tag := rs.Tag(client)
	r, err := rs.unmoved(ctx, tag)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err == nil {
		rs.happened(tag, r)
	}
	return err
}
