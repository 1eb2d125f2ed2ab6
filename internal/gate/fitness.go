// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/store"
)

const (
	// skewSaid is how far the clocks of gate and store may be apart unmentioned,
	// skewMost how far for anybody to sign in: whether a link has run out would
	// depend on who is asked.
	skewSaid = 5 * time.Second
	skewMost = time.Minute
)

// fit asks a store whether it may be relied on. An error is a reason not to use
// it. What it warns of is logged, said once.
func (rt *Runtime) fit(ctx context.Context, b store.Backend, said map[string]bool) (unfit, err error) {
	c, ok := b.(store.Checker)
	if !ok {
		return nil, nil
	}
	h, err := c.Check(ctx)
	if err != nil {
		return nil, err
	}
	rt.skew.Store(int64(h.Common.Truncate(time.Second)))
	if h.Skew.Abs() > skewSaid {
		h.Warnings = append(h.Warnings, "the clocks of the gate and the store are more than 5 s apart; let both follow a time server")
	}
	conf := rt.conf.Load()
	for _, warning := range h.Warnings {
		if !said[warning] && conf != nil {
			conf.Log.Warn("the store", zap.String("warning", warning), zap.Duration("skew", h.Skew))
			said[warning] = true
		}
	}
	if h.Skew.Abs() >= skewMost {
		return fmt.Errorf("the clocks of the gate and the store are %s apart: %w", h.Skew.Abs().Round(time.Second), store.ErrUnknown), nil
	}
	return nil, nil
}

// now is the store's time as far as that can be told, to the second: by a clock
// that is minutes ahead sessions would be over that are not.
func (rt *Runtime) now() time.Time { return rt.o.Now().Add(time.Duration(rt.skew.Load())) }

// keepFit asks again and again, and lets nobody sign in while the answer is no.
// Who is signed in stays so. It asks whose the store is as well: one that was put
// in the other's place is whoever's came first.
func (rt *Runtime) keepFit(ctx context.Context, e *engine, b store.Backend, said map[string]bool) {
	unfit, err := rt.fit(ctx, b, said)
	if unfit == nil && err == nil {
		err = store.Claim(ctx, e.backend, rt.o.Gate)
	}
	switch {
	case errors.Is(err, store.ErrUnknown):
		return // as it was; the store's calls say it as well
	case err != nil:
		unfit = fmt.Errorf("%v (%w)", err, store.ErrUnknown)
	}
	before := e.unfit.Swap(&unfit)
	if unfit != nil && *before == nil {
		rt.conf.Load().Log.Error("nobody can sign in", zap.Error(unfit))
	}
}
