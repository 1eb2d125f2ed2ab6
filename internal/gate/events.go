// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/session"
)

// What happens to somebody on file goes to the audit log (package audit):
//
//   - what changes a record is written in it, with the change, and moved;
//   - what staff ask for is appended before it is done: see Note;
//   - what changes nothing, as a dead link that was refused, waits in memory for a
//     second. A gate that is killed then loses it; the log line it does not.
//
// What is about nobody on file is a log line and a count.

// flushTime bounds what a gate that closes does for events that still wait.
const flushTime = 3 * time.Second

// Events returns what happened, the newest first, and the cursor of the next page.
// Its errors are those of audit.Chain.List.
func (rt *Runtime) Events(ctx context.Context, f audit.Filter) ([]audit.Event, string, error) {
	e, c, err := rt.desk(ctx)
	if err != nil {
		return nil, "", err
	}
	return audit.New(e.backend, c.Audit).List(ctx, f)
}

// Note appends an event before it returns, so that what it tells of can be done
// after. ID and At are given to it if it has none. An error wraps
// store.ErrUnknown: then it must not be done.
func (rt *Runtime) Note(ctx context.Context, ev audit.Event) error {
	e, _, err := rt.desk(ctx)
	if err != nil {
		return err
	}
	return e.chain.Append(ctx, rt.named(ev))
}

// VerifyEvents goes through what the store has of the log: see audit.Verify.
func (rt *Runtime) VerifyEvents(ctx context.Context, head string) (audit.Report, error) {
	e, _, err := rt.desk(ctx)
	if err != nil {
		return audit.Report{}, err
	}
	return audit.Verify(e.chain.Events(ctx), head)
}

func (rt *Runtime) named(ev audit.Event) audit.Event {
	if ev.ID == "" {
		ev.ID = rand.Text()
	}
	if ev.At.IsZero() {
		ev.At = rt.now()
	}
	return ev
}

// told puts what changes nothing into the log, soon. About nobody, it does what
// is done for somebody and keeps nothing.
func (e *engine) told(rt *Runtime, ev audit.Event) {
	if e != nil {
		e.chain.Later(rt.named(ev))
	}
}

// tried is told for what a visitor tried.
func (v *visit) tried(client, what, method, outcome string) {
	v.eng.told(v.rt, audit.Event{What: what, Client: client, Method: method, Outcome: outcome, From: v.front.IP.String()})
}

// Acting returns a context in which one of the staff acts, from a network address:
// what is changed in it is written down as theirs.
func Acting(ctx context.Context, by, from string) context.Context {
	return session.Acting(ctx, access.Cause{By: by, From: from})
}

// done tells that something was done about a client that changed no record. That
// it was asked for is in the audit log already.
func (rt *Runtime) done(ctx context.Context, e *engine, c *Config, what, client, by string) {
	rt.audit(c, what, zap.String("client", client), zap.String("by", by))
	rt.keep(ctx, e, audit.Event{What: what, Client: client, By: by})
}

// keep puts what has been done into the log, soon if it cannot be at once.
func (rt *Runtime) keep(ctx context.Context, e *engine, ev audit.Event) {
	ev.From = session.CauseIn(ctx).From
	ev = rt.named(ev)
	if err := e.chain.Append(ctx, ev); err != nil {
		e.chain.Later(ev)
	}
}

// keepEvents moves what waits to the log, and the log to disk.
func (rt *Runtime) keepEvents(ctx context.Context, e *engine) {
	c := rt.conf.Load()
	if c == nil {
		return
	}
	err := errors.Join(e.records.Move(ctx), e.chain.Flush(ctx))
	if c.Audit != nil {
		err = errors.Join(err, c.Audit.Follow(ctx, e.chain))
	}
	if err != nil && ctx.Err() == nil && rt.unkept.Due(rt.now()) {
		c.Log.Error("keeping the audit log; what waits is kept as soon as that works", zap.Error(err))
	}
}

// tidyEvents moves what nobody else has, and removes what need not be kept.
func (rt *Runtime) tidyEvents(ctx context.Context, e *engine) {
	c := rt.conf.Load()
	if c == nil {
		return
	}
	err := e.chain.Roll(ctx)
	if on, ok := c.Clients.(directory.Finder); ok {
		err = errors.Join(err, e.records.MoveAll(ctx, on))
	}
	if c.Audit != nil {
		err = errors.Join(err, c.Audit.Expire(rt.now()))
	}
	if err != nil && ctx.Err() == nil {
		c.Log.Error("tidying the audit log; the next hour tries again", zap.Error(err))
	}
}

// runEvents does both until ctx is done, and what is left then.
func (rt *Runtime) runEvents(ctx context.Context, e *engine) {
	if rt.o.Move < 0 {
		<-ctx.Done()
	} else {
		rt.tidyEvents(ctx, e)
		hour := rt.now()
		every(ctx, cmp.Or(rt.o.Move, time.Second), func() {
			rt.keepEvents(ctx, e)
			if now := rt.now(); now.Sub(hour).Abs() >= time.Hour {
				hour = now
				rt.tidyEvents(ctx, e)
			}
		})
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	rt.keepEvents(last, e)
}
