// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/store"
)

func withHealth(c *Config, _ *HandlerOptions) { c.Health = true }

// TestHealth: a balancer asks by address, without TLS, and needs a yes or no.
func TestHealth(t *testing.T) {
	w := newTLSWorld(t, withHealth)
	signedIn := w.signIn("ada@example.com")
	plain := newWorld(t)
	plain.h = w.h // the same gate, reached without TLS
	balancer := plain.browser().once()
	is := func(status int, body string) {
		t.Helper()
		for _, b := range []*browser{balancer, signedIn} {
			p := b.get("/sign-in/health").is(status)
			if p.body != body || p.header.Get("Content-Type") != "text/plain; charset=utf-8" || p.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%q %v", p.body, p.header)
			}
			if len(p.header.Values("Set-Cookie")) != 0 {
				t.Errorf("it set a cookie: %v", p.header)
			}
		}
		if p := balancer.do("HEAD", "/sign-in/health", nil).is(status); p.body != "" {
			t.Errorf("HEAD has a body: %q", p.body)
		}
	}
	is(200, "ok\n")
	w.db.fail.Store(true)
	is(200, "ok\n") // for a second more
	for range 3 {
		w.clock.advance(time.Second)
		is(503, "unavailable\n")
	}
	w.db.fail.Store(false)
	w.clock.advance(time.Second)
	is(200, "ok\n")
	signedIn.get("/files").is(200)

	log := w.logs.String()
	for line, want := range map[string]int{"the gate is not healthy": 1, "pulled the plug": 1, "the gate is healthy again": 1} {
		if got := strings.Count(log, line); got != want {
			t.Errorf("the log says %q %d times, want %d", line, got, want)
		}
	}
	balancer.do("POST", "/sign-in/health", nil).is(421)
	signedIn.do("POST", "/sign-in/health", nil).is(405)
}

// TestHealthOff: nobody learns how the store is unless the operator wants a
// balancer to.
func TestHealthOff(t *testing.T) {
	w := newWorld(t)
	unheard, asked := w.browser().once().get("/sign-in/unheard-of"), w.browser().once().get("/sign-in/health")
	if asked.status != unheard.status || asked.header.Get("Location") != unheard.header.Get("Location") {
		t.Errorf("%d to %q, unlike %d to %q", asked.status, asked.header.Get("Location"), unheard.status, unheard.header.Get("Location"))
	}
}

// TestHealthHammered: whoever asks all the time costs one read a second.
func TestHealthHammered(t *testing.T) {
	w := newWorld(t, withHealth)
	before := w.db.gets.Load()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 500 {
				r := httptest.NewRequest("GET", "/sign-in/health", nil)
				rec := httptest.NewRecorder()
				if err := w.h.ServeHTTP(rec, r, Front{}, nil); err != nil || rec.Code != http.StatusOK {
					t.Errorf("%d, %v", rec.Code, err)
				}
			}
		})
	}
	all.Wait()
	if got := w.db.gets.Load() - before; got != 1 {
		t.Errorf("10 000 requests within a second read the store %d times, want once", got)
	}
}

// hanging is a store whose disk does not answer until it is let go.
type hanging struct {
	store.Backend
	hang, hung chan struct{}
}

func (h *hanging) Get(ctx context.Context, key string) (store.Value, error) {
	h.hung <- struct{}{}
	<-h.hang
	return h.Backend.Get(ctx, key)
}

// TestHealthHanging: a disk that hangs is not healthy after a second, and is
// asked no second time meanwhile: each would take a thread.
func TestHealthHanging(t *testing.T) {
	w := newWorld(t, withHealth)
	e := w.rt.eng.Load()
	h := &hanging{e.backend, make(chan struct{}), make(chan struct{}, 10_000)}
	defer w.rt.eng.Store(e)
	w.rt.eng.Store(&engine{backend: h, records: e.records, ring: e.ring, keys: e.keys, stop: e.stop})
	for range 3 {
		begun := time.Now()
		if w.rt.Healthy() {
			t.Fatal("a store that hangs is healthy")
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("it took %v to say so", took)
		}
		w.clock.advance(2 * time.Second)
	}
	if n := len(h.hung); n != 1 {
		t.Errorf("the store was asked %d times while it hung", n)
	}
	close(h.hang)
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !w.rt.Healthy() {
		select {
		case <-tick.C:
			w.clock.advance(2 * time.Second)
		case <-deadline:
			t.Fatal("not healthy after the store came back")
		}
	}
	if !strings.Contains(w.logs.String(), "it does not answer") {
		t.Error("the log does not say what was wrong")
	}
}

// TestHealthClosed: a request may outlive its gate.
func TestHealthClosed(t *testing.T) {
	w := newWorld(t, withHealth)
	if err := w.rt.Close(); err != nil {
		t.Fatal(err)
	}
	if w.rt.Healthy() {
		t.Error("a closed gate is healthy")
	}
}

// TestHealthUnopened: why a store cannot be opened is nothing for whoever asks.
func TestHealthUnopened(t *testing.T) {
	w := newWorld(t, withHealth)
	rt := NewRuntime(Options{
		Gate: "main", Now: w.clock.now,
		Secret: func(context.Context) ([]byte, error) { return []byte("0123456789abcdef0123456789abcdef"), nil },
		Open: func(context.Context) (store.Backend, error) {
			return nil, fmt.Errorf("broken: %w", store.ErrUnknown)
		},
	})
	defer rt.Close()
	h, err := rt.Handler(w.conf, HandlerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	if err := h.ServeHTTP(rec, httptest.NewRequest("GET", "/sign-in/health", nil), Front{}, nil); err != nil {
		t.Fatal(err)
	}
	if rec.Code != http.StatusServiceUnavailable || strings.Contains(rec.Body.String(), "broken") {
		t.Errorf("%d %q", rec.Code, rec.Body)
	}
}
