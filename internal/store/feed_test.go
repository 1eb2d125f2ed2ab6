// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/store"
)

type told struct{ fixed }

func (told) Watch(_ context.Context, changed func(string)) error {
	changed("key")
	return nil
}

// TestFeedOf: a feed that was lost under what is wrapped around it would leave
// sessions that another gate ended in every cache.
func TestFeedOf(t *testing.T) {
	wrap := func(b store.Backend) store.Backend {
		return store.Sealed(store.Timed(b, func(string, time.Duration, error) {}), box(t, 1, "main"))
	}
	if f := store.FeedOf(wrap(fixed{})); f != nil {
		t.Errorf("FeedOf a store that has none = %v", f)
	}
	f := store.FeedOf(wrap(told{}))
	if f == nil {
		t.Fatal("FeedOf = nil")
	}
	var key string
	if err := f.Watch(t.Context(), func(k string) { key = k }); err != nil || key != "key" {
		t.Errorf("Watch told %q, %v", key, err)
	}
}

type inEpoch struct {
	fixed
	given store.Value
}

func (b *inEpoch) Update(_ context.Context, _ string, f func(time.Time, store.Value) (store.Value, error)) error {
	f(time.Now(), store.Value{Epoch: "e"})
	return nil
}

func (b *inEpoch) Get(context.Context, string) (store.Value, error) { return b.given, nil }

// TestSealedEpoch: the epoch is the store's, for a missing value too.
func TestSealedEpoch(t *testing.T) {
	s, raw := onBolt(t)
	mustUpdate(t, s, "key", put([]byte("data"), time.Time{}))
	stored, err := raw.Get(t.Context(), "key")
	if err != nil {
		t.Fatal(err)
	}
	stored.Epoch = "e"
	b := store.Sealed(&inEpoch{given: stored}, box(t, 1, "main"))
	if v, err := b.Get(t.Context(), "key"); err != nil || v.Epoch != "e" || string(v.Data) != "data" {
		t.Errorf("Get = %q in epoch %q, %v", v.Data, v.Epoch, err)
	}
	mustUpdate(t, b, "key", func(_ time.Time, old store.Value) (store.Value, error) {
		if old.Epoch != "e" {
			t.Errorf("Update was given epoch %q", old.Epoch)
		}
		return store.Value{}, store.ErrUnchanged
	})
}
