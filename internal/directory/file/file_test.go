// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/directory/csv"
	"github.com/portalgate/portalgate/internal/directory/directorytest"
)

const (
	head  = "id,email,name,portal_access,email_ok\n"
	ada   = "c-1,ada@example.com,Ada,yes,yes\n"
	grace = "c-2,grace@example.com,Grace,yes,yes\n"
)

// disk is a client file under test. Each write has a time of its own, as
// writes by people have.
type disk struct {
	t    *testing.T
	path string
	at   time.Time
}

func newDisk(t *testing.T, content string) *disk {
	d := &disk{t: t, path: filepath.Join(t.TempDir(), "clients.csv"), at: time.Unix(1_800_000_000, 0)}
	d.write(content)
	return d
}

func (d *disk) write(content string) {
	d.t.Helper()
	d.at = d.at.Add(time.Minute)
	d.writeUnseen(content)
}

// writeUnseen leaves the time of the write before.
func (d *disk) writeUnseen(content string) {
	d.t.Helper()
	d.check(os.WriteFile(d.path, []byte(content), 0o600))
	d.check(os.Chtimes(d.path, d.at, d.at))
}

// replace puts a new file in the place of the old one.
func (d *disk) replace(content string) {
	d.t.Helper()
	beside := d.path + ".new"
	d.check(os.WriteFile(beside, []byte(content), 0o600))
	d.check(os.Chtimes(beside, d.at, d.at))
	d.check(os.Rename(beside, d.path))
}

func (d *disk) open() *File {
	d.t.Helper()
	f, err := Open(d.path)
	d.check(err)
	return f
}

func (d *disk) check(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func TestFile(t *testing.T) {
	f := newDisk(t, head+"c-1,Ada@Example.com,Ada,no,yes\n").open()
	ctx := t.Context()
	want := directory.Client{ID: "c-1", Email: "Ada@Example.com", Name: "Ada", EmailOK: true}

	if got, err := f.ByID(ctx, "c-1"); err != nil || got != want {
		t.Errorf("ByID = %+v, %v", got, err)
	}
	for _, s := range []string{"ada@example.com", "ADA@EXAMPLE.COM"} {
		if got, err := f.ByAddress(ctx, parseAddress(t, s)); err != nil || got != want {
			t.Errorf("ByAddress(%q) = %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"a.da@example.com", "ada+x@example.com", "ada@example.org"} {
		if _, err := f.ByAddress(ctx, parseAddress(t, s)); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("ByAddress(%q) error = %v, want ErrNotFound", s, err)
		}
	}
	if _, err := f.ByAddress(ctx, address.Address{}); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("ByAddress(zero) error = %v, want ErrNotFound", err)
	}
	for _, id := range []string{"", "C-1", "c-2"} {
		if _, err := f.ByID(ctx, id); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("ByID(%q) error = %v, want ErrNotFound", id, err)
		}
	}
}

func TestConformance(t *testing.T) {
	directorytest.Run(t, directorytest.Harness{Open: func(t *testing.T, clients ...directory.Client) directory.Directory {
		var list strings.Builder
		if err := csv.Write(&list, clients); err != nil {
			t.Fatal(err)
		}
		return newDisk(t, list.String()).open()
	}})
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.csv")
	if err := os.WriteFile(bad, []byte("id,email,name\n1,nonsense,A\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ path, want string }{
		{filepath.Join(dir, "none.csv"), "none.csv: no such file"},
		{dir, "is not a regular file"},
		{bad, "bad.csv: line 2: email: "},
	}
	for _, tc := range tests {
		f, err := Open(tc.path)
		if err == nil || f != nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("Open(%q) error = %v, want %q in it", tc.path, err, tc.want)
		}
	}
}

// Readers see the old list or the new one, never a part of either.
func TestFileConcurrently(t *testing.T) {
	lists := []string{head + ada + grace, head + "c-1,grace@example.com,Ada,yes,yes\nc-2,ada@example.com,Grace,yes,yes\n"}
	d := newDisk(t, lists[0])
	f := d.open()
	p := newPolls(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	adas := parseAddress(t, "ada@example.com")
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				c, err := f.ByAddress(ctx, adas)
				if err != nil || c.Email != "ada@example.com" {
					t.Errorf("ByAddress = %+v, %v", c, err)
					return
				}
			}
		})
	}
	for i := range 20 {
		d.write(lists[(i+1)%2])
		p.want(3, "changed c-1 c-2")
	}
	cancel()
	readers.Wait()
}

func parseAddress(t *testing.T, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
