// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/store"
)

// heard collects what a feed tells.
type heard struct {
	mu   sync.Mutex
	keys []string
}

func (h *heard) add(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys = append(h.keys, key)
}

func (h *heard) count(key string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range h.keys {
		if k == key {
			n++
		}
	}
	return n
}

func watch(t *testing.T, s *Store) (h *heard, stop func() error) {
	t.Helper()
	h = new(heard)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Watch(ctx, h.add) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { stop() })
	await(t, "it listens", func() bool { return h.count("") > 0 })
	return h, stop
}

func TestFeed(t *testing.T) {
	srv := redistest.Standalone(t)
	t.Run("standalone", func(t *testing.T) { feed(t, Options{URL: srv.URL()}) })
	w := redistest.Sentinel(t)
	t.Run("sentinel", func(t *testing.T) { feed(t, behind(w, 0)) })
	n := redistest.Cluster(t)
	t.Run("cluster", func(t *testing.T) { feed(t, clustered(n, 0)) })
}

func feed(t *testing.T, o Options) {
	a, b := open(t, o), open(t, o)
	o.Prefix = "another"
	another := open(t, o)
	h, stop := watch(t, b)
	var took []time.Duration
	for i := range 100 {
		begun := time.Now()
		mustUpdate(t, a, "access/key", "value")
		took = append(took, await(t, "the change is told", func() bool { return h.count("access/key") > i }), time.Since(begun))
	}
	slices.Sort(took)
	t.Logf("told after %v (p50), %v (p99)", took[len(took)/2], took[len(took)*99/100])

	// Not what it did itself, nor what another gate's namesake did, nor what
	// was not done.
	mustUpdate(t, b, "access/own", "value")
	mustUpdate(t, another, "access/another", "value")
	a.Update(t.Context(), "access/unchanged", unchanged)
	mustUpdate(t, a, "{last}\x00 key", "value")
	await(t, "the last is told", func() bool { return h.count("{last}\x00 key") > 0 })
	for _, key := range []string{"access/own", "access/another", "access/unchanged"} {
		if h.count(key) > 0 {
			t.Errorf("%s was told", key)
		}
	}
	if err := stop(); !errors.Is(err, store.ErrUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("Watch ended with %v", err)
	}

	// A store that closes does not wait for who listens.
	h, stop = watch(t, b)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := stop(); !errors.Is(err, errClosed) {
		t.Errorf("Watch ended with %v, want that the store is closed", err)
	}
	if err := b.Watch(t.Context(), h.add); !errors.Is(err, errClosed) {
		t.Errorf("Watch of a closed store: %v", err)
	}
}

// TestFeedInterrupted: what was said while nobody listened is lost, and a cache
// that does not know of it would serve ended sessions.
func TestFeedInterrupted(t *testing.T) {
	srv := redistest.Standalone(t)
	p := redistest.NewProxy(t, srv.Addr())
	a, b := open(t, Options{URL: srv.URL()}), open(t, Options{URL: p.URL()})
	h, _ := watch(t, b)
	p.Cut()
	mustUpdate(t, a, "access/missed", "value")
	p.Mend()
	await(t, "it says that it missed some", func() bool { return h.count("") > 1 })
	mustUpdate(t, a, "access/key", "value")
	await(t, "it tells again", func() bool { return h.count("access/key") > 0 })

	// A network that swallows everything.
	p.Stall()
	n := h.count("")
	begun := time.Now()
	await(t, "it has given the old connection up", func() bool { return h.count("") > n })
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("a dead connection was given up after %v", took)
	}
}
