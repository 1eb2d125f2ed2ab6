// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package storetest is what every store has to do, as tests. An implementation
// shows that it is one by a test that calls Run; the rules of sign-in rest on
// nothing that is not checked here.
//
// It asks nothing about how a store works, how fast it is, or what becomes of
// it when a machine dies: those are the implementation's own tests.
package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/store"
)

// Harness opens stores of the implementation under test.
type Harness struct {
	// Open returns an empty store. The suite closes it.
	Open func(t *testing.T) store.Backend

	// Reopen closes a store and returns one with what it held, as after a
	// restart of the gate.
	Reopen func(t *testing.T, b store.Backend) store.Backend

	// QueueSize is how many items a store from Open holds.
	QueueSize int

	// Advance moves the clock of all stores, which stands still otherwise. It
	// is nil for stores whose clock is their own; what needs an exact clock is
	// then not asked.
	Advance func(d time.Duration)
}

// Run tests the implementation.
func Run(t *testing.T, h Harness) {
	t.Run("values", h.values)
	t.Run("limits", h.limits)
	t.Run("queue", h.queue)
	t.Run("cancelled", h.cancelled)
	t.Run("closed", h.closed)
	t.Run("close waits", h.closeWaits)
}

// cancelled: a call whose caller has gone does nothing.
func (h Harness) cancelled(t *testing.T) {
	b := h.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range everyCall(ctx, b) {
		if !errors.Is(err, store.ErrUnknown) {
			t.Errorf("%s with a cancelled context: %v, want ErrUnknown", name, err)
		}
	}
	if v, err := b.Get(t.Context(), "key"); err != store.ErrNotFound {
		t.Errorf("a cancelled Update left %q (%v)", v.Data, err)
	}
	if items := lease(t, b, 1, time.Minute); len(items) > 0 {
		t.Error("a cancelled Put left an item")
	}
}

func (h Harness) closed(t *testing.T) {
	b := h.open(t)
	for range 2 { // once more is harmless
		if err := b.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	for name, err := range everyCall(t.Context(), b) {
		if !errors.Is(err, store.ErrUnknown) {
			t.Errorf("%s after Close: %v, want ErrUnknown", name, err)
		}
	}
}

// closeWaits: requests of an old configuration outlive its clean-up, so a store
// is closed under running calls. They must end well, and no new ones begin.
func (h Harness) closeWaits(t *testing.T) {
	b := h.open(t)
	running, release := make(chan struct{}), make(chan struct{})
	updated, closed := make(chan error, 1), make(chan error, 1)
	var once sync.Once
	go func() {
		updated <- b.Update(t.Context(), "key", func(time.Time, store.Value) (store.Value, error) {
			once.Do(func() { close(running) })
			<-release
			return store.Value{Data: []byte("x")}, nil
		})
	}()
	<-running
	go func() { closed <- b.Close() }()

	for { // until Close has begun
		_, err := b.Get(t.Context(), "key")
		if errors.Is(err, store.ErrUnknown) {
			break
		}
		if err != store.ErrNotFound {
			t.Errorf("Get beside a running Update: %v, want ErrNotFound or ErrUnknown", err)
			break
		}
	}
	select {
	case err := <-closed:
		t.Errorf("Close did not wait for a running Update (%v)", err)
	default:
	}
	close(release)
	if err := <-updated; err != nil {
		t.Errorf("the Update that Close waited for: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
}

// everyCall makes every call there is and returns what they say.
func everyCall(ctx context.Context, b store.Backend) map[string]error {
	got := make(map[string]error)
	_, got["Get"] = b.Get(ctx, "key")
	got["Update"] = b.Update(ctx, "key", set("x"))
	_, got["Allow"] = b.Allow(ctx, []limit.Ask{{Key: "key", Rate: limit.Rate{Count: 1, Per: time.Hour}}})
	got["Forget"] = b.Forget(ctx, "key")
	got["Put"] = b.Put(ctx, store.Item{ID: "id", Expires: time.Now().Add(1e6 * time.Hour)})
	_, got["Lease"] = b.Lease(ctx, store.Fresh, 1, time.Minute)
	got["Done"] = b.Done(ctx, "id")
	got["Retry"] = b.Retry(ctx, "id", time.Now())
	return got
}

// open returns an empty store that is closed when the test ends.
func (h Harness) open(t *testing.T) store.Backend {
	t.Helper()
	b := h.Open(t)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}

// clock returns the store's time, as stores keep times.
func clock(t *testing.T, b store.Backend) time.Time {
	t.Helper()
	var now time.Time
	update(t, b, "clock", func(n time.Time, _ store.Value) (store.Value, error) {
		now = n
		return store.Value{}, store.ErrUnchanged
	})
	return now.Truncate(time.Millisecond)
}

func set(data string) func(time.Time, store.Value) (store.Value, error) {
	return func(time.Time, store.Value) (store.Value, error) {
		return store.Value{Data: []byte(data)}, nil
	}
}

func update(t *testing.T, b store.Backend, key string, f func(time.Time, store.Value) (store.Value, error)) {
	t.Helper()
	if err := b.Update(t.Context(), key, f); err != nil {
		t.Fatalf("Update(%q): %v", key, err)
	}
}

// wantValue checks what both Get and Update see. An empty want is no value.
func wantValue(t *testing.T, b store.Backend, key, want string) {
	t.Helper()
	v, err := b.Get(t.Context(), key)
	switch {
	case want == "" && err != store.ErrNotFound:
		t.Errorf("Get(%q) = %q, %v, want ErrNotFound", key, v.Data, err)
	case want != "" && (err != nil || string(v.Data) != want):
		t.Errorf("Get(%q) = %q, %v, want %q", key, v.Data, err, want)
	}
	var old store.Value
	update(t, b, key, func(_ time.Time, v store.Value) (store.Value, error) {
		old = v
		return store.Value{}, store.ErrUnchanged
	})
	if string(old.Data) != want || (want == "") != (old.Data == nil) || want == "" && !old.Expires.IsZero() {
		t.Errorf("Update(%q) was given %q until %v, want %q", key, old.Data, old.Expires, want)
	}
}
