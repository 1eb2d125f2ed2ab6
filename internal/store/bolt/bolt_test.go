// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if child := children[os.Getenv(childName)]; child != nil {
		child(os.Getenv(childFile))
		return
	}
	goleak.VerifyTestMain(m) // every store's sweeper ends with it
}

// testClock stands still unless it is moved.
type testClock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *testClock {
	return &testClock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func open(t testing.TB, path string, o Options) *Store {
	t.Helper()
	s, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	c := newClock()
	t.Run("clock on the second", func(t *testing.T) { runSuite(t, c) })
	c.advance(123456789 * time.Nanosecond) // records keep less
	t.Run("clock between", func(t *testing.T) { runSuite(t, c) })
}

func runSuite(t *testing.T, c *testClock) {
	o := Options{Now: c.now, QueueSize: 50}
	storetest.Run(t, storetest.Harness{
		Open: func(t *testing.T) store.Backend {
			return open(t, filepath.Join(t.TempDir(), "store.db"), o)
		},
		Reopen: func(t *testing.T, b store.Backend) store.Backend {
			path := b.(*Store).db.Path()
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, path, o)
		},
		QueueSize: o.QueueSize,
		Advance:   c.advance,
	})
}
