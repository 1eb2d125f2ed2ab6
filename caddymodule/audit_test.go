// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/store/bolt"
)

// TestVerifyOffline: the command checks a folder without a gate, and names what
// was changed.
func TestVerifyOffline(t *testing.T) {
	dir := t.TempDir()
	b, err := bolt.Open(filepath.Join(t.TempDir(), "store.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c := audit.New(b, nil)
	for _, id := range []string{"a", "b", "c"} {
		if err := c.Append(t.Context(), audit.Event{ID: id, At: time.Now(), What: "signed_in", Client: "c-ada"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := audit.NewFiles(dir, audit.UsualKeep).Follow(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, error) {
		cmd := auditCommand()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SilenceUsage = true
		cmd.SetArgs(append([]string{"verify", dir}, args...))
		err := cmd.Execute()
		return out.String(), err
	}
	out, err := run("--json")
	var r auditReport
	if jerr := json.Unmarshal([]byte(out), &r); err != nil || jerr != nil || r.First != 1 || r.Last != 3 || r.Broken != nil {
		t.Fatalf("%s (%v, %v)", out, err, jerr)
	}
	if _, err := run("--head", r.Head); err != nil {
		t.Error(err)
	}
	if _, err := run("--head", strings.Repeat("0", 64)); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("with a head that is not there: %v", err)
	}
	path, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(path) != 1 {
		t.Fatal(path, err)
	}
	text, err := os.ReadFile(path[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path[0], bytes.Replace(text, []byte(`"id":"b","at"`), []byte(`"id":"x","at"`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run(); err == nil || err.Error() != "event 2 (x) was changed" {
		t.Errorf("an event that was changed: %v", err)
	}
}

// TestPrintEvent: what staff wrote does not move the cursor of whoever reads it.
func TestPrintEvent(t *testing.T) {
	var out bytes.Buffer
	if err := printEvent(&out, audit.Event{Seq: 1, What: "pin_issued", Note: "a\n\x1b[31mb"}, false); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); strings.Count(s, "\n") != 1 || strings.Contains(s, "\x1b") {
		t.Errorf("printed %q", s)
	}
}
