// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/portalgate/portalgate/internal/store"
)

// TestDurable: what kill -9 cannot show. A store opened without fsync passes
// every other test here and loses used links in a power cut.
func TestDurable(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store.db"), Options{})
	if s.db.NoSync || s.db.NoGrowSync || s.db.NoFreelistSync {
		t.Errorf("NoSync %v, NoGrowSync %v, NoFreelistSync %v, want none of them", s.db.NoSync, s.db.NoGrowSync, s.db.NoFreelistSync)
	}
}

func TestOpenModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "deep")
	path := filepath.Join(dir, "store.db")
	open(t, path, Options{})
	for name, want := range map[string]os.FileMode{filepath.Dir(dir): 0o700, dir: 0o700, path: 0o600} {
		fi, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := fi.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
}

func TestOpenInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := open(t, path, Options{})
	o := Options{Timeout: 20 * time.Millisecond}
	_, err := Open(path, o)
	if !errors.Is(err, store.ErrUnknown) || !strings.Contains(err.Error(), "already in use by another process") {
		t.Errorf("opening twice: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path, o)
}

// TestOpenRefuses: a file that is not ours to write is left as it is.
func TestOpenRefuses(t *testing.T) {
	database := func(bucket string, format []byte) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			db, err := bbolt.Open(path, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if err := db.Update(func(tx *bbolt.Tx) error {
				b, err := tx.CreateBucket([]byte(bucket))
				if err != nil {
					return err
				}
				return b.Put(formatKey, format)
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	text := func(s string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tc := range []struct {
		name string
		make func(t *testing.T, path string)
		want string
	}{
		{"newer", database("meta", binary.BigEndian.AppendUint32(nil, format+1)), "has format 2 and this release reads format 1"},
		{"no format", database("meta", nil), "damaged"},
		{"of something else", database("acme", nil), "database of something else"},
		{"text", text(strings.Repeat("not a database\n", 2000)), "not a store, or damaged"},
		{"cut off", text("short"), "not a store, or damaged"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store.db")
			tc.make(t, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Open(path, Options{})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Open: %v, want %q", err, tc.want)
			}
			if errors.Is(err, store.ErrUnknown) {
				t.Errorf("%v would be tried again for ever", err)
			}
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

// TestOpenOneLane: a file from before the queue had two lanes gets the other, and
// what waits in it is still sent.
func TestOpenOneLane(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := open(t, path, Options{})
	if err := s.Put(t.Context(), store.Item{ID: "id", Expires: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Update(func(tx *bbolt.Tx) error { return tx.DeleteBucket(lanes[store.Again]) }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, Options{})
	for _, lane := range []store.Lane{store.Fresh, store.Again} {
		items, err := s.Lease(t.Context(), lane, 9, time.Minute)
		if err != nil || len(items) != 1 || items[0].ID != "id" {
			t.Fatalf("lane %d: leased %+v (%v)", lane, items, err)
		}
		if err := s.Retry(t.Context(), "id", time.Now().Add(-time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenNoDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(file, "store.db"), Options{}); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("a file for a directory: %v", err)
	}
}

// TestS09_ReadOnly: a file system that was remounted read-only, as Linux does
// after an error of the disk. What is known stays known; nothing is let through.
func TestS09_ReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := open(t, path, Options{})
	if err := s.Update(t.Context(), "key", setTo("before")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := openFile(path, &bbolt.Options{OpenFile: func(name string, _ int, mode os.FileMode) (*os.File, error) {
		return os.OpenFile(name, os.O_RDONLY, mode)
	}})
	if err != nil {
		t.Fatal(err)
	}
	s = start(db, Options{})
	for range 2 {
		if err := s.Update(t.Context(), "key", setTo("after")); !errors.Is(err, store.ErrUnknown) {
			t.Errorf("Update: %v, want ErrUnknown", err)
		}
		if err := s.Put(t.Context(), store.Item{ID: "id", Expires: time.Now().Add(time.Hour)}); !errors.Is(err, store.ErrUnknown) {
			t.Errorf("Put: %v, want ErrUnknown", err)
		}
		if v, err := s.Get(t.Context(), "key"); err != nil || string(v.Data) != "before" {
			t.Errorf("Get = %q, %v", v.Data, err)
		}
		if items, err := s.Lease(t.Context(), store.Fresh, 1, time.Minute); err != nil || len(items) > 0 {
			t.Errorf("Lease = %v, %v", items, err)
		}
	}
	if got := s.Stats().Writes; got != 0 {
		t.Errorf("%d writes were counted, want 0", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkWhole(t, open(t, path, Options{}))
}

func setTo(data string) func(time.Time, store.Value) (store.Value, error) {
	return func(time.Time, store.Value) (store.Value, error) { return store.Value{Data: []byte(data)}, nil }
}
