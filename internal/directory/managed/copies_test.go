// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package managed

import (
	"errors"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/store"
)

// A store that is down makes nobody unknown: the answer is that nobody can tell.
func TestS01_OutageIsUnknown(t *testing.T) {
	c := newCrash(t)
	down := c.after(t, -1)
	if _, err := New("main").ByID(t.Context(), "c-1"); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("ByID before it is open = %v", err)
	}
	for _, m := range []*Directory{down, New("main")} {
		a, _ := address.Parse("ada@example.com")
		ada := directory.Client{ID: "c-1", Email: "ada@example.com", Version: 1}
		calls := make(map[string]error)
		_, calls["ByID"] = m.ByID(t.Context(), "c-1")
		_, calls["ByAddress"] = m.ByAddress(t.Context(), a)
		_, _, calls["Find"] = m.Find(t.Context(), directory.Query{})
		_, calls["Add"] = m.Add(t.Context(), directory.Client{Email: ada.Email}, nil)
		_, calls["Change"] = m.Change(t.Context(), ada)
		calls["Remove"] = m.Remove(t.Context(), "c-1", 1)
		_, _, calls["All"] = m.All(t.Context())
		calls["Put"] = m.Put(t.Context(), []directory.Client{ada}, nil)
		for name, err := range calls {
			if !errors.Is(err, store.ErrUnknown) {
				t.Errorf("%s = %v, want ErrUnknown", name, err)
			}
		}
	}
}

// What another gate changes holds here after five seconds, even if nobody told.
func TestCopiesGrowOld(t *testing.T) {
	c := newCrash(t)
	on, err := c.second.Add(t.Context(), directory.Client{ID: "c-1", Email: "one@example.com", Access: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	other := c.open(t, c.store)
	if got, err := other.ByID(t.Context(), "c-1"); err != nil || got != on {
		t.Fatalf("ByID = %+v, %v", got, err)
	}
	if _, _, err := other.Find(t.Context(), directory.Query{}); err != nil {
		t.Fatal(err)
	}
	on.Access = false
	if _, err := c.second.Change(t.Context(), on); err != nil {
		t.Fatal(err)
	}
	found := func() (access bool) {
		t.Helper()
		got, _, err := other.Find(t.Context(), directory.Query{})
		if err != nil || len(got) != 1 {
			t.Fatalf("Find = %+v, %v", got, err)
		}
		return got[0].Access
	}
	if got, _ := other.ByID(t.Context(), "c-1"); !got.Access || !found() {
		t.Error("there is no copy, so this test shows nothing")
	}
	c.now = c.now.Add(copyLife)
	if got, err := other.ByID(t.Context(), "c-1"); err != nil || got.Access {
		t.Errorf("ByID after %v = %+v, %v", copyLife, got, err)
	}
	on.Version, on.Access = 2, true
	if _, err := c.second.Change(t.Context(), on); err != nil {
		t.Fatal(err)
	}
	c.now = c.now.Add(renewAt)
	other.Refresh(t.Context())
	if !found() {
		t.Error("Find shows what was before the copies were renewed")
	}
	on.Version, on.Access = 3, false
	if _, err := c.second.Change(t.Context(), on); err != nil {
		t.Fatal(err)
	}
	other.Changed(other.name(mustPlace(t, other).drawerOf("c-1")))
	if found() {
		t.Error("Find shows what was before it was told of a change")
	}
	on.Version, on.Access = 4, true
	if _, err := c.second.Change(t.Context(), on); err != nil {
		t.Fatal(err)
	}
	c.now = c.now.Add(searchLife)
	if !found() {
		t.Error("Find shows what was two minutes ago")
	}
}

func mustPlace(t *testing.T, m *Directory) *place {
	t.Helper()
	p, err := m.place()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Two gates on one store never meet.
func TestGatesAreApart(t *testing.T) {
	c := newCrash(t)
	if _, err := c.second.Add(t.Context(), directory.Client{ID: "c-1", Email: "one@example.com"}, nil); err != nil {
		t.Fatal(err)
	}
	other := New("staff")
	other.Open(c.store, root(t), false, time.Now)
	if all, _, err := other.All(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("another gate has %+v on file, %v", all, err)
	}
	if _, err := other.Add(t.Context(), directory.Client{ID: "c-1", Email: "one@example.com"}, nil); err != nil {
		t.Errorf("Add at another gate: %v", err)
	}
}

// Of somebody who was removed the id stays, and nothing else.
func TestNothingStaysOfTheRemoved(t *testing.T) {
	c := newCrash(t)
	on, err := c.second.Add(t.Context(), directory.Client{ID: "c-1", Email: "one@example.com", Name: "Ada", Phone: "+1 555 0100"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.second.Remove(t.Context(), "c-1", on.Version); err != nil {
		t.Fatal(err)
	}
	p := mustPlace(t, c.second)
	v, err := c.store.Get(t.Context(), c.second.name(p.drawerOf("c-1")))
	if err != nil || string(v.Data) != `{"gone":["c-1"]}` {
		t.Errorf("the drawer holds %q, %v", v.Data, err)
	}
	a, _ := address.Parse("one@example.com")
	if v, err := c.store.Get(t.Context(), c.second.claimsName(p.spot(a).drawer)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the address's drawer holds %q, %v", v.Data, err)
	}
}

// A damaged value is neither a client nor none.
func TestDamagedDrawer(t *testing.T) {
	c := newCrash(t)
	p := mustPlace(t, c.second)
	a, _ := address.Parse("one@example.com")
	for _, key := range []string{c.second.name(p.drawerOf("c-1")), c.second.claimsName(p.spot(a).drawer)} {
		err := c.store.Update(t.Context(), key, func(time.Time, store.Value) (store.Value, error) {
			return store.Value{Data: []byte("{")}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.second.ByID(t.Context(), "c-1"); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("ByID = %v", err)
	}
	if _, err := c.second.ByAddress(t.Context(), a); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("ByAddress = %v", err)
	}
}
