// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/limit"
)

// staffPINs is how many PINs one of the staff may make. It is more than
// anybody reads out, and keeps whoever gets hold of the desk from making one
// for every client.
var staffPINs = limit.Rate{Count: 10, Per: time.Minute}

// AllowPIN counts a PIN that by is about to make. wait is zero if that is within
// the limit, else how long until one would be. Where it cannot be told it is an
// error that wraps store.ErrUnknown.
func (rt *Runtime) AllowPIN(ctx context.Context, by string) (wait time.Duration, err error) {
	e, _, err := rt.desk(ctx)
	if err != nil {
		return 0, err
	}
	d, err := e.backend.Allow(ctx, []limit.Ask{{Key: e.keys.limitKey("staff-pin", by), Rate: staffPINs}})
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
