// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/assertion"
	"github.com/portalgate/portalgate/internal/reply"
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

// ServeKeys answers with the public keys like the gate's own address for them,
// whatever the request's host and path. While the store cannot be opened that
// is 503, which a verifier takes for "not now" and not for an empty set.
func (rt *Runtime) ServeKeys(w http.ResponseWriter, r *http.Request) {
	e, err := rt.open(r.Context())
	if err == nil {
		e.ring.ServeKeys(w, r)
		return
	}
	if c := rt.conf.Load(); c != nil && !errors.Is(err, context.Canceled) {
		c.Log.Error("cannot publish the signing keys", zap.Error(err))
	}
	w.Header().Set("Retry-After", "2")
	reply.Problem(w, r, http.StatusServiceUnavailable, "unavailable", "The gate's keys cannot be had. Try again.", nil)
}
