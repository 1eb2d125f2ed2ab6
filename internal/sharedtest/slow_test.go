// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package sharedtest

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/redistest"
)

// TestS02_RedisSlow has every answer of the store come 5 s late, under traffic
// that asks it: of visitors whose records are no longer in memory, and of
// strangers who ask for links. A gate that waited for it would hold ever more
// of them.
func TestS02_RedisSlow(t *testing.T) {
	timed(t)
	r := redistest.Standalone(t, "--appendonly", "yes")
	proxy := redistest.NewProxy(t, r.Addr())
	const visitors = 10
	w := newWorld(t, proxy.URL(), 2, visitors+1)
	y := newTraffic(w, w.signIn(0, visitors))
	calm := look(t, w.gates[0])
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	var most vitals
	running.Go(func() { y.run(ctx, sized(200, 60)) })
	running.Go(func() { most = w.watch(ctx) })
	proxy.Delay(5 * time.Second)
	pass(7 * time.Second) // a copy of a record serves for 5 s
	took := make(figures)
	for range sized(200, 50) {
		for _, g := range w.gates {
			v := g.Visitor()
			begun := time.Now()
			p := v.Get("/sign-in/session") // somebody with no session needs no store
			took.add("somebody without a session", time.Since(begun))
			if p.Status != http.StatusOK {
				t.Errorf("%d to somebody without a session", p.Status)
			}
			begun = time.Now()
			if got := ask(t, g, y.cookies[0]); got != http.StatusServiceUnavailable {
				t.Errorf("%d to a client while the store is slow", got)
			}
			took.add("a client's 503", time.Since(begun))
		}
	}
	pass(time.Duration(sized(20, 1)) * time.Second)
	proxy.Delay(0)
	back := time.Now()
	pass(2 * time.Second)
	w.signIn(visitors, visitors+1)
	stop()
	running.Wait()
	took.report(t, "Redis is slow", time.Second)
	y.check(t, t.Name(), back)
	if most.goroutines > calm.goroutines+600 || most.heap > calm.heap+64<<20 {
		t.Errorf("%d goroutines and %d MB of heap, %d and %d before", most.goroutines, most.heap>>20, calm.goroutines, calm.heap>>20)
	}
	t.Logf("proof: Redis slowed by 5 s: at most %d goroutines (%d before) and %d MB of heap in use (%d before)",
		most.goroutines, calm.goroutines, most.heap>>20, calm.heap>>20)
}
