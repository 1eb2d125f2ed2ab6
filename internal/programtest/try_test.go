// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package programtest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/portalgate/portalgate/internal/testgate"
)

// said is what a command has printed so far.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestTry does what somebody does who has written a plugin: they start `plugin
// try`, sign in by it, see who they are, and press Ctrl-C. Nothing is left.
func TestTry(t *testing.T) {
	p := newProgram(t)
	temp, err := os.MkdirTemp("", "try") // a short name: sockets go below it
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temp)
	if err := os.Chmod(temp, 0o755); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	var out, log said
	defer func() {
		if t.Failed() {
			t.Logf("it said %q, and logged %s", out.String(), log.String())
		}
	}()
	cmd := exec.Command(testgate.Build(t), "portalgate", "plugin", "try", p.path, "--arg", asProgram, "--arg", p.name,
		"--email", "c7@example.com", "--name", "Client <7>")
	cmd.Env = append(os.Environ(), "TMPDIR="+temp, "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	defer cmd.Process.Kill()
	testgate.Wait(t, "the gate to say where it is", func() bool { return strings.Contains(out.String(), "Ctrl-C") })
	where := regexp.MustCompile(`http://localhost:\d+`).FindAllString(out.String(), -1)
	if len(where) != 2 || !strings.Contains(out.String(), "c7@example.com") {
		t.Fatalf("said %q\n%s", out.String(), log.String())
	}
	page, err := new(person).visit(where[0], "plugin", 7, "/", func() {})
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	for _, want := range []string{"Signed in", "c7@example.com", "Client &lt;7&gt;", "plugin:plugin"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page behind it does not say %q: %s", want, page)
		}
	}
	testgate.Wait(t, "the mail of a new browser", func() bool {
		res, err := http.Get(where[1] + "/messages.json")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		var mails []struct{ To string }
		return json.NewDecoder(res.Body).Decode(&mails) == nil && len(mails) > 0 && mails[0].To == "c7@example.com"
	})
	cmd.Process.Signal(syscall.SIGINT)
	if err := <-done; err != nil {
		t.Errorf("it ended with %v\n%s", err, log.String())
	}
	left, _ := filepath.Glob(filepath.Join(temp, "*"))
	kept, _ := filepath.Glob(filepath.Join(home, "*", "*"))
	if left = append(append(left, kept...), p.running()...); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestTryRefuses: what cannot work is said before anything is started.
func TestTryRefuses(t *testing.T) {
	p := newProgram(t)
	for _, tc := range []struct {
		args []string
		says string
	}{
		{nil, "name a program"},
		{[]string{p.path, "--listen", "0.0.0.0:8080"}, "is not at home; write localhost"},
		{[]string{p.path, "--config", "[1]"}, "not a JSON object"},
		{[]string{p.path, "--reattach", "{}"}, "name a program, or"},
		{[]string{"--reattach", "{}"}, "reattach: "},
		{[]string{p.path, "--email", "nobody"}, "email: "},
	} {
		temp := t.TempDir()
		cmd := exec.Command(testgate.Build(t), append([]string{"portalgate", "plugin", "try"}, tc.args...)...)
		cmd.Env = append(os.Environ(), "TMPDIR="+temp)
		if b, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(b), tc.says) {
			t.Errorf("%q: %v, %s; want %q", tc.args, err, b, tc.says)
		}
		if left, _ := filepath.Glob(filepath.Join(temp, "*")); len(left) > 0 {
			t.Errorf("%q left behind %q", tc.args, left)
		}
	}
}
