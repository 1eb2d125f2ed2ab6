// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/limit"
)

// perStaff is how many PINs one of the staff may make, and how many links have
// mailed. It is more than anybody reads out, or writes to one by one, and keeps
// whoever gets hold of the desk from doing it to every client.
var perStaff = limit.Rate{Count: 10, Per: time.Minute}

// AllowPIN counts a PIN that by is about to make. wait is zero if that is within
// the limit, else how long until one would be. Where it cannot be told it is an
// error that wraps store.ErrUnknown.
func (rt *Runtime) AllowPIN(ctx context.Context, by string) (wait time.Duration, err error) {
	return rt.allow(ctx, "staff-pin", by)
}

// AllowMail is AllowPIN for a link that by is about to have mailed.
func (rt *Runtime) AllowMail(ctx context.Context, by string) (wait time.Duration, err error) {
	return rt.allow(ctx, "staff-mail", by)
}

func (rt *Runtime) allow(ctx context.Context, what, by string) (wait time.Duration, err error) {
	e, _, err := rt.desk(ctx)
	if err != nil {
		return 0, err
	}
	d, err := e.backend.Allow(ctx, []limit.Ask{{Key: e.keys.limitKey(what, by), Rate: perStaff}})
	if err != nil || d.Allowed {
		return 0, err
	}
	return max(d.RetryAfter, time.Second), nil
}

// Audit writes down what happened at the desk. Before the gate was ever used
// there is nothing to write to, and nothing to happen.
func (rt *Runtime) Audit(what string, fields ...zap.Field) {
	if c := rt.conf.Load(); c != nil {
		rt.audit(c, what, fields...)
	}
}
