// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/store"
)

func (h Harness) queue(t *testing.T) {
	t.Run("put, lease, done", h.putLeaseDone)
	t.Run("put twice", h.putTwice)
	t.Run("order", h.order)
	t.Run("gone", h.gone)
	t.Run("full", h.full)
	t.Run("durable", h.durableQueue)
	t.Run("lanes", h.lanes)
	t.Run("two never hold one item", h.concurrentLeases)
	if h.Advance != nil {
		t.Run("lease runs out", h.leaseRunsOut)
		t.Run("retry", h.retry)
		t.Run("expiry", h.itemExpiry)
	}
}

func put(t *testing.T, b store.Backend, items ...store.Item) {
	t.Helper()
	for _, it := range items {
		if err := b.Put(t.Context(), it); err != nil {
			t.Fatalf("Put(%q): %v", it.ID, err)
		}
	}
}

// lease leases from both lanes, first what is fresh.
func lease(t *testing.T, b store.Backend, max int, hold time.Duration) []store.Item {
	t.Helper()
	items := leaseFrom(t, b, store.Fresh, max, hold)
	held := make(map[string]bool)
	for _, it := range items {
		held[it.ID] = true
	}
	for _, it := range leaseFrom(t, b, store.Again, max-len(items), hold) {
		if held[it.ID] {
			t.Errorf("%q is in both lanes", it.ID)
		}
		items = append(items, it)
	}
	return items
}

func leaseFrom(t *testing.T, b store.Backend, lane store.Lane, max int, hold time.Duration) []store.Item {
	t.Helper()
	if max == 0 {
		return nil
	}
	items, err := b.Lease(t.Context(), lane, max, hold)
	if err != nil {
		t.Fatalf("Lease: %v", err)
	}
	return items
}

// wantLease leases what there is, for a minute, and checks ids and tries.
func wantLease(t *testing.T, b store.Backend, want ...string) {
	t.Helper()
	var got []string
	for _, it := range lease(t, b, 100, time.Minute) {
		got = append(got, fmt.Sprintf("%s %d", it.ID, it.Tries))
	}
	if !slices.Equal(got, want) {
		t.Errorf("leased %q, want %q", got, want)
	}
}

func retry(t *testing.T, b store.Backend, id string, due time.Time) {
	t.Helper()
	if err := b.Retry(t.Context(), id, due); err != nil {
		t.Fatalf("Retry(%q): %v", id, err)
	}
}

func done(t *testing.T, b store.Backend, id string) {
	t.Helper()
	if err := b.Done(t.Context(), id); err != nil {
		t.Fatalf("Done(%q): %v", id, err)
	}
}

func (h Harness) putLeaseDone(t *testing.T) {
	b := h.open(t)
	now := clock(t, b)
	wantLease(t, b)
	data := []byte("data")
	put(t, b, store.Item{ID: "id", Data: data, Due: now, Expires: now.Add(time.Hour), Tries: 7})
	data[0] = 'X'
	put(t, b, store.Item{ID: "later", Due: now.Add(time.Minute), Expires: now.Add(time.Hour)})

	items := lease(t, b, 100, time.Minute)
	if len(items) != 1 {
		t.Fatalf("leased %d items, want 1", len(items))
	}
	it := items[0]
	if it.ID != "id" || string(it.Data) != "data" || !it.Due.Equal(now) || !it.Expires.Equal(now.Add(time.Hour)) || it.Tries != 1 {
		t.Errorf("leased %+v", it)
	}
	it.Data[0] = 'X'
	wantLease(t, b) // it is held
	retry(t, b, "id", now)
	if items = lease(t, b, 100, time.Minute); len(items) != 1 || string(items[0].Data) != "data" || items[0].Tries != 2 {
		t.Errorf("leased %+v", items)
	}
	done(t, b, "id")
	retry(t, b, "later", now)
	wantLease(t, b, "later 1")

	// Without an expiry it might be done in a year.
	if err := b.Put(t.Context(), store.Item{ID: "eternal", Due: now}); err == nil {
		t.Error("an item without an expiry was taken")
	}
	wantLease(t, b)
}

// putTwice: whoever is not sure that an item was queued puts it again.
func (h Harness) putTwice(t *testing.T) {
	b := h.open(t)
	now := clock(t, b)
	it := store.Item{ID: "id", Data: []byte("first"), Due: now, Expires: now.Add(time.Hour)}
	put(t, b, it)
	it.Data = []byte("second")
	put(t, b, it)
	if items := lease(t, b, 100, time.Minute); len(items) != 1 || string(items[0].Data) != "first" {
		t.Errorf("leased %+v, want the first once", items)
	}
	put(t, b, it) // while it is held
	wantLease(t, b)
	done(t, b, "id")
	wantLease(t, b)
	put(t, b, it) // a new one of that name
	if items := lease(t, b, 100, time.Minute); len(items) != 1 || string(items[0].Data) != "second" || items[0].Tries != 1 {
		t.Errorf("leased %+v, want the second at its first try", items)
	}
}

func (h Harness) order(t *testing.T) {
	b := h.open(t)
	now := clock(t, b)
	for id, ago := range map[string]time.Duration{"c": time.Minute, "a": time.Hour, "d": time.Millisecond, "b": 30 * time.Minute} {
		put(t, b, store.Item{ID: id, Due: now.Add(-ago), Expires: now.Add(time.Hour)})
	}
	var got []string
	for range 2 {
		items := lease(t, b, 2, time.Minute)
		if len(items) != 2 {
			t.Fatalf("leased %d items, want 2", len(items))
		}
		got = append(got, items[0].ID, items[1].ID)
	}
	if want := []string{"a", "b", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("leased %q, want %q", got, want)
	}
}

// gone: somebody whose lease ran out may come late. It changes nothing.
func (h Harness) gone(t *testing.T) {
	b := h.open(t)
	now := clock(t, b)
	for range 2 {
		done(t, b, "id")
		retry(t, b, "id", now)
		wantLease(t, b)
	}
}

func (h Harness) full(t *testing.T) {
	b := h.open(t)
	now := clock(t, b)
	item := func(i int) store.Item {
		return store.Item{ID: fmt.Sprint(i), Due: now, Expires: now.Add(time.Hour)}
	}
	for i := range h.QueueSize {
		put(t, b, item(i))
	}
	if err := b.Put(t.Context(), item(h.QueueSize)); err != store.ErrFull {
		t.Errorf("Put over the bound: %v, want ErrFull", err)
	}
	put(t, b, item(0)) // it is there already

	done(t, b, "0")
	done(t, b, "0")
	put(t, b, item(0))
	if err := b.Put(t.Context(), item(h.QueueSize)); err != store.ErrFull {
		t.Errorf("Put over the bound: %v, want ErrFull", err)
	}
	if h.Advance == nil {
		return
	}
	h.Advance(time.Hour) // the expired make room
	now = clock(t, b)
	for i := range h.QueueSize {
		put(t, b, item(i))
	}
	if err := b.Put(t.Context(), item(h.QueueSize)); err != store.ErrFull {
		t.Errorf("Put over the bound: %v, want ErrFull", err)
	}
}

func (h Harness) durableQueue(t *testing.T) {
	b := h.open(t)
	now := clock(t, b)
	for _, id := range []string{"a", "b"} {
		put(t, b, store.Item{ID: id, Data: []byte(id), Due: now, Expires: now.Add(24 * time.Hour)})
		now = now.Add(-time.Second)
	}
	if items := lease(t, b, 1, 12*time.Hour); len(items) != 1 || items[0].ID != "b" {
		t.Fatalf("leased %+v", items)
	}
	b = h.reopen(t, b)
	wantLease(t, b, "a 1") // and the other is still held
	retry(t, b, "b", now)
	wantLease(t, b, "b 2")
}

// lanes: a thousand mails to a mail server that is down, each tried again and
// again, must not stand before one that was just asked for.
func (h Harness) lanes(t *testing.T) {
	b := h.open(t)
	now := clock(t, b)
	ids := func(items []store.Item) (all []string) {
		for _, it := range items {
			all = append(all, it.ID)
		}
		return all
	}
	want := func(lane store.Lane, ids []string, want ...string) {
		t.Helper()
		if !slices.Equal(ids, want) {
			t.Errorf("lane %d has %q, want %q", lane, ids, want)
		}
	}
	for i, id := range []string{"a", "b"} {
		put(t, b, store.Item{ID: id, Due: now.Add(time.Duration(i-5) * time.Minute), Expires: now.Add(time.Hour)})
	}
	want(store.Again, ids(leaseFrom(t, b, store.Again, 9, time.Minute)))
	want(store.Fresh, ids(leaseFrom(t, b, store.Fresh, 9, time.Minute)), "a", "b")
	for _, id := range []string{"a", "b"} {
		retry(t, b, id, now.Add(-time.Hour))
	}
	put(t, b, store.Item{ID: "c", Due: now, Expires: now.Add(time.Hour)})
	want(store.Fresh, ids(leaseFrom(t, b, store.Fresh, 9, time.Minute)), "c")
	done(t, b, "b")
	want(store.Again, ids(leaseFrom(t, b, store.Again, 9, time.Minute)), "a")
	done(t, b, "a")
	done(t, b, "c")
	put(t, b, store.Item{ID: "a", Due: now, Expires: now.Add(time.Hour)}) // another of that name
	want(store.Again, ids(leaseFrom(t, b, store.Again, 9, time.Minute)))
	want(store.Fresh, ids(leaseFrom(t, b, store.Fresh, 9, time.Minute)), "a")
}

func (h Harness) concurrentLeases(t *testing.T) {
	b := h.open(t)
	now := clock(t, b)
	const items = 50
	for i := range items {
		put(t, b, store.Item{ID: fmt.Sprint(i), Due: now, Expires: now.Add(time.Hour)})
	}
	var mu sync.Mutex
	held := make(map[string]int)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				got, err := b.Lease(t.Context(), store.Fresh, 3, time.Hour)
				if err != nil {
					t.Errorf("Lease: %v", err)
				}
				if len(got) == 0 {
					return
				}
				mu.Lock()
				for _, it := range got {
					held[it.ID]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for id, n := range held {
		if n != 1 {
			t.Errorf("item %s was leased to %d at once", id, n)
		}
	}
	if len(held) != items {
		t.Errorf("%d items were leased, want %d", len(held), items)
	}
}

func (h Harness) leaseRunsOut(t *testing.T) {
	b := h.open(t)
	now := clock(t, b)
	put(t, b, store.Item{ID: "id", Due: now.Add(time.Second), Expires: now.Add(time.Hour)})
	h.Advance(time.Second - time.Millisecond)
	wantLease(t, b)
	h.Advance(time.Millisecond) // due on the instant
	wantLease(t, b, "id 1")
	h.Advance(time.Minute - time.Millisecond)
	wantLease(t, b)
	h.Advance(time.Millisecond) // whoever held it has died
	wantLease(t, b, "id 2")
}

func (h Harness) retry(t *testing.T) {
	b := h.open(t)
	now := clock(t, b)
	put(t, b, store.Item{ID: "id", Due: now, Expires: now.Add(time.Hour)})
	wantLease(t, b, "id 1")
	retry(t, b, "id", now.Add(5*time.Minute))
	h.Advance(5*time.Minute - time.Millisecond) // the lease is over: Retry's time holds
	wantLease(t, b)
	h.Advance(time.Millisecond)
	wantLease(t, b, "id 2")
}

// itemExpiry: a mail older than its link is not sent.
func (h Harness) itemExpiry(t *testing.T) {
	b := h.open(t)
	now := clock(t, b)
	put(t, b,
		store.Item{ID: "waiting", Due: now.Add(time.Hour), Expires: now.Add(time.Hour)},
		store.Item{ID: "held", Due: now, Expires: now.Add(time.Hour)},
		store.Item{ID: "long", Due: now.Add(time.Hour), Expires: now.Add(3 * time.Hour)})
	wantLease(t, b, "held 1")
	h.Advance(time.Hour - time.Millisecond)
	wantLease(t, b, "held 2")
	h.Advance(time.Millisecond) // on the instant
	retry(t, b, "held", now)
	wantLease(t, b, "long 1")
	done(t, b, "held")

	// An expired id is free again.
	now = clock(t, b)
	put(t, b, store.Item{ID: "held", Data: []byte("new"), Due: now, Expires: now.Add(time.Minute)})
	if items := lease(t, b, 100, time.Minute); len(items) != 1 || string(items[0].Data) != "new" || items[0].Tries != 1 {
		t.Errorf("leased %+v, want the new item", items)
	}
}
