// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/session"
)

// What happened is in the store's audit chain for audit.Life, and in a journal on
// this machine's disk for as long as the operator wants.

const (
	// journalWait is how far the journal is behind the chain at most.
	journalWait = 5 * time.Second
	// journalBatch is how many events are written to it at once.
	journalBatch = 1000
)

// Note writes down what one of the staff is about to do. It returns once that is
// in the chain; if it cannot be written, an error that wraps store.ErrUnknown,
// and then it must not be done: fail closed.
func (rt *Runtime) Note(ctx context.Context, ev audit.Event) error {
	e, err := rt.open(ctx)
	if err != nil {
		return err
	}
	if ev.ID == "" {
		ev.ID = rand.Text()
	}
	if ev.At.IsZero() {
		ev.At = rt.now()
	}
	return e.events.Append(ctx, ev)
}

// Acting returns a context in which one of the staff acts, from a network address:
// what is changed in it is written down as theirs.
func Acting(ctx context.Context, by, from string) context.Context {
	return session.Acting(ctx, access.Actor{By: by, From: from})
}

// done tells that something was done about a client that changed no record. That
// it was going to be is in the audit chain already.
func (rt *Runtime) done(ctx context.Context, e *engine, c *Config, what, client, by string) {
	rt.audit(c, what, zap.String("client", client), zap.String("by", by))
	actor := session.ActorIn(ctx)
	actor.By = by
	e.witness(what, client, actor, nil)
}

// Events returns what happened, newest first, and the cursor of the next page,
// which is empty after the last. What the store has forgotten is read from the
// journal. audit.ErrCursor for a cursor that is none.
func (rt *Runtime) Events(ctx context.Context, f audit.Filter) (found []audit.Event, next string, err error) {
	e, c, err := rt.desk(ctx)
	if err != nil {
		return nil, "", err
	}
	found, next, err = e.events.List(ctx, f)
	if err != nil || next != "" || c.Journal == "" {
		return found, next, err
	}
	oldest, err := e.events.Oldest(ctx)
	if err != nil || oldest <= 1 {
		return found, "", err
	}
	below := oldest
	if at, err := strconv.ParseInt(f.Cursor, 10, 64); err == nil {
		below = min(below, at)
	}
	j, err := audit.OpenJournal(c.Journal)
	if err != nil {
		return nil, "", err
	}
	limit := f.Most()
	older, err := j.Older(f, below, limit-len(found)+1)
	if err != nil {
		return nil, "", err
	}
	if found = append(found, older...); len(found) > limit {
		found = found[:limit]
		next = strconv.FormatInt(found[limit-1].Seq, 10)
	}
	return found, next, nil
}

// Follow calls do with every event after the one with a Seq that the gate still
// has, oldest first.
func (rt *Runtime) Follow(ctx context.Context, seq int64, do func(audit.Event) error) error {
	e, _, err := rt.desk(ctx)
	if err != nil {
		return err
	}
	for {
		events, err := e.events.Since(ctx, seq, journalBatch)
		if err != nil || len(events) == 0 {
			return err
		}
		for _, ev := range events {
			if err := do(ev); err != nil {
				return err
			}
			seq = ev.Seq
		}
	}
}

// keepJournal writes the chain to the journal, until ctx is done and then once
// more.
func (rt *Runtime) keepJournal(ctx context.Context, e *engine) {
	var j *audit.Journal
	dir, failing := "", Hourly{}
	tick := time.NewTicker(journalWait)
	defer tick.Stop()
	for {
		last := false
		select {
		case <-ctx.Done():
			last = true
		case <-tick.C:
		}
		if c := rt.conf.Load(); c != nil && c.Journal != "" {
			var err error
			if j == nil || c.Journal != dir {
				dir = c.Journal
				j, err = audit.OpenJournal(dir)
			}
			if err == nil {
				err = rt.write(ctx, c, e, j)
			}
			if err != nil && failing.Due(rt.o.Now()) {
				c.Log.Error("keeping the audit journal; the store has the events meanwhile", zap.Error(err))
			}
		}
		if last {
			return
		}
	}
}

// write brings a journal up to the chain.
func (rt *Runtime) write(running context.Context, c *Config, e *engine, j *audit.Journal) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(running), journalWait)
	defer cancel()
	for {
		from, err := e.events.Meets(ctx, j.LastEvent())
		if err != nil {
			return err
		}
		events, err := e.events.Since(ctx, from, journalBatch)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			return j.Forget(rt.o.Now().Add(-c.JournalKeep))
		}
		setBack, err := j.Write(events)
		if setBack {
			c.Log.Warn("the audit chain does not go on where the journal ends: the store was set back, or was away for long",
				zap.Int64("event", events[0].Seq))
		}
		if err != nil || len(events) < journalBatch {
			return err
		}
	}
}

// moveOld looks through who is on file for events that a process which died has
// left in the records: they are moved with the next change, but some clients
// change nothing for long. A directory that cannot say who is on file is not
// looked through.
func (rt *Runtime) moveOld(ctx context.Context, e *engine) {
	done := false
	every(ctx, time.Second, func() {
		c := rt.conf.Load()
		if done || c == nil {
			return
		}
		done = true
		f, ok := c.Clients.(directory.Finder)
		if !ok {
			return
		}
		q := directory.Query{Limit: 500}
		for ctx.Err() == nil {
			found, next, err := f.Find(ctx, q)
			for _, who := range found {
				if err == nil {
					err = e.records.Recover(ctx, who.ID)
				}
			}
			if err != nil {
				done = false // once more in a second
				return
			}
			if q.Cursor = next; next == "" {
				return
			}
		}
	})
}

// Verify checks the chain that is in the store. It returns how many events there
// are and the newest of them; *audit.Broken if it does not hold together.
func (rt *Runtime) Verify(ctx context.Context) (events int64, last audit.Event, err error) {
	var check audit.Check
	err = rt.Follow(ctx, 0, func(ev audit.Event) error {
		events++
		return check.Next(ev)
	})
	if err != nil {
		return events, check.Last(), fmt.Errorf("the audit chain: %w", err)
	}
	return events, check.Last(), nil
}
