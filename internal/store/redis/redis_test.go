// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a store, which the test closes.
func open(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Prefix == "" {
		o.Prefix = "main"
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStandalone(t *testing.T) {
	srv := redistest.Standalone(t)
	suite(t, Options{URL: srv.URL()})
}

func TestSentinel(t *testing.T) {
	w := redistest.Sentinel(t)
	suite(t, behind(w, 2))
}

func TestCluster(t *testing.T) {
	n := redistest.Cluster(t)
	t.Run("fenced", func(t *testing.T) { suite(t, clustered(n, 0)) })
	t.Run("with replicas", func(t *testing.T) { suite(t, clustered(n, 1)) })
}

func behind(w *redistest.Watched, replicas int) Options {
	return Options{URL: w.Servers[0].URL(), Sentinel: redistest.SentinelName, Sentinels: w.Addrs(), Replicas: replicas}
}

func clustered(n *redistest.Nodes, replicas int) Options {
	return Options{URL: n.Servers[0].URL(), Nodes: n.Addrs()[1:], Replicas: replicas}
}

var gates atomic.Int64

// suite runs storetest with a prefix for each store.
func suite(t *testing.T, o Options) {
	o.QueueSize = 50
	o.timeout = 5 * time.Second
	prefixes := make(map[store.Backend]string)
	at := func(t *testing.T, prefix string) store.Backend {
		o := o
		o.Prefix = prefix
		s := open(t, o)
		prefixes[s] = prefix
		return s
	}
	storetest.Run(t, storetest.Harness{
		Open: func(t *testing.T) store.Backend {
			return at(t, fmt.Sprint("gate-", gates.Add(1)))
		},
		Reopen: func(t *testing.T, b store.Backend) store.Backend {
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			return at(t, prefixes[b])
		},
		QueueSize: o.QueueSize,
	})
}

func set(data string) func(time.Time, store.Value) (store.Value, error) {
	return func(time.Time, store.Value) (store.Value, error) {
		return store.Value{Data: []byte(data)}, nil
	}
}

func unchanged(time.Time, store.Value) (store.Value, error) {
	return store.Value{}, store.ErrUnchanged
}

func mustUpdate(t *testing.T, s *Store, key, data string) {
	t.Helper()
	if err := s.Update(t.Context(), key, set(data)); err != nil {
		t.Fatal(err)
	}
}

func wantValue(t *testing.T, s *Store, key, want string) store.Value {
	t.Helper()
	v, err := s.Get(t.Context(), key)
	if err != nil || string(v.Data) != want {
		t.Errorf("Get(%q) = %q, %v, want %q", key, v.Data, err, want)
	}
	return v
}

// wantUnknown makes every call there is, and wants none of them to pass or to
// say "no".
func wantUnknown(t *testing.T, s *Store, when string) {
	t.Helper()
	ctx := t.Context()
	_, get := s.Get(ctx, "access/missing")
	update := s.Update(ctx, "access/key", set("lost"))
	_, allow := s.Allow(ctx, []limit.Ask{{Key: "key", Rate: limit.Rate{Count: 1e6, Per: time.Hour}}})
	put := s.Put(ctx, store.Item{ID: "id", Expires: time.Now().Add(time.Hour)})
	_, lease := s.Lease(ctx, store.Fresh, 1, time.Minute)
	for name, err := range map[string]error{"Get": get, "Update": update, "Allow": allow, "Put": put, "Lease": lease,
		"Done": s.Done(ctx, "id"), "Retry": s.Retry(ctx, "id", time.Now())} {
		if !errors.Is(err, store.ErrUnknown) {
			t.Errorf("%s while %s: %v, want ErrUnknown", name, when, err)
		}
	}
}

// await waits until ok, and fails the test if that takes too long. It returns
// how long it took.
func await(t *testing.T, what string, ok func() bool) time.Duration {
	t.Helper()
	begun := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		<-tick.C
		if time.Since(begun) > 20*time.Second {
			t.Fatalf("waited too long until %s", what)
		}
	}
	return time.Since(begun)
}
