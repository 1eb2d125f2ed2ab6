// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/store"
)

func init() { children["full"] = writeUntilFull }

// writeUntilFull fills a disk that has no room: its process may make no file
// longer than this. It looks around, makes room again, and says how many
// updates were acknowledged.
func writeUntilFull(path string) {
	die := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "full: "+format+"\n", args...)
		os.Exit(1)
	}
	room := func(n uint64) {
		var l syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
			die("%v", err)
		}
		l.Cur = min(n, l.Max)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
			die("%v", err)
		}
	}
	signal.Ignore(syscall.SIGXFSZ)
	s, err := Open(path, Options{})
	if err != nil {
		die("%v", err)
	}
	ctx := context.Background()
	data := strings.Repeat("x", 1000)
	write := func(n int) error {
		return s.Update(ctx, fmt.Sprint(n), func(now time.Time, _ store.Value) (store.Value, error) {
			return store.Value{Data: []byte(data), Expires: now.Add(time.Hour)}, nil
		})
	}

	room(200 << 10)
	n := 0
	for ; n < 1000; n++ {
		if err = write(n); err != nil {
			break
		}
	}
	if n == 0 || n == 1000 || !errors.Is(err, store.ErrUnknown) {
		die("after %d updates: %v", n, err)
	}
	if _, err := s.Get(ctx, fmt.Sprint(n)); err != store.ErrNotFound {
		die("the update that failed is there (%v)", err)
	}
	if err := s.Put(ctx, store.Item{ID: "id", Data: make([]byte, 50_000), Expires: time.Now().Add(time.Hour)}); !errors.Is(err, store.ErrUnknown) {
		die("Put with no room: %v", err)
	}
	for i := range n {
		if _, err := s.Get(ctx, fmt.Sprint(i)); err != nil {
			die("with no room, update %d: %v", i, err)
		}
	}
	if os.Getenv("PORTALGATE_TEST_ROOM") == "again" {
		room(1 << 30)
		for range 100 {
			if err := write(n); err != nil {
				die("with room again: %v", err)
			}
			n++
		}
	}
	if err := s.Close(); err != nil {
		die("%v", err)
	}
	fmt.Println(n)
}

// TestS09_DiskFull: with no room a call says so, changes nothing and harms
// nothing, and goes through when there is room again.
func TestS09_DiskFull(t *testing.T) {
	for _, room := range []string{"never", "again"} {
		t.Run("room "+room, func(t *testing.T) {
			t.Setenv("PORTALGATE_TEST_ROOM", room)
			path := filepath.Join(t.TempDir(), "store.db")
			cmd, out := startChild(t, "full", path)
			var n int
			fmt.Fscan(out, &n)
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			s := open(t, path, Options{})
			checkWhole(t, s)
			for i := range n {
				if _, err := s.Get(t.Context(), fmt.Sprint(i)); err != nil {
					t.Errorf("update %d of %d: %v", i, n, err)
				}
			}
			if _, err := s.Get(t.Context(), fmt.Sprint(n)); err != store.ErrNotFound {
				t.Errorf("an update that was not acknowledged: %v", err)
			}
		})
	}
}
