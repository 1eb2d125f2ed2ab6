// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portalgate/portalgate/internal/seal"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/bolt"
	"github.com/portalgate/portalgate/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// box returns the box of a gate whose secret is n.
func box(t *testing.T, n byte, gate string) *seal.Box {
	t.Helper()
	secret := bytes.Repeat([]byte{n}, seal.SecretSize)
	secret[0]++
	r, err := seal.New(secret, gate)
	if err != nil {
		t.Fatal(err)
	}
	return r.Box("store")
}

func openBolt(t *testing.T, path string, o bolt.Options) *bolt.Store {
	t.Helper()
	b, err := bolt.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// onBolt returns a sealed store and the same store as somebody sees it who can
// write the file and knows no secret.
func onBolt(t *testing.T) (sealed, raw store.Backend) {
	t.Helper()
	raw = openBolt(t, filepath.Join(t.TempDir(), "store.db"), bolt.Options{})
	return store.Sealed(raw, box(t, 1, "main")), raw
}

func TestSealed(t *testing.T) {
	var mu sync.Mutex
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	o := bolt.Options{QueueSize: 50, Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}}
	paths := make(map[store.Backend]string)
	at := func(t *testing.T, path string) store.Backend {
		b := store.Sealed(openBolt(t, path, o), box(t, 1, "main"))
		paths[b] = path
		return b
	}
	storetest.Run(t, storetest.Harness{
		Open: func(t *testing.T) store.Backend { return at(t, filepath.Join(t.TempDir(), "store.db")) },
		Reopen: func(t *testing.T, b store.Backend) store.Backend {
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			return at(t, paths[b])
		},
		QueueSize: o.QueueSize,
		Advance: func(d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			now = now.Add(d)
		},
	})
}

func put(data []byte, expires time.Time) func(time.Time, store.Value) (store.Value, error) {
	return func(time.Time, store.Value) (store.Value, error) {
		return store.Value{Data: data, Expires: expires}, nil
	}
}

func mustUpdate(t *testing.T, s store.Store, key string, f func(time.Time, store.Value) (store.Value, error)) {
	t.Helper()
	if err := s.Update(t.Context(), key, f); err != nil {
		t.Fatal(err)
	}
}

// TestSealedAltered: what somebody who can write the store, but has no secret,
// might do to a record: another client's put in its place, a link made to live
// longer, a bit turned, a record of their own.
func TestSealedAltered(t *testing.T) {
	expires := time.Now().Add(time.Hour)
	for _, tc := range []struct {
		name  string
		alter func(t *testing.T, own, other store.Value) store.Value
	}{
		{"another key's", func(_ *testing.T, _, other store.Value) store.Value { return other }},
		{"longer life", func(_ *testing.T, own, _ store.Value) store.Value {
			own.Expires = own.Expires.Add(time.Millisecond)
			return own
		}},
		{"life without end", func(_ *testing.T, own, _ store.Value) store.Value {
			own.Expires = time.Time{}
			return own
		}},
		{"shorter life", func(_ *testing.T, own, _ store.Value) store.Value {
			own.Expires = own.Expires.Add(-time.Minute)
			return own
		}},
		{"a bit turned", func(_ *testing.T, own, _ store.Value) store.Value {
			own.Data[len(own.Data)/2] ^= 1
			return own
		}},
		{"cut off", func(_ *testing.T, own, _ store.Value) store.Value {
			own.Data = own.Data[:len(own.Data)-1]
			return own
		}},
		{"not sealed", func(_ *testing.T, own, _ store.Value) store.Value {
			own.Data = []byte("private words")
			return own
		}},
		{"empty", func(_ *testing.T, own, _ store.Value) store.Value {
			own.Data = []byte{}
			return own
		}},
		{"another secret's", func(t *testing.T, own, _ store.Value) store.Value {
			return elsewhere(t, box(t, 2, "main"), own.Expires)
		}},
		{"another gate's", func(t *testing.T, own, _ store.Value) store.Value {
			return elsewhere(t, box(t, 1, "other"), own.Expires)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, raw := onBolt(t)
			ctx := t.Context()
			mustUpdate(t, s, "key", put([]byte("private words"), expires))
			mustUpdate(t, s, "other", put([]byte("other words"), expires))
			own, err1 := raw.Get(ctx, "key")
			other, err2 := raw.Get(ctx, "other")
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			altered := tc.alter(t, own, other)
			mustUpdate(t, raw, "key", put(altered.Data, altered.Expires))

			_, getErr := s.Get(ctx, "key")
			updateErr := s.Update(ctx, "key", func(_ time.Time, old store.Value) (store.Value, error) {
				t.Errorf("Update let %q through", old.Data)
				return store.Value{}, nil
			})
			for name, err := range map[string]error{"Get": getErr, "Update": updateErr} {
				if !errors.Is(err, store.ErrUnknown) || !errors.Is(err, seal.ErrOpen) {
					t.Errorf("%s: %v, want ErrUnknown and seal.ErrOpen", name, err)
				} else if !strings.Contains(err.Error(), `value "key" was sealed with another secret, or altered`) || strings.Contains(err.Error(), "words") {
					t.Errorf("%s says %q", name, err)
				}
			}
			if v, err := raw.Get(ctx, "key"); err != nil || !bytes.Equal(v.Data, altered.Data) {
				t.Errorf("a value that does not open was changed (%v)", err)
			}
		})
	}
}

// elsewhere returns a value of the same key that was sealed in another box.
func elsewhere(t *testing.T, b *seal.Box, expires time.Time) store.Value {
	t.Helper()
	raw := openBolt(t, filepath.Join(t.TempDir(), "store.db"), bolt.Options{})
	mustUpdate(t, store.Sealed(raw, b), "key", put([]byte("private words"), expires))
	v, err := raw.Get(t.Context(), "key")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSealedItemsAltered: an item that does not open must not send a mail, nor
// keep the mails behind it from being sent.
func TestSealedItemsAltered(t *testing.T) {
	s, raw := onBolt(t)
	ctx, now := t.Context(), time.Now()
	for _, id := range []string{"moved", "older", "good"} {
		it := store.Item{ID: id, Data: []byte(id), Due: now, Expires: now.Add(time.Hour)}
		if err := s.Put(ctx, it); err != nil {
			t.Fatal(err)
		}
	}
	leased, err := raw.Lease(ctx, store.Fresh, 3, 0)
	if err != nil || len(leased) != 3 {
		t.Fatalf("leased %d: %v", len(leased), err)
	}
	for _, it := range leased {
		var altered store.Item
		switch it.ID {
		case "moved":
			altered = store.Item{ID: "elsewhere", Data: it.Data, Due: now.Add(-time.Hour), Expires: it.Expires}
		case "older":
			altered = store.Item{ID: it.ID, Data: it.Data, Due: now.Add(-time.Hour), Expires: it.Expires.Add(time.Hour)}
		default:
			altered = it
		}
		if err := errors.Join(raw.Done(ctx, it.ID), raw.Put(ctx, altered)); err != nil {
			t.Fatal(err)
		}
	}
	items, err := s.Lease(ctx, store.Fresh, 3, 0)
	if err != nil || len(items) != 1 || string(items[0].Data) != "good" {
		t.Errorf("leased %+v, %v, want the good one", items, err)
	}
	if err := s.Done(ctx, "good"); err != nil {
		t.Fatal(err)
	}
	items, err = s.Lease(ctx, store.Again, 3, time.Minute)
	if len(items) > 0 || !errors.Is(err, store.ErrUnknown) || !errors.Is(err, seal.ErrOpen) {
		t.Errorf("leased %+v, %v, want ErrUnknown", items, err)
	}
}

func TestSealedHidesContents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := store.Sealed(openBolt(t, path, bolt.Options{}), box(t, 1, "main"))
	mustUpdate(t, s, "key", put([]byte("private words"), time.Time{}))
	if err := s.Put(t.Context(), store.Item{ID: "id", Data: []byte("private mail"), Expires: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(file, []byte("private")) {
		t.Error("what was sealed stands in the file")
	}
}

func TestClaim(t *testing.T) {
	raw := openBolt(t, filepath.Join(t.TempDir(), "store.db"), bolt.Options{})
	ctx := t.Context()
	claim := func(secret byte, gate string) error {
		return store.Claim(ctx, store.Sealed(raw, box(t, secret, gate)), gate)
	}
	for range 3 {
		if err := claim(1, "main"); err != nil {
			t.Fatalf("the same secret: %v", err)
		}
	}
	if n := raw.Stats().Writes; n != 1 {
		t.Errorf("claiming again wrote: %d writes", n)
	}
	for range 2 { // being refused changes nothing
		err := claim(2, "main")
		if err == nil || errors.Is(err, store.ErrUnknown) || !strings.Contains(err.Error(), `the store of gate "main" was made with another secret`) {
			t.Errorf("another secret: %v", err)
		}
	}
	if err := claim(1, "main"); err != nil {
		t.Errorf("the same secret, after another: %v", err)
	}
	if err := claim(2, "other"); err != nil {
		t.Errorf("another gate, which never meets the first: %v", err)
	}

	// A store that cannot tell has not been made with another secret.
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := claim(1, "main"); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("a closed store: %v, want ErrUnknown", err)
	}
}
