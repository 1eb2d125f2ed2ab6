// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package reloadtest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/testgate"
)

// vitals are what a process holds.
type vitals struct {
	goroutines, files int
	heap              int // bytes alive after a collection
}

func (v vitals) String() string {
	return fmt.Sprintf("%d goroutines, %d files, %d KB of heap", v.goroutines, v.files, v.heap>>10)
}

// profile reads one of the process's own profiles.
func profile(t *testing.T, g *testgate.Gate, path string) []byte {
	t.Helper()
	// A connection that is kept would be one of the files that are counted.
	lone := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var body []byte
	testgate.Wait(t, "the admin API", func() bool {
		res, err := lone.Get(g.Admin + "/debug/pprof/" + path)
		if err != nil {
			return false // the server of the reload before, on its way out
		}
		defer res.Body.Close()
		body, err = io.ReadAll(res.Body)
		return err == nil && res.StatusCode == http.StatusOK
	})
	return body
}

// look counts goroutines and files. Files are counted where Linux shows them.
func look(t *testing.T, g *testgate.Gate) (v vitals, stacks []byte) {
	t.Helper()
	stacks = profile(t, g, "goroutine?debug=1")
	if _, err := fmt.Sscanf(string(stacks), "goroutine profile: total %d", &v.goroutines); err != nil {
		t.Fatalf("the goroutine profile: %v", err)
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", g.PID()))
	if err != nil {
		t.Fatal(err)
	}
	v.files = len(files)
	return v, stacks
}

// heap is what is alive after two collections: the first runs finalizers that
// let go of more.
func heap(t *testing.T, g *testgate.Gate) (bytes int) {
	t.Helper()
	profile(t, g, "heap?gc=1&debug=1")
	for line := range strings.Lines(string(profile(t, g, "heap?gc=1&debug=1"))) {
		if _, err := fmt.Sscanf(line, "# HeapAlloc = %d", &bytes); err == nil {
			return bytes
		}
	}
	t.Fatal("the heap profile does not say how much is alive")
	return 0
}

// least returns the least that the process holds while it is left alone for
// longer than the grace period that servers of old configurations have, and
// than the goroutine lives that kept Caddy's lock files fresh at the start.
// What comes and goes meanwhile, such as the looking itself, can only add.
func least(t *testing.T, g *testgate.Gate) (v vitals, stacks []byte) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	v, stacks = look(t, g)
	for range 60 {
		<-tick.C
		now, s := look(t, g)
		if now.goroutines < v.goroutines {
			v.goroutines, stacks = now.goroutines, s
		}
		v.files = min(v.files, now.files)
	}
	v.heap = heap(t, g)
	return v, stacks
}

// backTo waits until the process holds no more than it did, and fails the test
// if it does not come to that.
func backTo(t *testing.T, g *testgate.Gate, before vitals, stacks []byte) (v vitals) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for {
		var now []byte
		v, now = look(t, g)
		if v.goroutines <= before.goroutines && v.files <= before.files {
			break
		}
		select {
		case <-tick.C:
			continue
		case <-late:
			t.Errorf("it holds %s, before %s\n%s", v, before, grown(stacks, now))
		}
		break
	}
	v.heap = heap(t, g)
	return v
}

// grown lists the goroutines of which there are more than before, from two
// profiles.
func grown(before, after []byte) string {
	count := func(profile []byte) map[string]int {
		m := make(map[string]int)
		_, profile, _ = bytes.Cut(profile, []byte("\n")) // the total
		for stack := range bytes.SplitSeq(profile, []byte("\n\n")) {
			var n int
			head, rest, _ := strings.Cut(string(stack), "\n")
			if _, err := fmt.Sscanf(head, "%d @", &n); err == nil {
				m[rest] += n
			}
		}
		return m
	}
	was, more := count(before), ""
	for stack, n := range count(after) {
		if n > was[stack] {
			more += fmt.Sprintf("%d more of\n%s\n", n-was[stack], stack)
		}
	}
	return more
}
