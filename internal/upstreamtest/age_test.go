// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package upstreamtest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// Each reads seconds, lets so many pass for the example whose path and key URL
// it is given, and says whether k1 and k2 are among the keys.
const (
	agePython = `
import os, sys, time
sys.path.insert(0, os.path.dirname(sys.argv[1]))
sys.dont_write_bytecode = True # beside the example
import portal
keys, now = portal.Keys(sys.argv[2]), 5000
time.monotonic = lambda: now
for line in sys.stdin:
    now += int(line)
    print(*(int(keys.named(kid) is not None) for kid in ("k1", "k2")), flush=True)
`
	agePHP = `
[, , $vectors, $portal, $url, $file] = $argv;
ob_start(); include $portal; ob_end_clean(); // it checks the vectors
while (($seconds = fgets(STDIN)) !== false) {
    if (file_exists($file)) {
        $kept = json_decode(file_get_contents($file), true);
        foreach (['tried', 'fetched'] as $time) if (isset($kept[$time])) $kept[$time] -= (int) $seconds;
        file_put_contents($file, json_encode($kept));
    }
    echo (int) (gateKey('k1', $url, $file) !== null), ' ', (int) (gateKey('k2', $url, $file) !== null), "\n";
}
`
)

// A key that the gate takes back must go, also where the gate was away when the
// set was due to be fetched anew. Until it is back those that were known keep
// working, and few requests ask. In Node all that is jose's.
func TestJ04_KeysGetOld(t *testing.T) {
	f := readVectors(t)
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(f.JWKS, &set); err != nil {
		t.Fatal(err)
	}
	set.Keys = set.Keys[1:]
	withoutK1, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	vectors, err := filepath.Abs(vectorsPath)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range programs[1:] {
		t.Run(p.name, func(t *testing.T) {
			var answer atomic.Pointer[[]byte] // nil while the gate is away
			var fetches atomic.Int32
			gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fetches.Add(1)
				if body := answer.Load(); body != nil {
					w.Write(*body)
					return
				}
				w.WriteHeader(http.StatusServiceUnavailable)
			}))
			defer gate.Close()
			whole := []byte(f.JWKS)

			flags, after := []string{"-c", agePython}, []string{gate.URL + "/keys"}
			if p.name == "PHP" {
				flags = []string{"-r", agePHP, "--", "--vectors", vectors}
				after = append(after, filepath.Join(t.TempDir(), "keys.json"))
			}
			say := talk(t, p.command(t, flags, after))
			for _, step := range []struct {
				when    string
				answer  *[]byte
				seconds int
				known   string
				fetches int32
			}{
				{"first", &whole, 0, "1 1", 1},
				{"nearly 5 minutes old", nil, 295, "1 1", 1},
				{"over 5 minutes old, gate away", nil, 10, "1 1", 2},
				{"asked lately", nil, 20, "1 1", 2},
				{"still away", nil, 15, "1 1", 3},
				{"back, but asked lately", &withoutK1, 20, "1 1", 3},
				{"back", &withoutK1, 15, "0 1", 4},
			} {
				answer.Store(step.answer)
				if known := say(step.seconds); known != step.known || fetches.Load() != step.fetches {
					t.Errorf("%s: knows %q after %d fetches, want %q after %d", step.when, known, fetches.Load(), step.known, step.fetches)
				}
			}
		})
	}
}

// talk starts a program that answers each number with a line.
func talk(t *testing.T, cmd *exec.Cmd) func(int) string {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	lines := bufio.NewScanner(out)
	return func(n int) string {
		t.Helper()
		if _, err := fmt.Fprintln(in, n); err != nil {
			t.Fatal(err)
		}
		if !lines.Scan() {
			t.Fatalf("no answer: %v", lines.Err())
		}
		return lines.Text()
	}
}
