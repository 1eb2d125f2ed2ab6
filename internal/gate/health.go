// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	healthTime = time.Second // for the store to answer
	healthLife = time.Second // of an answer
)

// health is whether the gate can do its work. It asks the store at most once
// in healthLife and never twice at a time, however often it is asked itself.
type health struct {
	mu sync.Mutex

	// Guarded by mu:
	ok     bool
	known  time.Time     // when ok was found out; zero is never
	asking chan struct{} // closed when the store has answered; nil if it is not being asked
}

// Healthy reports whether the store is open and answers.
func (rt *Runtime) Healthy() bool {
	h := &rt.health
	h.mu.Lock()
	defer h.mu.Unlock()
	now := rt.o.Now()
	if !h.known.IsZero() && now.Sub(h.known).Abs() < healthLife {
		return h.ok
	}
	switch {
	case h.asking == nil:
		if !rt.askLocked() {
			return false // closed
		}
	case !h.known.IsZero():
		return h.ok // somebody waits already
	}
	asked := h.asking
	h.mu.Unlock()
	late := time.NewTimer(healthTime)
	defer late.Stop()
	select {
	case <-asked:
		h.mu.Lock()
	case <-late.C:
		h.mu.Lock()
		if h.asking == asked {
			rt.foundLocked(errors.New("it does not answer"))
		}
	}
	return h.ok
}

// askLocked begins to ask the store, unless the gate is closed. What it begins
// may outlive who waits for it: a disk that hangs cannot be told to stop.
func (rt *Runtime) askLocked() bool {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.closed {
		return false
	}
	done := make(chan struct{})
	rt.health.asking = done
	rt.background.Go(func() { rt.askStore(done) })
	return true
}

// askStore reads something, whether or not it is there.
func (rt *Runtime) askStore(done chan struct{}) {
	ctx, cancel := context.WithTimeout(rt.life, openTime)
	defer cancel()
	e, err := rt.open(ctx)
	if err == nil {
		_, err = e.backend.Get(ctx, "health")
	}
	err = ignoreNotFound(err)
	rt.health.mu.Lock()
	defer rt.health.mu.Unlock()
	rt.foundLocked(err)
	rt.health.asking = nil
	close(done)
}

// foundLocked notes what was found, and says so if it was otherwise before.
func (rt *Runtime) foundLocked(err error) {
	h := &rt.health
	before, first := h.ok, h.known.IsZero()
	h.ok, h.known = err == nil, rt.o.Now()
	switch c := rt.conf.Load(); {
	case c == nil || before == h.ok && !first:
	case err != nil:
		c.Log.Error("the gate is not healthy", zap.Error(err))
	case !first:
		c.Log.Info("the gate is healthy again")
	}
}

// asksHealth reports whether a balancer asks how the gate is. Balancers ask by
// address and without TLS.
func (v *visit) asksHealth() bool {
	return v.Health && v.path == v.Path+"/health" && (v.r.Method == http.MethodGet || v.r.Method == http.MethodHead)
}

func (v *visit) health() {
	status, text := http.StatusOK, "ok\n"
	if !v.rt.Healthy() {
		status, text = http.StatusServiceUnavailable, "unavailable\n"
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	v.w.WriteHeader(status)
	if v.r.Method != http.MethodHead {
		_, _ = io.WriteString(v.w, text) // the balancer may be gone
	}
}
