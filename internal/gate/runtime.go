// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package gate is the door: its routes, its pages, and the one rule of who may
// pass to what stands behind it.
//
// A [Runtime] lives as long as the process keeps the gate and owns what must
// outlive a configuration: the store, the workers, the copies of records. A
// [Config] is one configuration generation and owns nothing. A [Handler] is one
// place in a server's routes; it serves the gate's own pages, and lets a
// request through only with an identity established for it.
//
// Sign-in methods answer with effects (package providers) and the gate
// performs them. Single use, expiry and counters are rules of package access;
// the gate decides only who may try, and what to say.
//
// It knows no server software: what the server in front knows of a request
// comes in a [Front].
package gate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/assertion"
	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/directory/managed"
	"github.com/portalgate/portalgate/internal/mail/outbox"
	"github.com/portalgate/portalgate/internal/seal"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/store"
)

// Runtime is what a gate is while the process runs, whatever its configuration.
type Runtime struct {
	o      Options
	outbox *outbox.Box
	list   *managed.Directory     // of this gate, whether or not it is in use
	conf   atomic.Pointer[Config] // the newest that started; for the workers

	eng     atomic.Pointer[engine] // nil until the store was opened
	opening chan struct{}          // held by the one who opens it

	meter      *meter
	health     health
	mailServer mailServer
	skew       atomic.Int64 // by how much the store's clock is ahead: see now
	circled    Hourly       // when a visit was last said to have gone round in a circle
	unkept     Hourly       // when the audit log was last said not to be kept
	unsettled  Hourly       // when a change of the list of clients was last said to wait

	// err and retryAt are guarded by opening: why the store could not be
	// opened, and when to try again.
	err     error
	retryAt time.Time

	life       context.Context // ends with Close
	die        context.CancelFunc
	background sync.WaitGroup // what runs until then beside the engine

	mu       sync.Mutex
	closed   bool     // guarded by mu
	watch    func()   // guarded by mu; stops watching the list of clients
	changes  []change // guarded by mu; on the list, oldest first, not yet settled
	settling bool     // guarded by mu; somebody is at it
}

// engine is what an open store gives a gate.
type engine struct {
	backend store.Backend
	records *session.Records
	ring    *assertion.Ring
	chain   *audit.Chain
	keys    keys
	pins    *stretcher
	floor   int64         // what was made before it, in Unix seconds, does not count
	wake    chan struct{} // tells the worker that mail was queued
	// preparing is held by those who take an address to a program.
	preparing chan struct{}
	unfit     atomic.Pointer[error] // why nobody can sign in; of nil if they can, and never nil itself

	stop    context.CancelFunc
	workers sync.WaitGroup
}

const (
	// openTime bounds the opening of a store.
	openTime = 5 * time.Second
	// closeGrace is how long a request may go on after its gate was closed.
	closeGrace = 10 * time.Second
)

// NewRuntime returns a gate that has opened nothing yet. It must be closed.
func NewRuntime(o Options) *Runtime {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Pause == 0 {
		o.Pause = 400 * time.Millisecond
	}
	rt := &Runtime{o: o, outbox: outbox.New(outbox.Kept), opening: make(chan struct{}, 1)}
	rt.list = managed.New(o.Gate)
	rt.meter = newMeter(rt)
	rt.life, rt.die = context.WithCancel(context.Background())
	return rt
}

// Outbox is where mail goes that is only for trying things out.
func (rt *Runtime) Outbox() *outbox.Box { return rt.outbox }

// Managed is the list of clients that the gate keeps in its store. Before the
// store was opened it cannot tell who is on file.
func (rt *Runtime) Managed() directory.Directory { return rt.list }

// Use makes c the configuration that the workers go by, and opens the store. A
// store that cannot be reached now does not keep a server from starting; one
// that was made with another secret, or is none, does. undo puts the
// configuration before it back, unless a later one came.
func (rt *Runtime) Use(c *Config) (undo func(), err error) {
	if c.Name != rt.o.Gate {
		return nil, fmt.Errorf("gate %q cannot take the place of gate %q without a restart", c.Name, rt.o.Gate)
	}
	old := rt.conf.Swap(c)
	if _, err := rt.open(context.Background()); errors.Is(err, errRefused) {
		rt.conf.CompareAndSwap(c, old)
		return nil, err
	} else if err != nil {
		c.Log.Error("opening the store; the next request tries again", zap.Error(err))
	}
	rt.follow(old, c)
	return func() {
		if old != nil && rt.conf.CompareAndSwap(c, old) {
			rt.follow(c, old)
		}
	}, nil
}

// open returns the engine, opening the store if need be. Whoever comes while
// it is being opened waits for what comes of that; while it cannot be, it is
// tried once a second, not once a request. Nothing is opened before there is a
// configuration: its workers would have nothing to go by.
func (rt *Runtime) open(ctx context.Context) (*engine, error) {
	if e := rt.eng.Load(); e != nil {
		return e, nil
	}
	select {
	case rt.opening <- struct{}{}:
		defer func() { <-rt.opening }()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the store: %w", store.ErrUnknown)
	}
	rt.mu.Lock()
	closed := rt.closed
	rt.mu.Unlock()
	switch e := rt.eng.Load(); {
	case e != nil:
		return e, nil
	case closed, rt.conf.Load() == nil:
		return nil, errClosed
	case time.Now().Before(rt.retryAt):
		return nil, rt.err
	}
	// What is opened is everybody's: it does not depend on who asked first.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), openTime)
	defer cancel()
	e, err := rt.start(ctx)
	if err != nil {
		if !errors.Is(err, store.ErrUnknown) {
			err = fmt.Errorf("%w: %w (%w)", errRefused, err, store.ErrUnknown)
		}
		rt.err, rt.retryAt = err, time.Now().Add(time.Second)
		return nil, err
	}
	rt.eng.Store(e)
	return e, nil
}

func (rt *Runtime) start(ctx context.Context) (*engine, error) {
	secret, err := rt.o.Secret(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the secret: %v (%w)", err, store.ErrUnknown)
	}
	root, err := seal.New(secret, rt.o.Gate)
	if err != nil {
		return nil, err
	}
	backend, err := rt.o.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	said := make(map[string]bool)
	unfit, err := rt.fit(ctx, backend, said)
	if err != nil {
		backend.Close()
		return nil, err
	}
	sealed := store.Backend(metered{store.Timed(store.Sealed(backend, root.Box("store")), rt.meter.timed), rt.meter})
	if err := store.Claim(ctx, sealed, rt.o.Gate); err != nil {
		backend.Close()
		return nil, err
	}
	floor, err := rt.mark(ctx, sealed)
	if err != nil {
		backend.Close()
		return nil, err
	}
	ring, err := assertion.Open(ctx, sealed)
	if err != nil {
		backend.Close()
		return nil, fmt.Errorf("loading the signing keys: %w", err)
	}
	run, stop := context.WithCancel(context.Background())
	k := newKeys(root)
	e := &engine{
		backend: sealed, ring: ring, chain: audit.New(sealed, nil), keys: k, pins: newStretcher(k.pin, rt.o.PIN), stop: stop,
		records: session.New(sealed, root, rt.now, time.Unix(floor, 0)), floor: floor,
		wake: make(chan struct{}, 1), preparing: make(chan struct{}, preparing),
	}
	e.records.Keep(e.chain)
	feed := store.FeedOf(backend)
	rt.list.Open(sealed, root, feed != nil, rt.now)
	if feed != nil { // other gates are on this store
		e.records.Share()
		e.workers.Go(func() { every(run, 5*time.Second, func() { rt.list.Refresh(run) }) })
		e.workers.Go(func() {
			_ = feed.Watch(run, func(key string) { rt.changed(run, e, key) }) // it ends when run does
		})
	}
	e.unfit.Store(&unfit)
	e.workers.Go(func() { every(run, 10*time.Second, func() { rt.keepFit(run, e, backend, said) }) })
	e.workers.Go(func() { e.records.Run(run) })
	e.workers.Go(func() { rt.runEvents(run, e) })
	e.workers.Go(func() { rt.deliver(run, e, store.Fresh, freshHands) })
	e.workers.Go(func() { rt.deliver(run, e, store.Again, againHands) })
	// The keys seldom change, but where another gate replaces them because they
	// are in wrong hands, it matters that this one follows.
	e.workers.Go(func() { every(run, time.Minute, func() { rt.rotate(run, e) }) })
	e.workers.Go(func() { every(run, time.Second, func() { rt.sweep(run, e) }) })
	e.workers.Go(func() { every(run, time.Minute, func() { rt.raiseMark(run, sealed) }) })
	return e, nil
}

// every does something again and again until ctx is done.
func every(ctx context.Context, wait time.Duration, do func()) {
	tick := time.NewTicker(wait)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do()
		}
	}
}

// sweep closes what is open in sessions whose time is up.
func (rt *Runtime) sweep(ctx context.Context, e *engine) {
	if c := rt.conf.Load(); c != nil {
		e.records.Sweep(ctx, c.Clients, c.Session)
	}
}

// changed takes up what another gate has changed.
func (rt *Runtime) changed(ctx context.Context, e *engine, key string) {
	rt.list.Changed(key)
	if c := rt.conf.Load(); c != nil {
		e.records.Changed(key, c.Clients, c.Session)
	}
}

// rotate looks after the signing keys.
func (rt *Runtime) rotate(ctx context.Context, e *engine) {
	if err := e.ring.Refresh(ctx); err != nil {
		rt.conf.Load().Log.Warn("looking after the signing keys", zap.Error(err))
	}
}

// Close stops the workers, waits for what is running and closes the store.
func (rt *Runtime) Close() error {
	rt.mu.Lock()
	rt.closed = true
	watch := rt.watch
	rt.watch = nil
	rt.mu.Unlock()
	if watch != nil {
		watch()
	}
	rt.die()
	rt.background.Wait()
	rt.opening <- struct{}{} // nobody opens it from here on
	defer func() { <-rt.opening }()
	e := rt.eng.Swap(nil)
	if e == nil {
		return nil
	}
	e.stop()
	e.workers.Wait()
	e.records.EndStreams(closeGrace)
	return e.backend.Close()
}
