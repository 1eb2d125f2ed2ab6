// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/store"
)

// Some tests run this test binary once more, as a child with a store of its
// own. TestMain looks for these.
const (
	childName = "PORTALGATE_TEST_CHILD"
	childFile = "PORTALGATE_TEST_STORE"
)

var children = map[string]func(path string){"writer": writeUntilKilled}

func startChild(t *testing.T, name, path string) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childName+"="+name, childFile+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

const crashWriters = 4

// writeUntilKilled says what was acknowledged, a line each, as soon as it was.
func writeUntilKilled(path string) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "writer:", err)
			os.Exit(1)
		}
	}
	s, err := Open(path, Options{QueueSize: 1e6})
	fail(err)
	ctx, hour := context.Background(), time.Now().Add(time.Hour)
	var wg sync.WaitGroup
	for w := range crashWriters {
		wg.Go(func() {
			for {
				n := 0
				fail(s.Update(ctx, fmt.Sprint("counter ", w), func(_ time.Time, old store.Value) (store.Value, error) {
					fmt.Sscan(string(old.Data), &n)
					n++
					return store.Value{Data: fmt.Append(nil, n), Expires: hour.Add(time.Duration(n) * time.Second)}, nil
				}))
				fail(s.Put(ctx, store.Item{ID: fmt.Sprint(w, " ", n), Expires: hour}))
				_, err := s.Allow(ctx, []limit.Ask{{Key: fmt.Sprint(w), Rate: limit.Rate{Count: 1e6, Per: time.Hour}}})
				fail(err)
				fmt.Printf("%d %d\n", w, n)
			}
		})
	}
	wg.Wait()
}

// TestS09_KilledWhileWriting kills a process that writes, at random moments of
// one file's life. What was acknowledged must be there, and the file whole. It
// does not show that writes reach the disk, for the kernel outlives the
// process: TestDurable is about that.
func TestS09_KilledWhileWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	var counters [crashWriters]int // the last that is known to be written
	var items []string             // every one that was acknowledged
	for round := range 20 {
		cmd, out := startChild(t, "writer", path)
		lines := bufio.NewScanner(out)
		killAfter := 1 + rand.IntN(100)
		for n := 0; lines.Scan(); n++ {
			var w, i int
			if _, err := fmt.Sscan(lines.Text(), &w, &i); err != nil {
				t.Fatalf("round %d: line %q: %v", round, lines.Text(), err)
			}
			counters[w] = i
			items = append(items, lines.Text())
			if n == killAfter {
				<-time.After(time.Duration(rand.IntN(3000)) * time.Microsecond)
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		cmd.Wait() // it was killed
		if cmd.ProcessState.Exited() {
			t.Fatalf("round %d: the writer ended by itself", round)
		}

		s, err := Open(path, Options{})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		checkWhole(t, s)
		for w, want := range counters {
			v, err := s.Get(t.Context(), fmt.Sprint("counter ", w))
			if err != nil && want > 0 {
				t.Fatalf("round %d: %v", round, err)
			}
			got := 0
			fmt.Sscan(string(v.Data), &got)
			if got < want || got > want+1 {
				t.Errorf("round %d: counter %d is %d after %d was acknowledged", round, w, got, want)
			}
			counters[w] = got
		}
		gone := 0
		s.db.View(func(tx *bbolt.Tx) error {
			for _, id := range items {
				if tx.Bucket(queue.data).Get([]byte(id)) == nil {
					gone++
				}
			}
			return nil
		})
		if gone > 0 {
			t.Fatalf("round %d: %d of %d acknowledged items are gone", round, gone, len(items))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
