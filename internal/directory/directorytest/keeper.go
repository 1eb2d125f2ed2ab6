// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package directorytest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/store"
)

func (h Harness) keeper(t *testing.T, clients ...directory.Client) directory.Keeper {
	t.Helper()
	return h.Open(t, clients...).(directory.Keeper)
}

// beside is the same directory for another process, or the very same.
func (h Harness) beside(t *testing.T, k directory.Keeper) directory.Keeper {
	t.Helper()
	if h.Beside == nil {
		return k
	}
	return h.Beside(t, k).(directory.Keeper)
}

func (h Harness) add(t *testing.T) {
	k := h.keeper(t, Ada)
	other := h.beside(t, k)
	got, err := k.Add(t.Context(), Grace, nil)
	if err != nil || plain(got) != plain(Grace) || got.Version != 1 || got.Created.IsZero() {
		t.Fatalf("Add = %+v, %v", got, err)
	}
	if on := wantOn(t, k, Grace); on != got {
		t.Errorf("on file is %+v, Add said %+v", on, got)
	}
	wantOn(t, other, Grace)
	wantFound(t, k, directory.Query{Text: "grace"}, Grace.ID)

	nameless := Zoe
	nameless.ID = ""
	got, err = other.Add(t.Context(), nameless, nil)
	if err != nil || !directory.IsID(got.ID) || len(got.ID) < 20 {
		t.Fatalf("Add without an id = %+v, %v", got, err)
	}
	nameless.ID = got.ID
	wantOn(t, k, nameless)

	fine := directory.Client{ID: "x", Email: "x@example.com"}
	for field, spoil := range map[string]func(c *directory.Client){
		"id":       func(c *directory.Client) { c.ID = "a/b" },
		"email":    func(c *directory.Client) { c.Email = "Ada <ada@example.com>" },
		"name":     func(c *directory.Client) { c.Name = "A\nBcc: x@example.com" },
		"phone":    func(c *directory.Client) { c.Phone = strings.Repeat("1", 201) },
		"language": func(c *directory.Client) { c.Language = "en_US" },
	} {
		c := fine
		spoil(&c)
		var invalid *directory.Invalid
		if _, err := k.Add(t.Context(), c, nil); !errors.As(err, &invalid) || invalid.Field != field || invalid.Text == "" {
			t.Errorf("Add(%+v) = %v, want the %s to be invalid", c, err, field)
		}
	}
	var invalid *directory.Invalid
	if _, err := k.Add(t.Context(), directory.Client{ID: Ada.ID, Email: "new@example.com"}, nil); !errors.As(err, &invalid) || invalid.Field != "id" {
		t.Errorf("Add with the id of somebody else = %v", err)
	}
	wantOn(t, k, Ada)
	wantOff(t, k, fine)
	// What was refused is in nobody's way.
	if _, err := k.Add(t.Context(), directory.Client{ID: "y", Email: "new@example.com"}, nil); err != nil {
		t.Errorf("Add with an address that was refused with another id: %v", err)
	}
}

func (h Harness) change(t *testing.T) {
	k := h.keeper(t, Ada, Grace)
	other := h.beside(t, k)
	seen := wantOn(t, k, Ada)
	wantFound(t, other, directory.Query{Text: "king"})
	c := seen
	c.Name, c.Phone, c.Access, c.Email = "Ada King", "", false, "countess@example.com"
	got, err := k.Change(t.Context(), c)
	if err != nil || got.Version != seen.Version+1 || got.Created != seen.Created || plain(got) != plain(c) {
		t.Fatalf("Change = %+v, %v", got, err)
	}
	wantOn(t, k, c)
	wantOn(t, other, c)
	wantFound(t, k, directory.Query{Text: "king"}, Ada.ID)
	wantFound(t, other, directory.Query{Text: "king"}, Ada.ID)
	wantFound(t, k, directory.Query{Text: "lovelace"})
	if _, err := k.ByAddress(t.Context(), parse(t, Ada.Email)); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("the address before is still on file: %v", err)
	}
	if _, err := k.Change(t.Context(), c); !errors.Is(err, directory.ErrChanged) {
		t.Errorf("Change of what was changed in between = %v", err)
	}
	if _, err := k.Change(t.Context(), directory.Client{ID: "nobody", Email: "x@example.com", Version: 1}); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("Change of nobody = %v", err)
	}
	var invalid *directory.Invalid
	bad := got
	bad.Email = "nonsense"
	if _, err := k.Change(t.Context(), bad); !errors.As(err, &invalid) || invalid.Field != "email" {
		t.Errorf("Change to no address = %v", err)
	}
	// The address that was given up is free, and may be taken back.
	if _, err := other.Add(t.Context(), directory.Client{ID: "new", Email: "ADA@example.com"}, nil); err != nil {
		t.Errorf("Add with an address that was given up: %v", err)
	}
	cased := got
	cased.Email = "Countess@EXAMPLE.com"
	if got, err = other.Change(t.Context(), cased); err != nil || got.Email != cased.Email {
		t.Errorf("Change of the case of an address = %+v, %v", got, err)
	}
	wantOn(t, k, cased)
}

func (h Harness) remove(t *testing.T) {
	k := h.keeper(t, Ada, Grace)
	other := h.beside(t, k)
	seen := wantOn(t, k, Ada)
	if err := k.Remove(t.Context(), Ada.ID, seen.Version+1); !errors.Is(err, directory.ErrChanged) {
		t.Errorf("Remove of another version = %v", err)
	}
	if err := k.Remove(t.Context(), Ada.ID, seen.Version); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	wantOff(t, k, Ada)
	wantOff(t, other, Ada)
	wantFound(t, k, directory.Query{Text: "ada"})
	if err := k.Remove(t.Context(), Ada.ID, seen.Version); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("Remove of nobody = %v", err)
	}
	// The id is never given again: records, and the upstream, know it as somebody.
	for _, k := range []directory.Keeper{k, other} {
		if _, err := k.Add(t.Context(), Ada, nil); !errors.Is(err, directory.ErrDeleted) {
			t.Errorf("Add under the id of who was removed = %v, want ErrDeleted", err)
		}
	}
	again := Ada
	again.ID = ""
	got, err := other.Add(t.Context(), again, nil)
	if err != nil || got.ID == Ada.ID {
		t.Fatalf("Add of the address of who was removed = %+v, %v", got, err)
	}
	again.ID = got.ID
	wantOn(t, k, again)
}

// oneAddress: two people of a family share a mailbox. Whoever of them asks for a
// link must not come out as the other, so no two may have it on file, and staff
// are told whose it is.
func (h Harness) oneAddress(t *testing.T) {
	k := h.keeper(t, Ada, Grace)
	var taken *directory.Taken
	for _, id := range []string{"", "c-new"} {
		_, err := k.Add(t.Context(), directory.Client{ID: id, Email: "ADA@example.COM"}, nil)
		if !errors.As(err, &taken) || plain(taken.By) != plain(Ada) {
			t.Errorf("Add with an address on file = %v, want it to be taken", err)
		}
	}
	grace := wantOn(t, k, Grace)
	c := grace
	c.Email = Ada.Email
	if _, err := k.Change(t.Context(), c); !errors.As(err, &taken) || taken.By.ID != Ada.ID {
		t.Errorf("Change to an address on file = %v, want it to be taken", err)
	}
	wantOn(t, k, Ada)
	wantOn(t, k, Grace)
}

// atOnce: of many who want one thing one gets it.
func (h Harness) atOnce(t *testing.T) {
	k := h.keeper(t, Ada, Grace)
	both := []directory.Keeper{k, h.beside(t, k)}
	race := func(what string, allowed func(error) bool, do func(k directory.Keeper, i int) error) {
		t.Helper()
		var wg sync.WaitGroup
		errs := make([]error, 12)
		for i := range errs {
			wg.Go(func() { errs[i] = do(both[i%2], i) })
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !allowed(err) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if won != 1 {
			t.Errorf("%s: %d of %d did it, want one", what, won, len(errs))
		}
	}
	taken := func(err error) bool {
		// Whose it is cannot be told while the change is under way.
		_, is := errors.AsType[*directory.Taken](err)
		return is || errors.Is(err, store.ErrUnknown)
	}
	race("adding one address", taken, func(k directory.Keeper, i int) error {
		_, err := k.Add(t.Context(), directory.Client{ID: fmt.Sprint("a-", i), Email: "one@example.com"}, nil)
		return err
	})
	race("adding one address, without ids", taken, func(k directory.Keeper, i int) error {
		_, err := k.Add(t.Context(), directory.Client{Name: fmt.Sprint(i), Email: "two@example.com"}, nil)
		return err
	})
	grace := wantOn(t, k, Grace)
	race("changing one client", func(err error) bool { return errors.Is(err, directory.ErrChanged) }, func(k directory.Keeper, i int) error {
		c := grace
		c.Email = fmt.Sprintf("grace%d@example.com", i)
		_, err := k.Change(t.Context(), c)
		return err
	})
	var now directory.Client
	soon(func() bool { // the winner may have been the other
		now, _ = k.ByID(t.Context(), Grace.ID)
		return now.Version == grace.Version+1
	})
	wantOn(t, both[1], now)
	found, _, err := k.Find(t.Context(), directory.Query{})
	if err != nil || len(found) != 4 {
		t.Errorf("on file are %+v, %v", found, err)
	}
}

func (h Harness) put(t *testing.T) {
	k := h.keeper(t, Ada).(directory.Bulk)
	ada := wantOn(t, k, Ada)
	ada.Email = "countess@example.com"
	nameless := Zoe
	nameless.ID = ""
	var all []directory.Client
	for i := range 300 {
		all = append(all, directory.Client{ID: fmt.Sprint("many-", i), Email: fmt.Sprintf("many%d@example.com", i), Access: true})
	}
	if err := k.Put(t.Context(), append(all, ada, Grace, nameless), nil); err != nil {
		t.Fatalf("Put: %v", err)
	}
	for _, c := range append(all, ada, Grace) {
		wantOn(t, k, c)
	}
	if zoe, err := k.ByAddress(t.Context(), parse(t, Zoe.Email)); err != nil || !directory.IsID(zoe.ID) || zoe.Name != Zoe.Name {
		t.Errorf("who was put without an id is %+v, %v", zoe, err)
	}
	if _, err := k.ByAddress(t.Context(), parse(t, Ada.Email)); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("the address before is still on file: %v", err)
	}
	on, _, err := k.All(t.Context())
	if err != nil || len(on) != len(all)+3 {
		t.Fatalf("All = %d clients, %v", len(on), err)
	}
	// Once more changes nothing.
	if err := k.Put(t.Context(), on, nil); err != nil {
		t.Errorf("Put of what is on file: %v", err)
	}
	same, _, err := h.beside(t, k).(directory.Bulk).All(t.Context())
	if err != nil || len(same) != len(on) {
		t.Fatalf("All = %d clients, %v", len(same), err)
	}
	versions := make(map[string]int)
	for _, c := range on {
		versions[c.ID] = c.Version
	}
	for _, c := range same {
		if c.Version != versions[c.ID] {
			t.Errorf("%s is of version %d, and was of %d", c.ID, c.Version, versions[c.ID])
		}
	}
}

func (h Harness) putRefused(t *testing.T) {
	k := h.keeper(t, Ada, Grace).(directory.Bulk)
	ada, grace := wantOn(t, k, Ada), wantOn(t, k, Grace)
	if err := k.Remove(t.Context(), Grace.ID, grace.Version); err != nil {
		t.Fatal(err)
	}
	old := ada
	old.Version++
	var invalid *directory.Invalid
	var taken *directory.Taken
	for name, tc := range map[string]struct {
		c  directory.Client
		is func(error) bool
	}{
		"no address":       {directory.Client{ID: "x", Email: "x"}, func(err error) bool { return errors.As(err, &invalid) }},
		"an id on file":    {directory.Client{ID: Ada.ID, Email: "x@example.com"}, func(err error) bool { return errors.As(err, &invalid) }},
		"an id that was":   {directory.Client{ID: Grace.ID, Email: "x@example.com"}, func(err error) bool { return errors.Is(err, directory.ErrDeleted) }},
		"nobody to change": {directory.Client{ID: "x", Email: "x@example.com", Version: 1}, func(err error) bool { return errors.Is(err, directory.ErrNotFound) }},
		"another version":  {old, func(err error) bool { return errors.Is(err, directory.ErrChanged) }},
		"an address":       {directory.Client{ID: "x", Email: "ADA@example.com"}, func(err error) bool { return errors.As(err, &taken) && taken.By.ID == Ada.ID }},
		"without an id":    {directory.Client{Email: "ADA@example.com"}, func(err error) bool { return errors.As(err, &taken) && taken.By.ID == Ada.ID }},
	} {
		if err := k.Put(t.Context(), []directory.Client{tc.c}, nil); !tc.is(err) {
			t.Errorf("Put of %s = %v", name, err)
		}
	}
	wantOn(t, k, Ada)
	if all, _, err := k.All(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("on file are %+v, %v", all, err)
	}
}

// before: who is put on file can be written down by the id before it is done, also
// where the id is random, and what cannot be written down is not done.
func (h Harness) before(t *testing.T) {
	k := h.keeper(t, Ada).(directory.Bulk)
	ada := wantOn(t, k, Ada)
	nameless := Zoe
	nameless.ID = ""
	for name, do := range map[string]func(directory.Before) error{
		"Add": func(b directory.Before) error {
			_, err := k.Add(t.Context(), nameless, b)
			return err
		},
		"Put": func(b directory.Before) error {
			return k.Put(t.Context(), []directory.Client{ada, nameless}, b)
		},
	} {
		refused := errors.New("not written down")
		if err := do(func(context.Context, []string) error { return refused }); !errors.Is(err, refused) {
			t.Errorf("%s that cannot be written down = %v", name, err)
		}
		if on, err := k.ByAddress(t.Context(), parse(t, Zoe.Email)); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%s that was not written down: %+v, %v", name, on, err)
		}
		var told []string
		if err := do(func(ctx context.Context, ids []string) error {
			told = append(told, ids...)
			for _, id := range ids {
				if on, err := k.ByID(ctx, id); !errors.Is(err, directory.ErrNotFound) {
					t.Errorf("%s is on file before that was written down: %+v, %v", id, on, err)
				}
			}
			return nil
		}); err != nil {
			t.Fatalf("%s = %v", name, err)
		}
		on, err := k.ByAddress(t.Context(), parse(t, Zoe.Email))
		if err != nil || len(told) != 1 || told[0] != on.ID {
			t.Errorf("%s: written down is %q, on file %q, %v", name, told, on.ID, err)
		}
		if err := k.Remove(t.Context(), on.ID, on.Version); err != nil {
			t.Fatal(err)
		}
	}
}
