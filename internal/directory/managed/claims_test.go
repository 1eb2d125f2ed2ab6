// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package managed

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/bolt"
)

// dying is a store that a process is using which dies, or loses its line: from
// some write on there is nothing more.
type dying struct {
	store.Store
	writes atomic.Int64 // that are still made
}

var errDied = fmt.Errorf("died: %w", store.ErrUnknown)

func (d *dying) Get(ctx context.Context, key string) (store.Value, error) {
	if d.writes.Load() < 0 {
		return store.Value{}, errDied
	}
	return d.Store.Get(ctx, key)
}

func (d *dying) Update(ctx context.Context, key string, f func(time.Time, store.Value) (store.Value, error)) error {
	if d.writes.Add(-1) < 0 {
		return errDied
	}
	return d.Store.Update(ctx, key, f)
}

// crash is a directory whose process dies after some writes, and the same
// directory as the next process has it.
type crash struct {
	now    time.Time
	store  store.Store
	second *Directory
}

func newCrash(t *testing.T) *crash {
	c := &crash{now: time.Unix(1_800_000_000, 0)}
	b, err := bolt.Open(filepath.Join(t.TempDir(), "main.db"), bolt.Options{Now: func() time.Time { return c.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	c.store = b
	c.second = c.open(t, b)
	return c
}

func (c *crash) open(t *testing.T, s store.Store) *Directory {
	m := New("main")
	m.Open(s, root(t), true, func() time.Time { return c.now })
	return m
}

// after returns the directory of a process that dies after n writes.
func (c *crash) after(t *testing.T, n int64) *Directory {
	d := &dying{Store: c.store}
	d.writes.Store(n)
	return c.open(t, d)
}

// Whoever claims an address and dies must not keep it from everybody for good,
// and nobody may get it from whoever is only slow.
func TestClaimOfWhoDied(t *testing.T) {
	ada := directory.Client{ID: "c-ada", Email: "ada@example.com"}
	t.Run("the same id", func(t *testing.T) {
		c := newCrash(t)
		if _, err := c.after(t, 1).Add(t.Context(), ada, nil); !errors.Is(err, store.ErrUnknown) {
			t.Fatalf("Add = %v", err)
		}
		if _, err := c.second.Add(t.Context(), ada, nil); err != nil {
			t.Errorf("Add, again: %v", err)
		}
	})
	t.Run("no id", func(t *testing.T) {
		c := newCrash(t)
		nameless := directory.Client{Email: ada.Email}
		if _, err := c.after(t, 1).Add(t.Context(), nameless, nil); !errors.Is(err, store.ErrUnknown) {
			t.Fatalf("Add = %v", err)
		}
		if _, err := c.second.Add(t.Context(), nameless, nil); err != nil {
			t.Errorf("Add, again: %v", err)
		}
	})
	t.Run("another id", func(t *testing.T) {
		c := newCrash(t)
		if _, err := c.after(t, 1).Add(t.Context(), ada, nil); !errors.Is(err, store.ErrUnknown) {
			t.Fatalf("Add = %v", err)
		}
		other := directory.Client{ID: "c-other", Email: ada.Email}
		if _, err := c.second.Add(t.Context(), other, nil); !errors.Is(err, errBusy) {
			t.Errorf("Add at once = %v", err)
		}
		c.now = c.now.Add(claimLife)
		if _, err := c.second.Add(t.Context(), other, nil); !errors.Is(err, errBusy) {
			t.Errorf("Add in time = %v", err)
		}
		c.now = c.now.Add(time.Millisecond)
		if _, err := c.second.Add(t.Context(), other, nil); err != nil {
			t.Errorf("Add after that = %v", err)
		}
	})
	t.Run("a move", func(t *testing.T) {
		c := newCrash(t)
		on, err := c.second.Add(t.Context(), ada, nil)
		if err != nil {
			t.Fatal(err)
		}
		on.Email = "countess@example.com"
		if _, err := c.after(t, 1).Change(t.Context(), on); !errors.Is(err, store.ErrUnknown) {
			t.Fatalf("Change = %v", err)
		}
		want(t, c.second, ada.Email, ada.ID)
		want(t, c.second, on.Email, "")
		if _, err := c.after(t, 2).Change(t.Context(), on); err != nil { // dies before it gives up the old one
			t.Fatalf("Change = %v", err)
		}
		want(t, c.second, ada.Email, "")
		want(t, c.second, on.Email, ada.ID)
		c.now = c.now.Add(claimLife + time.Second)
		if _, err := c.second.Add(t.Context(), directory.Client{ID: "c-other", Email: ada.Email}, nil); err != nil {
			t.Errorf("Add with the address that was given up: %v", err)
		}
	})
	t.Run("a removal", func(t *testing.T) {
		c := newCrash(t)
		on, err := c.second.Add(t.Context(), ada, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.after(t, 1).Remove(t.Context(), ada.ID, on.Version); err != nil {
			t.Fatal(err)
		}
		if got, err := c.second.Add(t.Context(), directory.Client{Email: ada.Email}, nil); err != nil || got.ID == ada.ID {
			t.Errorf("Add = %+v, %v", got, err)
		}
	})
}

// Whoever is slower with a change than a claim is old makes none: somebody else
// may have the address by then.
func TestLateWrite(t *testing.T) {
	c := newCrash(t)
	slow := c.open(t, &pausing{Store: c.store, before: "main/clients/", pause: func() { c.now = c.now.Add(writeTime + time.Second) }})
	if got, err := slow.Add(t.Context(), directory.Client{ID: "c-1", Email: "one@example.com"}, nil); !errors.Is(err, errLate) {
		t.Errorf("Add = %+v, %v", got, err)
	}
	want(t, c.second, "one@example.com", "")
}

// pausing lets time pass before each write of some keys.
type pausing struct {
	store.Store
	before string
	pause  func()
}

func (p *pausing) Update(ctx context.Context, key string, f func(time.Time, store.Value) (store.Value, error)) error {
	if strings.HasPrefix(key, p.before) {
		p.pause()
	}
	return p.Store.Update(ctx, key, f)
}

// want checks whose an address is; empty is nobody's.
func want(t *testing.T, m *Directory, mail, id string) {
	t.Helper()
	a, err := address.Parse(mail)
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.ByAddress(t.Context(), a)
	if id == "" && errors.Is(err, directory.ErrNotFound) || err == nil && got.ID == id {
		return
	}
	t.Errorf("%s is on file for %q (%v), want %q", mail, got.ID, err, id)
}

// A store that fails over may lose a claim that it had acknowledged, and keep the
// client. The next change of the client, and the same import again, make it good.
func TestLostClaim(t *testing.T) {
	c := newCrash(t)
	on, err := c.second.Add(t.Context(), directory.Client{ID: "c-1", Email: "one@example.com"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := address.Parse(on.Email)
	lose := func() {
		t.Helper()
		err := c.store.Update(t.Context(), c.second.claimsName(mustPlace(t, c.second).spot(a).drawer), func(time.Time, store.Value) (store.Value, error) {
			return store.Value{}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want(t, c.second, on.Email, "")
	}
	lose()
	on.Name = "One"
	if on, err = c.second.Change(t.Context(), on); err != nil {
		t.Fatal(err)
	}
	want(t, c.second, on.Email, on.ID)
	lose()
	if err := c.second.Put(t.Context(), []directory.Client{on}, nil); err != nil {
		t.Fatal(err)
	}
	want(t, c.second, on.Email, on.ID)
}

// An import whose process dies, wherever, is finished by doing it again.
func TestPutIsFinishedByDoingItAgain(t *testing.T) {
	var clients []directory.Client
	for i := range 20 {
		clients = append(clients, directory.Client{Email: fmt.Sprintf("mail%d@example.com", i)})
		if i%2 == 0 {
			clients[i].ID = fmt.Sprint("c-", i)
		}
	}
	for died := int64(0); ; died += 7 {
		c := newCrash(t)
		first := c.after(t, died).Put(t.Context(), clients, nil)
		if first != nil && !errors.Is(first, store.ErrUnknown) {
			t.Fatalf("after %d writes: %v", died, first)
		}
		all, _, err := c.second.All(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		on := make(map[string]directory.Client)
		for _, c := range all {
			on[c.Email] = c
		}
		again := make([]directory.Client, len(clients))
		for i, c := range clients {
			if again[i] = c; on[c.Email].ID != "" {
				again[i] = on[c.Email]
			}
		}
		if err := c.second.Put(t.Context(), again, nil); err != nil {
			t.Fatalf("again, after %d writes: %v", died, err)
		}
		all, _, err = c.second.All(t.Context())
		if err != nil || len(all) != len(clients) {
			t.Fatalf("after %d writes and again there are %d clients, %v", died, len(all), err)
		}
		for _, c2 := range all {
			want(t, c.second, c2.Email, c2.ID)
			if c2.Version != 1 {
				t.Errorf("%s is of version %d", c2.ID, c2.Version)
			}
		}
		if first == nil {
			return
		}
	}
}
