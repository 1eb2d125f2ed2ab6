// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/bolt"
)

// runtimes persists gates through configuration changes, by the name of their
// place. That of a file is its absolute path and nothing else: a file can be
// open once only, so a changed setting must never lead to a second runtime on
// the same file.
var runtimes = caddy.NewUsagePool()

// place is where a gate keeps its records.
type place struct {
	name string
	open func(context.Context) (store.Backend, error)
	mark gate.Mark // nil if an earlier copy is not to be feared
}

// place returns where the gate keeps its records.
func (g *Gate) place(name string, s storage) (place, error) {
	if g.Store.Redis != nil {
		o, where, err := g.Store.Redis.resolve(name)
		return place{name: where, open: func(context.Context) (store.Backend, error) { return openRedis(o) }}, err
	}
	file, err := g.storeFile(name)
	return place{
		name: file, mark: storedMark{s, name},
		open: func(context.Context) (store.Backend, error) { return openFile(file) },
	}, err
}

// secretSource returns a gate's root secret.
type secretSource func(context.Context) ([]byte, error)

// pooledRuntime is a gate's runtime and what may not change while it lives.
type pooledRuntime struct {
	*gate.Runtime

	gate        string
	fingerprint [sha256.Size]byte
	// source is replaced by every configuration that starts: one whose storage
	// did not answer is mended by a reload.
	source atomic.Pointer[secretSource]
	// forwarded is when a proxy that is not trusted was last reported.
	forwarded gate.Hourly
}

// Destruct lets running calls finish and closes the store. Caddy calls it when
// no configuration uses the runtime any more; requests may still.
func (r *pooledRuntime) Destruct() error { return r.Close() }

// acquireRuntime returns the runtime at a place, and a function that gives it
// back. It opens nothing: the store is opened when first needed, so
// that `caddy validate` beside a running server has nothing to fight about.
func acquireRuntime(name string, at place, s secret) (*pooledRuntime, func() error, error) {
	r, release, err := acquire(runtimes, at.name, func() (*pooledRuntime, error) {
		r := &pooledRuntime{gate: name, fingerprint: s.fingerprint}
		r.source.Store(&s.source)
		r.Runtime = gate.NewRuntime(gate.Options{
			Gate: name, Mark: at.mark, Open: at.open,
			Secret: func(ctx context.Context) ([]byte, error) { return (*r.source.Load())(ctx) },
		})
		return r, nil
	})
	switch {
	case err != nil:
		return nil, release, err
	case r.gate != name:
		release()
		return nil, nil, fmt.Errorf("store: %s is in use by gate %q; give this gate a file of its own", at.name, r.gate)
	case r.fingerprint != s.fingerprint:
		// Records sealed with the old secret would all read as damaged.
		release()
		return nil, nil, fmt.Errorf("secret: it is not the one that gate %q runs with; put that one back, or give the gate a new store as well: everybody signs in again, and a list of clients that the gate keeps begins empty", name)
	}
	return r, release, nil
}

// openFile makes a nil *bolt.Store a nil interface.
func openFile(file string) (store.Backend, error) {
	s, err := bolt.Open(file, bolt.Options{})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// acquire returns the pooled value for key and a function that gives it back.
// The function is safe to call twice.
func acquire[T caddy.Destructor](p *caddy.UsagePool, key string, build func() (T, error)) (T, func() error, error) {
	v, _, err := p.LoadOrNew(key, func() (caddy.Destructor, error) { return build() })
	if err != nil {
		var zero T
		return zero, func() error { return nil }, err
	}
	return v.(T), sync.OnceValue(func() error { _, err := p.Delete(key); return err }), nil
}
