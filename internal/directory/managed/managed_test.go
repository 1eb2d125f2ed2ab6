// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package managed

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/directory/directorytest"
	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/seal"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/bolt"
	"github.com/portalgate/portalgate/internal/store/redis"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBolt(t *testing.T) {
	directorytest.Run(t, directorytest.Harness{Open: func(t *testing.T, clients ...directory.Client) directory.Directory {
		return on(t, openBolt(t), clients...)
	}})
}

func TestRedis(t *testing.T) {
	srv := redistest.Standalone(t)
	shared(t, redis.Options{URL: srv.URL()})
}

func TestCluster(t *testing.T) {
	n := redistest.Cluster(t)
	shared(t, redis.Options{URL: n.Servers[0].URL(), Nodes: n.Addrs()[1:], Replicas: 1})
}

// house is a directory that is open, and the store that it is in.
type house struct {
	*Directory
	backend store.Backend
	again   func(t *testing.T) store.Backend
}

func root(t testing.TB) *seal.Root {
	t.Helper()
	r, err := seal.New(bytes.Repeat([]byte("secret"), 6)[:seal.SecretSize], "main")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// on opens a directory in a store, and puts clients on file.
func on(t testing.TB, b store.Backend, clients ...directory.Client) house {
	t.Helper()
	m := New("main")
	feed := store.FeedOf(b)
	m.Open(store.Sealed(b, root(t).Box("store")), root(t), feed != nil, time.Now)
	if feed != nil {
		ctx, cancel := context.WithCancel(context.Background())
		var watching sync.WaitGroup
		watching.Go(func() { _ = feed.Watch(ctx, m.Changed) })
		t.Cleanup(func() { cancel(); watching.Wait() })
	}
	for _, c := range clients {
		if _, err := m.Add(t.Context(), c, nil); err != nil {
			t.Fatal(err)
		}
	}
	return house{Directory: m, backend: b}
}

func openBolt(t testing.TB) store.Backend {
	t.Helper()
	b, err := bolt.Open(filepath.Join(t.TempDir(), "main.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

var gates atomic.Int64

// shared runs the suite with a prefix for each store.
func shared(t *testing.T, o redis.Options) {
	openRedis := func(t testing.TB, o redis.Options) store.Backend {
		b, err := redis.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return b
	}
	directorytest.Run(t, directorytest.Harness{
		Open: func(t *testing.T, clients ...directory.Client) directory.Directory {
			o := o
			o.Prefix = fmt.Sprint("gate", gates.Add(1))
			h := on(t, openRedis(t, o), clients...)
			h.again = func(t *testing.T) store.Backend { return openRedis(t, o) }
			return h
		},
		Beside: func(t *testing.T, d directory.Directory) directory.Directory {
			return on(t, d.(house).again(t))
		},
	})
}

// BenchmarkByID is what each signed-in request costs of it.
func BenchmarkByID(b *testing.B) {
	m := on(b, openBolt(b))
	clients := make([]directory.Client, 10_000)
	for i := range clients {
		clients[i] = directory.Client{ID: fmt.Sprintf("c-%06d", i), Email: fmt.Sprintf("mail%d@example.com", i), Name: "Ada Lovelace"}
	}
	if err := m.Put(b.Context(), clients, nil); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := m.ByID(b.Context(), clients[i%len(clients)].ID); err != nil {
			b.Fatal(err)
		}
	}
}

// Some twenty-five clients lie in one drawer: what becomes of one is nothing to the others.
func TestDrawerKeepsTheOthers(t *testing.T) {
	var d drawer
	for _, id := range []string{"a", "b", "c"} {
		d.put(directory.Client{ID: id, Version: 1})
	}
	d.put(directory.Client{ID: "b", Version: 2})
	d.take("a")
	if len(d.Clients) != 2 || d.Clients[0].ID != "b" || d.Clients[0].Version != 2 || d.Clients[1].ID != "c" || !slices.Equal(d.Gone, []string{"a"}) {
		t.Errorf("b changed, a taken off file: %+v", d)
	}
}

// Whatever ids a practice has, no drawer is much fuller than another.
func TestDrawersFillEvenly(t *testing.T) {
	m := on(t, openBolt(t))
	p := mustPlace(t, m.Directory)
	for name, id := range map[string]func(int) string{
		"numbers":    func(i int) string { return fmt.Sprint(i) },
		"c-numbers":  func(i int) string { return fmt.Sprintf("c-%08d", i) },
		"tens":       func(i int) string { return fmt.Sprint(i * 10) },
		"random ids": func(int) string { return newID() },
	} {
		var full [drawers]int
		for i := range 100_000 {
			full[p.drawerOf(id(i))]++
		}
		if least, most := slices.Min(full[:]), slices.Max(full[:]); least < 4 || most > 60 {
			t.Errorf("%s: the drawers have %d to %d of 100 000 clients", name, least, most)
		}
	}
}
