// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/store"
)

// TestS01_Down: a dead server costs a request microseconds, not a timeout, and
// is noticed soon after it is back.
func TestS01_Down(t *testing.T) {
	srv := redistest.Standalone(t, "--appendonly", "yes", "--appendfsync", "always")
	s := open(t, Options{URL: srv.URL()})
	mustUpdate(t, s, "access/key", "value")
	for name, how := range map[string]struct{ stop, back func() }{
		"killed": {srv.Kill, srv.Start},
		"halted": {srv.Halt, srv.Cont},
	} {
		t.Run(name, func(t *testing.T) {
			how.stop()
			wantUnknown(t, s, "the server is "+name)
			var took []time.Duration
			for range 2000 {
				begun := time.Now()
				_, err := s.Get(t.Context(), "access/key")
				took = append(took, time.Since(begun))
				if !errors.Is(err, store.ErrUnknown) {
					t.Fatalf("Get while the server is %s: %v", name, err)
				}
			}
			slices.Sort(took)
			p50, p99 := took[len(took)/2], took[len(took)*99/100]
			fmt.Printf("proof: redis %s: a call fails in %v (p50), %v (p99)\n", name, p50, p99)
			if p50 > 100*time.Microsecond {
				t.Errorf("half of the calls took %v and more to fail", p50)
			}
			how.back()
			back := await(t, "calls pass again", func() bool {
				_, err := s.Get(t.Context(), "access/key")
				return err == nil
			})
			fmt.Printf("proof: redis %s: calls pass again %v after it is back\n", name, back.Round(time.Millisecond))
			if back > 2*time.Second {
				t.Errorf("calls passed again only after %v", back)
			}
			wantValue(t, s, "access/key", "value")
		})
	}
}

// TestS02_Slow: behind a server that answers after five seconds, calls end in
// time, and those that cannot be made in time are not waited for.
func TestS02_Slow(t *testing.T) {
	srv := redistest.Standalone(t)
	p := redistest.NewProxy(t, srv.Addr())
	s := open(t, Options{URL: p.URL()})
	mustUpdate(t, s, "access/key", "value")
	before := runtime.NumGoroutine()
	p.Delay(5 * time.Second)

	const callers = 2 * maxCalls
	begun := time.Now()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			if _, err := s.Get(context.Background(), "access/key"); !errors.Is(err, store.ErrUnknown) {
				t.Errorf("Get behind a slow network: %v", err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("%d calls took %v to fail", callers, took)
	}
	const own = 8 * maxConns // the proxy's and the client's, which a call leaves behind
	if n := runtime.NumGoroutine(); n > before+own {
		t.Errorf("%d goroutines after the calls, %d before", n, before)
	}
	p.Delay(0)
	await(t, "calls pass again", func() bool {
		_, err := s.Get(t.Context(), "access/key")
		return err == nil
	})
}

// TestS02_Bounded: what waits for a server that says nothing is bounded before
// the breaker knows.
func TestS02_Bounded(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, Options{URL: srv.URL()})
	mustUpdate(t, s, "access/key", "value")
	hold, entered := make(chan struct{}), make(chan struct{}, maxCalls)
	var wg sync.WaitGroup
	for i := range maxCalls {
		wg.Go(func() {
			s.Update(t.Context(), fmt.Sprint(i), func(time.Time, store.Value) (store.Value, error) {
				entered <- struct{}{}
				<-hold
				return store.Value{}, store.ErrUnchanged
			})
		})
	}
	for range maxCalls {
		<-entered
	}
	if _, err := s.Get(t.Context(), "access/key"); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("one call more than there may be: %v, want ErrUnknown", err)
	}
	close(hold)
	wg.Wait()
	wantValue(t, s, "access/key", "value")
}

// TestS01_Refusals: whatever a server says that is not an answer is "unknown":
// taken for "no", it would sign everybody out.
func TestS01_Refusals(t *testing.T) {
	other := redistest.Standalone(t)
	srv := redistest.Standalone(t)
	s := open(t, Options{URL: srv.URL()})
	mustUpdate(t, s, "access/key", "value")
	for _, tc := range []struct {
		name     string
		on, off  []string
		readable bool // by design: what was written before can be read
	}{
		{"READONLY, a replica of another", []string{"REPLICAOF", "127.0.0.1", other.Port}, []string{"REPLICAOF", "NO", "ONE"}, false},
		{"NOREPLICAS", []string{"CONFIG", "SET", "min-replicas-to-write", "1"}, []string{"CONFIG", "SET", "min-replicas-to-write", "0"}, true},
		{"OOM", []string{"CONFIG", "SET", "maxmemory", "1"}, []string{"CONFIG", "SET", "maxmemory", "0"}, true},
		{"NOAUTH", []string{"CONFIG", "SET", "requirepass", "x"}, nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv.Do(tc.on...)
			if tc.readable {
				if v, err := s.Get(t.Context(), "access/key"); err != nil || string(v.Data) != "value" {
					t.Errorf("Get = %q, %v", v.Data, err)
				}
				if err := s.Update(t.Context(), "access/key", set("lost")); tc.off != nil && !errors.Is(err, store.ErrUnknown) {
					t.Errorf("Update: %v, want ErrUnknown", err)
				}
				if tc.off == nil { // its connections stay signed in
					s = open(t, Options{URL: srv.URL()})
					wantUnknown(t, s, "it wants a password")
					return
				}
			} else {
				wantUnknown(t, s, "the server is a replica")
			}
			srv.Do(tc.off...)
			await(t, "calls pass again", func() bool {
				return s.Update(t.Context(), "access/key", set("value")) == nil
			})
			wantValue(t, s, "access/key", "value")
		})
	}
}

// TestDamagedIsNotDown: a record that somebody has damaged is one client's
// trouble. A server that gives it out has answered: were it taken for down, one
// cookie would lock everybody out.
func TestDamagedIsNotDown(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, Options{URL: srv.URL()})
	mustUpdate(t, s, "access/key", "value")
	srv.Do("SET", s.name("v", "access/damaged").full, "x")
	for range 2 * breakAfter {
		if _, err := s.Get(t.Context(), "access/damaged"); !errors.Is(err, store.ErrUnknown) || !errors.Is(err, errDamaged) {
			t.Errorf("Get of a damaged record: %v", err)
		}
		if err := s.Update(t.Context(), "access/damaged", set("new")); !errors.Is(err, errDamaged) {
			t.Errorf("Update of a damaged record: %v", err)
		}
	}
	wantValue(t, s, "access/key", "value")
	// Nor is one that has become a replica: it says so.
	srv.Do("REPLICAOF", "127.0.0.1", redistest.FreePort(t))
	for range 2 * breakAfter {
		if _, err := s.Get(t.Context(), "access/key"); !errors.Is(err, store.ErrUnknown) || !errors.Is(err, errReplica) {
			t.Errorf("Get from a replica: %v", err)
		}
	}
	srv.Do("REPLICAOF", "NO", "ONE")
	wantValue(t, s, "access/key", "value")
}

// TestS01_Loading: a server that reads its file has nothing yet, which is not
// the same as having nothing.
func TestS01_Loading(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, Options{URL: srv.URL()})
	for i := range 2000 {
		mustUpdate(t, s, fmt.Sprint("access/", i), strings.Repeat("x", 100))
	}
	srv.Do("SAVE")
	srv.Kill()
	srv.Add("--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
	srv.Start()
	loading := 0
	await(t, "the file is loaded", func() bool {
		v, err := s.Get(t.Context(), "access/1999")
		if err != nil && !errors.Is(err, store.ErrUnknown) {
			t.Fatalf("Get while loading: %q, %v", v.Data, err)
		}
		if err != nil && strings.Contains(err.Error(), "LOADING") {
			loading++
		}
		return err == nil
	})
	if loading == 0 {
		t.Error("the server was never seen loading")
	}
}

// TestLostAnswer: a write whose answer was lost is neither made again nor said
// to have failed.
func TestLostAnswer(t *testing.T) {
	srv := redistest.Standalone(t)
	p := redistest.NewProxy(t, srv.Addr())
	s := open(t, Options{URL: p.URL()})
	mustUpdate(t, s, "access/key", "0")
	for i := range 20 {
		wantValue(t, s, "access/key", fmt.Sprint(i))
		calls := 0
		err := s.Update(t.Context(), "access/key", func(_ time.Time, old store.Value) (store.Value, error) {
			calls++
			p.Lose(1)
			return store.Value{Data: fmt.Append(nil, i+1)}, nil
		})
		if !errors.Is(err, store.ErrUnknown) || calls != 1 {
			t.Fatalf("Update whose answer was lost: %v after %d calls of f, want ErrUnknown after one", err, calls)
		}
	}
	wantValue(t, s, "access/key", "20")
}

// TestAborted: a browser that goes away takes nothing with it but its request.
func TestAborted(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, Options{URL: srv.URL()})
	mustUpdate(t, s, "access/key", "value")
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for i := range 50 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
				_, err := s.Get(ctx, "access/key")
				cancel()
				if err != nil && !errors.Is(err, store.ErrUnknown) {
					t.Errorf("Get of a caller that left: %v", err)
				}
			}
		})
	}
	wg.Wait()
	wantValue(t, s, "access/key", "value") // the breaker is closed
}
