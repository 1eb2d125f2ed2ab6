// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package directorytest is what every directory has to do, as tests. An
// implementation shows that it is one by a test that calls Run. What it is beside
// a Directory, a Finder, a Keeper or a Bulk, is found out and held to as well.
package directorytest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/store"
)

// Harness opens directories of the implementation under test.
type Harness struct {
	// Open returns a directory that has these clients on file.
	Open func(t *testing.T, clients ...directory.Client) directory.Directory
	// Beside returns the same directory as another process has it, which shares
	// nothing but the store. It is nil where there is none.
	Beside func(t *testing.T, d directory.Directory) directory.Directory
}

// The clients of the tests.
var (
	Ada   = directory.Client{ID: "c-ada", Email: "Ada@Example.com", Name: "Ada Lovelace", Phone: "+1 555 0100", Language: "en-GB", Access: true, EmailOK: true}
	Grace = directory.Client{ID: "c-grace", Email: "grace+clinic@gmail.com", Name: "Grace Hopper", Access: true}
	Zoe   = directory.Client{ID: "C.zoe_1", Email: "z.o.e@example.com", Name: "Zoë Müller-Lüdenscheidt", EmailOK: true}
)

// Run tests the implementation.
func Run(t *testing.T, h Harness) {
	t.Run("look-ups", h.lookUps)
	t.Run("E12", h.noFolding)
	t.Run("cancelled", h.cancelled)
	d := h.Open(t, Ada)
	if _, ok := d.(directory.Finder); ok {
		t.Run("find", h.find)
	}
	if _, ok := d.(directory.Keeper); ok {
		t.Run("add", h.add)
		t.Run("change", h.change)
		t.Run("remove", h.remove)
		t.Run("E16", h.oneAddress)
		t.Run("at once", h.atOnce)
	}
	if _, ok := d.(directory.Bulk); ok {
		t.Run("put", h.put)
		t.Run("put, refused", h.putRefused)
		t.Run("before", h.before)
	}
}

func (h Harness) lookUps(t *testing.T) {
	d := h.Open(t, Ada, Grace, Zoe)
	for _, c := range []directory.Client{Ada, Grace, Zoe} {
		wantOn(t, d, c)
	}
	for _, typed := range []string{"ada@example.com", "ADA@EXAMPLE.COM"} {
		if got, err := d.ByAddress(t.Context(), parse(t, typed)); err != nil || got.ID != Ada.ID || got.Email != Ada.Email {
			t.Errorf("ByAddress(%q) = %+v, %v", typed, got, err)
		}
	}
	for _, id := range []string{"", "C-ADA", "c-ad", "c-ada ", "../c-ada", "c-ada?x=1"} {
		if got, err := d.ByID(t.Context(), id); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("ByID(%q) = %+v, %v, want ErrNotFound", id, got, err)
		}
	}
	if got, err := d.ByAddress(t.Context(), address.Address{}); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("ByAddress of nobody's = %+v, %v, want ErrNotFound", got, err)
	}
}

// noFolding: Google returns another spelling of the mailbox that is on file. To
// take it for the same would let in whoever owns it at another provider, where
// dots and tags are somebody else's.
func (h Harness) noFolding(t *testing.T) {
	d := h.Open(t, Ada, Grace, Zoe)
	for _, other := range []string{
		"grace@gmail.com", "g.race+clinic@gmail.com", "grace+other@gmail.com", "grace+clinic@googlemail.com",
		"zoe@example.com", "z.oe@example.com", "ada+x@example.com", "ada@example.org", "ada@xn--exampl-fva.com",
	} {
		if got, err := d.ByAddress(t.Context(), parse(t, other)); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("ByAddress(%q) = %+v, %v, want ErrNotFound", other, got, err)
		}
	}
}

// cancelled: whoever gave up asking has not learned that somebody is not on file.
func (h Harness) cancelled(t *testing.T) {
	d := h.Open(t, Ada)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.ByID(ctx, Ada.ID); errors.Is(err, directory.ErrNotFound) {
		t.Error("ByID says that a client is not on file")
	}
	if _, err := d.ByAddress(ctx, parse(t, Ada.Email)); errors.Is(err, directory.ErrNotFound) {
		t.Error("ByAddress says that a client is not on file")
	}
	k, ok := d.(directory.Keeper)
	if !ok {
		return
	}
	if _, err := k.Add(ctx, Grace, nil); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("Add = %v, want ErrUnknown", err)
	}
	wantOff(t, d, Grace)
}

func (h Harness) find(t *testing.T) {
	f := h.Open(t, Ada, Grace, Zoe).(directory.Finder)
	for text, want := range map[string][]string{
		"":                  {Ada.ID, Grace.ID, Zoe.ID},
		"ad":                {Ada.ID},
		"LOVE":              {Ada.ID},
		"zoe":               {Zoe.ID},
		"luden mull":        {Zoe.ID},
		"grace+":            {Grace.ID},
		"ada@example":       {Ada.ID},
		"da":                nil,
		"example.com":       nil,
		"ada@example.com x": nil,
	} {
		wantFound(t, f, directory.Query{Text: text}, want...)
	}
	first, next, err := f.Find(t.Context(), directory.Query{Limit: 2})
	if err != nil || len(first) != 2 || next == "" {
		t.Fatalf("the first page is %+v, then %q, %v", first, next, err)
	}
	wantFound(t, f, directory.Query{Limit: 2, Cursor: next}, Zoe.ID)
	var invalid *directory.Invalid
	if _, _, err := f.Find(t.Context(), directory.Query{Cursor: "nonsense"}); !errors.As(err, &invalid) {
		t.Errorf("a cursor that nobody gave out: %v", err)
	}
}

func wantFound(t *testing.T, f directory.Finder, q directory.Query, want ...string) {
	t.Helper()
	found, next, err := f.Find(t.Context(), q)
	var got []string
	for _, c := range found {
		got = append(got, c.ID)
	}
	if err != nil || next != "" || len(got) != len(want) {
		t.Errorf("Find(%+v) = %q, %q, %v, want %q", q, got, next, err, want)
		return
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("Find(%+v) = %q, want %q", q, got, want)
		}
	}
}

// wantOn checks that c is on file, and nobody else in its place. What another
// process did may come a moment later.
func wantOn(t *testing.T, d directory.Directory, c directory.Client) directory.Client {
	t.Helper()
	soon(func() bool {
		on, err := d.ByID(t.Context(), c.ID)
		return err == nil && plain(on) == plain(c)
	})
	on, err := d.ByID(t.Context(), c.ID)
	if err != nil || plain(on) != plain(c) {
		t.Errorf("ByID(%q) = %+v, %v, want %+v", c.ID, on, err, c)
	}
	same, err := d.ByAddress(t.Context(), parse(t, c.Email))
	if err != nil || same != on {
		t.Errorf("ByAddress(%q) = %+v, %v, want %+v", c.Email, same, err, on)
	}
	return on
}

func wantOff(t *testing.T, d directory.Directory, c directory.Client) {
	t.Helper()
	soon(func() bool {
		_, err := d.ByID(t.Context(), c.ID)
		return errors.Is(err, directory.ErrNotFound)
	})
	if got, err := d.ByID(t.Context(), c.ID); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("ByID(%q) = %+v, %v, want ErrNotFound", c.ID, got, err)
	}
	if got, err := d.ByAddress(t.Context(), parse(t, c.Email)); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("ByAddress(%q) = %+v, %v, want ErrNotFound", c.Email, got, err)
	}
}

// soon waits until something is so, or for long enough.
func soon(so func() bool) {
	for end := time.Now().Add(4 * time.Second); !so() && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

// plain is a client without what the directory itself adds.
func plain(c directory.Client) directory.Client {
	c.Created, c.Version = time.Time{}, 0
	return c
}

func parse(t *testing.T, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
