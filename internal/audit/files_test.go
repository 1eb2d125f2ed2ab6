// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/audit"
)

// written returns a directory with n events, and the chain that they are of.
func written(t *testing.T, n int) (string, *audit.Chain, *audit.Files) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "audit")
	files := audit.NewFiles(dir, audit.UsualKeep)
	c := audit.New(onBolt(t, time.Now), files)
	for i := range n {
		ev := event(fmt.Sprintf("e%d", i+1))
		ev.Note = "on the phone\n\x1b[31m\"<b>"
		if err := c.Append(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.Follow(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return dir, c, files
}

func onlyFile(t *testing.T, dir string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(all) != 1 {
		t.Fatalf("%d files, %v", len(all), err)
	}
	return all[0]
}

// TestT10_AuditLog: somebody who can write the files removes, changes or moves
// events, and makes hashes anew where that helps; a note with line ends and
// control characters stays one line.
func TestT10_AuditLog(t *testing.T) {
	dir, _, _ := written(t, 9)
	path := onlyFile(t, dir)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
	lines[8] = append(lines[8], '\n')
	if len(lines) != 9 || bytes.ContainsAny(text, "\x1b") {
		t.Fatalf("%d lines", len(lines))
	}
	good, err := audit.Verify(audit.ReadDir(dir), "")
	if err != nil || good.First != 1 || good.Last != 9 {
		t.Fatalf("untouched: %+v, %v", good, err)
	}
	change := func(line []byte, what, by string) []byte {
		return bytes.Replace(line, []byte(what), []byte(by), 1)
	}
	for _, tc := range []struct {
		name   string
		tamper func(l [][]byte) [][]byte
		head   string
		want   audit.Broken
	}{
		{"removed", func(l [][]byte) [][]byte { return slices.Delete(l, 3, 4) }, "", audit.Broken{Seq: 4, How: "removed"}},
		{"two removed", func(l [][]byte) [][]byte { return slices.Delete(l, 3, 5) }, "", audit.Broken{Seq: 4, How: "removed"}},
		{"who", func(l [][]byte) [][]byte { l[2] = change(l[2], "c-ada", "c-bob"); return l }, "", audit.Broken{Seq: 3, ID: "e3", How: "changed"}},
		{"number", func(l [][]byte) [][]byte { l[2] = change(l[2], `"seq":3`, `"seq":7`); return l }, "", audit.Broken{Seq: 3, ID: "e3", How: "changed"}},
		{"the first", func(l [][]byte) [][]byte { l[0] = change(l[0], "c-ada", "c-bob"); return l }, "", audit.Broken{Seq: 1, ID: "e1", How: "changed"}},
		{"the last", func(l [][]byte) [][]byte { l[8] = change(l[8], "c-ada", "c-bob"); return l }, "", audit.Broken{Seq: 9, ID: "e9", How: "changed"}},
		{"and its hash made anew", func(l [][]byte) [][]byte { l[4] = rehashed(t, l[4]); return l }, "", audit.Broken{Seq: 5, ID: "e5", How: "changed"}},
		{"two changed places", func(l [][]byte) [][]byte { l[3], l[4] = l[4], l[3]; return l }, "", audit.Broken{Seq: 4, ID: "e4", How: "moved"}},
		{"twice", func(l [][]byte) [][]byte { return slices.Insert(l, 5, l[2]) }, "", audit.Broken{Seq: 3, ID: "e3", How: "moved"}},
		{"the end", func(l [][]byte) [][]byte { return l[:6] }, good.Head, audit.Broken{Seq: 7, How: "cut"}},
		{"the last made anew", func(l [][]byte) [][]byte { l[8] = rehashed(t, l[8]); return l }, good.Head, audit.Broken{Seq: 10, How: "cut"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			all := tc.tamper(slices.Clone(lines))
			if err := os.WriteFile(path, bytes.Join(all, nil), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := audit.Verify(audit.ReadDir(dir), tc.head)
			if b, ok := errors.AsType[*audit.Broken](err); !ok || *b != tc.want {
				t.Errorf("found %v, want %v", err, &tc.want)
			}
		})
	}
	// What nobody can find who does not know the head.
	if err := os.WriteFile(path, bytes.Join(lines[:6], nil), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := audit.Verify(audit.ReadDir(dir), ""); err != nil || r.Last != 6 {
		t.Errorf("%+v, %v", r, err)
	}
}

// rehashed is a line of another event with its hash, as somebody makes it who can
// read how hashes are made: here by a chain of their own.
func rehashed(t *testing.T, line []byte) []byte {
	t.Helper()
	var ev audit.Event
	if err := json.Unmarshal(line, &ev); err != nil {
		t.Fatal(err)
	}
	ev.Client, ev.Hash = "c-bob", ""
	ev.Hash = audit.Hash(ev)
	out, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}

// TestMended: wherever a crash cuts the file off, it is mended from the store.
func TestMended(t *testing.T) {
	dir, c, _ := written(t, 4)
	path := onlyFile(t, dir)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) {
		for _, more := range []string{"", "\x00\x00\x00", "{}\n"} {
			if err := os.WriteFile(path, append(slices.Clone(whole[:cut]), more...), 0o600); err != nil {
				t.Fatal(err)
			}
			if cut%17 != 0 && cut < len(whole)-40 {
				continue
			}
			if err := audit.NewFiles(dir, audit.UsualKeep).Follow(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, whole) {
				t.Fatalf("cut off after %d bytes, then %q: not mended (%v)", cut, more, err)
			}
		}
	}
}

// TestOneDirectory: two servers of one machine and one store that were given one
// directory do not write anything twice.
func TestOneDirectory(t *testing.T) {
	dir, c, one := written(t, 3)
	other := audit.NewFiles(dir, audit.UsualKeep)
	for i := range 6 {
		if err := c.Append(t.Context(), event(fmt.Sprint("more", i))); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for _, files := range []*audit.Files{one, other, one} {
			wg.Go(func() {
				if err := files.Follow(t.Context(), c); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	if err := other.Follow(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if r, err := audit.Verify(audit.ReadDir(dir), ""); err != nil || r.Last != 9 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestStoreWentBack: a store that lost its newest events, as a failover may, goes
// on from before them. What it writes then is in the files as well as what it
// lost, and verifying names the place.
func TestStoreWentBack(t *testing.T) {
	dir, _, files := written(t, 4)
	c := audit.New(onBolt(t, time.Now), files)
	for i := range 3 {
		if err := c.Append(t.Context(), event(fmt.Sprint("other", i))); err != nil {
			t.Fatal(err)
		}
		err := files.Follow(t.Context(), c)
		if _, told := errors.AsType[*audit.Broken](err); told != (i == 0) || err != nil && !told {
			t.Errorf("following event %d: %v", i, err)
		}
	}
	var ids []string
	for ev, err := range audit.ReadDir(dir) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, ev.ID)
	}
	if got := strings.Join(ids, " "); got != "e1 e2 e3 e4 other0 other1 other2" {
		t.Errorf("on disk are %s", got)
	}
	if _, err := audit.Verify(audit.ReadDir(dir), ""); err == nil {
		t.Error("verifying found nothing")
	}
}

// TestMonths: each event is in the file of its month or a later one, so that the
// files in turn are the chain, and old months are removed.
func TestMonths(t *testing.T) {
	now := time.Date(2026, 1, 31, 23, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	files := audit.NewFiles(dir, 60*24*time.Hour)
	c := audit.New(onBolt(t, func() time.Time { return now }), files)
	for i := range 3 {
		for _, ago := range []time.Duration{0, 2 * time.Hour} { // some come late
			if err := c.Append(t.Context(), audit.Event{ID: fmt.Sprint(i, ago), What: "signed_in", At: now.Add(-ago)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := files.Follow(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		now = now.AddDate(0, 0, 29)
	}
	if r, err := audit.Verify(audit.ReadDir(dir), ""); err != nil || r.Last != 6 {
		t.Fatalf("%+v, %v", r, err)
	}
	if err := files.Expire(time.Date(2026, 4, 2, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	all, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(all) != 1 || !strings.HasSuffix(all[0], "2026-03.jsonl") {
		t.Errorf("left are %q", all)
	}
	if r, err := audit.Verify(audit.ReadDir(dir), ""); err != nil || r.First == 1 || r.Last != 6 {
		t.Errorf("after the oldest are gone: %+v, %v", r, err)
	}
}

// FuzzRead: no bytes are too much for the parser, and what it takes for an event
// is written the same again.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"seq":1,"id":"a","at":"2026-01-01T00:00:00Z","what":"signed_in","prev":"","hash":"00"}` + "\n"))
	f.Add([]byte("{}\n{}\n"))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var out []byte
		for ev, err := range audit.Read(bytes.NewReader(data)) {
			if err != nil {
				return
			}
			line, err := json.Marshal(ev)
			if err != nil {
				t.Fatal(err)
			}
			out = append(append(out, line...), '\n')
		}
		if !bytes.Equal(out, data) {
			t.Errorf("read %q as %q", data, out)
		}
		_, _ = audit.Verify(audit.Read(bytes.NewReader(data)), "x")
	})
}
