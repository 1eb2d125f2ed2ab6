// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/portalgate/portalgate/internal/limit"
)

// Observer is told of every call of a store: its name in small letters, how
// long it took and what the store failed with. It is called by many at once.
//
// A failure is what wraps [ErrUnknown]. That there is no value, that nothing
// was changed and that a queue is full are answers; that the caller did not
// wait is the caller's doing.
type Observer func(op string, took time.Duration, failure error)

// Timed returns b with an observer. Where somebody traces the request, a call
// is a span of its own as well, with nothing in it of what the call was about:
// neither key nor error. Closing it closes b.
func Timed(b Backend, o Observer) Backend { return &timed{b, o} }

type timed struct {
	Backend
	observe Observer
}

// Unwrap is for [FeedOf]: how long somebody listens says nothing.
func (t *timed) Unwrap() Backend { return t.Backend }

// call is one call under way.
type call struct {
	ctx   context.Context
	span  trace.Span // nil if nobody traces
	op    string
	begun time.Time
}

func begin(ctx context.Context, op string) call {
	c := call{ctx: ctx, op: op, begun: time.Now()}
	if parent := trace.SpanFromContext(ctx); parent.IsRecording() {
		c.ctx, c.span = parent.TracerProvider().Tracer("portalgate").Start(ctx, "portalgate.store "+op)
	}
	return c
}

func (t *timed) end(c call, err error) {
	if !errors.Is(err, ErrUnknown) || errors.Is(c.ctx.Err(), context.Canceled) {
		err = nil
	}
	t.observe(c.op, time.Since(c.begun), err)
	if c.span == nil {
		return
	}
	if err != nil {
		c.span.SetStatus(codes.Error, "") // an error may name a key
	}
	c.span.End()
}

func (t *timed) Get(ctx context.Context, key string) (Value, error) {
	c := begin(ctx, "get")
	v, err := t.Backend.Get(c.ctx, key)
	t.end(c, err)
	return v, err
}

func (t *timed) Update(ctx context.Context, key string, f func(now time.Time, old Value) (Value, error)) error {
	c := begin(ctx, "update")
	err := t.Backend.Update(c.ctx, key, f)
	t.end(c, err)
	return err
}

func (t *timed) Allow(ctx context.Context, asks []limit.Ask) (limit.Decision, error) {
	c := begin(ctx, "allow")
	d, err := t.Backend.Allow(c.ctx, asks)
	t.end(c, err)
	return d, err
}

func (t *timed) Forget(ctx context.Context, keys ...string) error {
	c := begin(ctx, "forget")
	err := t.Backend.Forget(c.ctx, keys...)
	t.end(c, err)
	return err
}

func (t *timed) Put(ctx context.Context, it Item) error {
	c := begin(ctx, "put")
	err := t.Backend.Put(c.ctx, it)
	t.end(c, err)
	return err
}

func (t *timed) Lease(ctx context.Context, lane Lane, max int, hold time.Duration) ([]Item, error) {
	c := begin(ctx, "lease")
	items, err := t.Backend.Lease(c.ctx, lane, max, hold)
	t.end(c, err)
	return items, err
}

func (t *timed) Done(ctx context.Context, id string) error {
	c := begin(ctx, "done")
	err := t.Backend.Done(c.ctx, id)
	t.end(c, err)
	return err
}

func (t *timed) Retry(ctx context.Context, id string, due time.Time) error {
	c := begin(ctx, "retry")
	err := t.Backend.Retry(c.ctx, id, due)
	t.end(c, err)
	return err
}
