// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/bolt"
)

// inDir names the folder in which a child of TestKilled appends; only it has it.
const inDir = "PORTALGATE_TEST_AUDIT_DIR"

// TestKilled: a process that appends and follows is killed, again and again. What
// it was told is kept is there, once, in the store and on disk.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(inDir); dir != "" {
		appendUntilKilled(t, dir)
		return
	}
	dir := t.TempDir()
	told := make(map[string]bool)
	for round := range 8 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), inDir+"="+dir, fmt.Sprint("PORTALGATE_TEST_ROUND=", round))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if id, ok := strings.CutPrefix(lines.Text(), "kept "); ok {
				told[id] = true
			}
			if n == 20+7*round {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // it was killed
	}
	b, err := bolt.Open(filepath.Join(dir, "store.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c := audit.New(store.Sealed(b, box(t)), nil)
	all := whole(t, c)
	times := make(map[string]int)
	for _, ev := range all {
		times[ev.ID]++
	}
	for id := range told {
		if times[id] != 1 {
			t.Errorf("event %s is there %d times", id, times[id])
		}
	}
	if len(told) < 8*20 {
		t.Errorf("only %d events were kept", len(told))
	}
	if err := audit.NewFiles(filepath.Join(dir, "audit"), audit.UsualKeep).Follow(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if r, err := audit.Verify(audit.ReadDir(filepath.Join(dir, "audit")), all[len(all)-1].Hash); err != nil || r.First != 1 || r.Last != int64(len(all)) {
		t.Errorf("on disk: %+v, %v; want %d events", r, err, len(all))
	}
}

func appendUntilKilled(t *testing.T, dir string) {
	b, err := bolt.Open(filepath.Join(dir, "store.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	files := audit.NewFiles(filepath.Join(dir, "audit"), audit.UsualKeep)
	c := audit.New(store.Sealed(b, box(t)), files)
	for i := range 100_000 {
		id := fmt.Sprintf("%s-%d", os.Getenv("PORTALGATE_TEST_ROUND"), i)
		if err := c.Append(t.Context(), audit.Event{ID: id, At: time.Now(), What: "signed_in"}); err != nil {
			t.Fatal(err)
		}
		fmt.Println("kept " + id)
		if err := files.Follow(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
}
