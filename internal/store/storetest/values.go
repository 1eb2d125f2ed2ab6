// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/store"
)

func (h Harness) values(t *testing.T) {
	t.Run("set and delete", h.setAndDelete)
	t.Run("keys apart", h.keysApart)
	t.Run("f refuses", h.refuses)
	t.Run("f panics", h.panics)
	t.Run("isolated", h.isolated)
	t.Run("compare and swap", h.compareAndSwap)
	t.Run("epoch", h.epoch)
	t.Run("durable", h.durableValues)
	if h.Advance != nil {
		t.Run("expiry", h.valueExpiry)
	}
}

func (h Harness) setAndDelete(t *testing.T) {
	b := h.open(t)
	wantValue(t, b, "key", "")
	update(t, b, "key", set("one"))
	wantValue(t, b, "key", "one")
	update(t, b, "key", set("two"))
	wantValue(t, b, "key", "two")
	for range 2 { // the second time there is none
		update(t, b, "key", func(time.Time, store.Value) (store.Value, error) { return store.Value{}, nil })
		wantValue(t, b, "key", "")
	}

	// Empty is not missing.
	update(t, b, "key", func(time.Time, store.Value) (store.Value, error) {
		return store.Value{Data: []byte{}}, nil
	})
	if v, err := b.Get(t.Context(), "key"); err != nil || v.Data == nil || len(v.Data) != 0 {
		t.Errorf("Get of an empty value = %#v, %v", v.Data, err)
	}
	update(t, b, "key", func(_ time.Time, old store.Value) (store.Value, error) {
		if old.Data == nil {
			t.Error("Update was given no value for an empty one")
		}
		return store.Value{}, store.ErrUnchanged
	})
}

func (h Harness) keysApart(t *testing.T) {
	b := h.open(t)
	keys := []string{"a", "a/", "a/b", "A", "a\x00", "a b", "{a}", "ä", "*", strings.Repeat("a", 500)}
	for i, k := range keys {
		update(t, b, k, set(fmt.Sprint(i)))
	}
	for i, k := range keys {
		wantValue(t, b, k, fmt.Sprint(i))
	}
	update(t, b, "a", func(time.Time, store.Value) (store.Value, error) { return store.Value{}, nil })
	wantValue(t, b, "a", "")
	wantValue(t, b, "a/b", "2")
}

func (h Harness) refuses(t *testing.T) {
	b := h.open(t)
	broken := errors.New("not like this")
	for _, tc := range []struct {
		name string
		err  error
		want error
	}{
		{"unchanged", store.ErrUnchanged, nil},
		{"unchanged, wrapped", fmt.Errorf("nothing to do: %w", store.ErrUnchanged), nil},
		{"an error", broken, broken},
		{"an error of the store's", store.ErrNotFound, store.ErrNotFound},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := func(time.Time, store.Value) (store.Value, error) {
				return store.Value{Data: []byte("written")}, tc.err
			}
			update(t, b, "there", set("before"))
			for _, key := range []string{"there", "missing"} {
				if err := b.Update(t.Context(), key, f); err != tc.want {
					t.Errorf("Update(%q) = %v, want %v", key, err, tc.want)
				}
			}
			wantValue(t, b, "there", "before")
			wantValue(t, b, "missing", "")
		})
	}
}

// panics: net/http recovers a handler's panic. A store that then still held a
// lock would stop the whole gate.
func (h Harness) panics(t *testing.T) {
	b := h.open(t)
	update(t, b, "key", set("before"))
	func() {
		defer func() {
			if recover() == nil {
				t.Error("Update swallowed a panic")
			}
		}()
		b.Update(t.Context(), "key", func(time.Time, store.Value) (store.Value, error) { panic("in f") })
	}()
	wantValue(t, b, "key", "before")
	update(t, b, "key", set("after"))
	wantValue(t, b, "key", "after")
}

// isolated: who holds a slice holds no part of the store.
func (h Harness) isolated(t *testing.T) {
	b := h.open(t)
	value := strings.Repeat("value ", 2000) // too long for a store to hold it in passing
	written := []byte(value)
	update(t, b, "key", func(time.Time, store.Value) (store.Value, error) {
		return store.Value{Data: written}, nil
	})
	written[0] = 'X'
	wantValue(t, b, "key", value)

	v, err := b.Get(t.Context(), "key")
	if err != nil {
		t.Fatal(err)
	}
	v.Data[0] = 'X'
	_ = append(v.Data, "beyond"...)
	wantValue(t, b, "key", value)

	update(t, b, "key", func(_ time.Time, old store.Value) (store.Value, error) {
		old.Data[0] = 'X'
		return store.Value{}, store.ErrUnchanged
	})
	wantValue(t, b, "key", value)

	// What was read stays as it was read.
	if v, err = b.Get(t.Context(), "key"); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		update(t, b, "key", set(fmt.Sprintf("later %d", i)))
	}
	if string(v.Data) != value {
		t.Error("a value that was read changed with the store's")
	}
}

// compareAndSwap: everything that is used once is used once because of this.
func (h Harness) compareAndSwap(t *testing.T) {
	b := h.open(t)
	const writers, each = 64, 8
	got := make([][]int, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for range each {
				var n int
				err := b.Update(t.Context(), "counter", func(_ time.Time, old store.Value) (store.Value, error) {
					n = 0 // f may be called again: what counts is its last call
					if old.Data != nil {
						if _, err := fmt.Sscan(string(old.Data), &n); err != nil {
							return store.Value{}, err
						}
					}
					n++
					return store.Value{Data: fmt.Append(nil, n)}, nil
				})
				if err != nil {
					t.Errorf("Update: %v", err)
					return
				}
				got[w] = append(got[w], n)
			}
		})
	}
	wg.Wait()
	wantValue(t, b, "counter", fmt.Sprint(writers*each))
	all := slices.Concat(got...)
	slices.Sort(all)
	for i, n := range all {
		if n != i+1 {
			t.Fatalf("two writers made the same step: %d follows %d steps", n, i)
		}
	}
}

// epoch: a secret that may be used once remembers the epoch it was made in. If a
// key that is missing, or a value of somebody's making, had another than the
// rest of the store, secrets would be refused that nothing is wrong with.
func (h Harness) epoch(t *testing.T) {
	b := h.open(t)
	var missing, present string
	update(t, b, "key", func(_ time.Time, old store.Value) (store.Value, error) {
		missing = old.Epoch
		return store.Value{Data: []byte("x"), Epoch: "of f's making"}, nil
	})
	update(t, b, "key", func(_ time.Time, old store.Value) (store.Value, error) {
		present = old.Epoch
		return store.Value{}, store.ErrUnchanged
	})
	v, err := b.Get(t.Context(), "key")
	if err != nil || v.Epoch != present || missing != present {
		t.Errorf("epoch %q to Get (%v), %q to Update, %q to Update of a missing key, want one", v.Epoch, err, present, missing)
	}
}

func (h Harness) durableValues(t *testing.T) {
	b := h.open(t)
	expires := clock(t, b).Add(time.Hour)
	update(t, b, "key", func(time.Time, store.Value) (store.Value, error) {
		return store.Value{Data: []byte("value"), Expires: expires}, nil
	})
	update(t, b, "for ever", set("value"))
	b = h.reopen(t, b)
	wantValue(t, b, "for ever", "value")
	if v, err := b.Get(t.Context(), "key"); err != nil || string(v.Data) != "value" || !v.Expires.Equal(expires) {
		t.Errorf("after a restart: %q until %v, %v, want it until %v", v.Data, v.Expires, err, expires)
	}
}

func (h Harness) reopen(t *testing.T, b store.Backend) store.Backend {
	t.Helper()
	return Harness{Open: func(t *testing.T) store.Backend { return h.Reopen(t, b) }}.open(t)
}

func (h Harness) valueExpiry(t *testing.T) {
	b := h.open(t)
	until := func(data string, d time.Duration) func(time.Time, store.Value) (store.Value, error) {
		return func(now time.Time, _ store.Value) (store.Value, error) {
			return store.Value{Data: []byte(data), Expires: now.Add(d)}, nil
		}
	}
	update(t, b, "key", until("short", time.Minute))
	update(t, b, "for ever", set("long"))
	h.Advance(time.Minute - time.Millisecond)
	wantValue(t, b, "key", "short")
	h.Advance(time.Millisecond) // on the instant
	wantValue(t, b, "key", "")

	// One that has expired is none: it can be made anew, and lives as long as
	// the new one.
	update(t, b, "key", until("second", time.Hour))
	h.Advance(time.Hour - time.Millisecond)
	wantValue(t, b, "key", "second")

	// A longer life replaces a shorter, and a shorter a longer.
	update(t, b, "key", until("third", 24*time.Hour))
	h.Advance(time.Hour)
	wantValue(t, b, "key", "third")
	update(t, b, "key", until("fourth", time.Second))
	h.Advance(time.Second)
	wantValue(t, b, "key", "")

	// What is written too late is never seen.
	update(t, b, "key", until("late", 0))
	wantValue(t, b, "key", "")
	update(t, b, "key", until("late", -time.Hour))
	wantValue(t, b, "key", "")

	h.Advance(10 * 365 * 24 * time.Hour)
	wantValue(t, b, "for ever", "long")
}
