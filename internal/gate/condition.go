// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"

	"github.com/portalgate/portalgate/internal/store"
)

// Condition says what an operator should know of the store: its health, as it is
// now, and an error that says why nobody can sign in, if that is so.
func (rt *Runtime) Condition(ctx context.Context) (store.Health, error) {
	e, err := rt.open(ctx)
	if err != nil {
		return store.Health{}, err
	}
	if _, err := e.backend.Get(ctx, "health"); ignoreNotFound(err) != nil {
		return store.Health{}, err
	}
	var h store.Health
	if c := checkerOf(e.backend); c != nil {
		if h, err = c.Check(ctx); err != nil {
			return h, err
		}
	}
	if unfit := *e.unfit.Load(); unfit != nil {
		return h, unfit
	}
	if err := store.Claim(ctx, e.backend, rt.o.Gate); err != nil && !errors.Is(err, store.ErrUnknown) {
		return h, err
	}
	return h, nil
}

// checkerOf returns what can be asked whether a store may be relied on: the store
// itself, or one that it wraps; nil if there is none.
func checkerOf(b store.Backend) store.Checker {
	for {
		if c, ok := b.(store.Checker); ok {
			return c
		}
		switch w := b.(type) {
		case metered:
			b = w.Backend
		case interface{ Unwrap() store.Backend }:
			b = w.Unwrap()
		default:
			return nil
		}
	}
}
