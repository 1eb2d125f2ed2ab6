// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/assertion"
)

// SigningKeys tells what is public of the keys that sign assertions, as they
// are in the store now. An error that wraps store.ErrUnknown says that nobody
// can tell.
func (rt *Runtime) SigningKeys(ctx context.Context) ([]assertion.Published, error) {
	e, err := rt.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := e.ring.Refresh(ctx); err != nil {
		return nil, err
	}
	return e.ring.Published(), nil
}

// RotateSigningKeys begins to sign with the next key, which nobody notices;
// that is an [*assertion.TooSoonError] if upstreams may not know it yet. If the
// keys may be in wrong hands it makes all of them anew: assertions signed
// before are refused as soon as an upstream has fetched the new set, and for
// that long, some that were signed since. It returns the keys there are then.
func (rt *Runtime) RotateSigningKeys(ctx context.Context, compromised bool) ([]assertion.Published, error) {
	e, err := rt.open(ctx)
	if err != nil {
		return nil, err
	}
	event, change := "signing_keys_rotated", e.ring.Rotate
	if compromised {
		event, change = "signing_keys_replaced", e.ring.Replace
	}
	if err := change(ctx); err != nil {
		return nil, err
	}
	keys := e.ring.Published()
	fields := make([]zap.Field, len(keys))
	for i, k := range keys {
		fields[i] = zap.String(k.Role, k.ID)
	}
	rt.audit(rt.conf.Load(), event, fields...)
	return keys, nil
}
