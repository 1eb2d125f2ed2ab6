// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package plugins

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/portalgate/portalgate/providers"
)

// Text is what somebody can read, and nothing that turns a page round or hides.
func TestG04_Texts(t *testing.T) {
	for s, ok := range map[string]bool{
		"": true, "Enter the code": true, "Wpisz kod, żółw": true, "<b>shown as it stands</b>": true,
		strings.Repeat("ż", maxText): true, strings.Repeat("ż", maxText+1): false,
		"\xff\xfe": false, "a\nb": false, "a\x00": false, "\u202egnorw": false, "zero\u200bwidth": false, "\u2028": false,
		"cà phê phở": true, "e" + strings.Repeat("\u0301", maxMarks): true, "e" + strings.Repeat("\u0301", maxMarks+1): false,
	} {
		if err := checkText("it", s); (err == nil) != ok {
			t.Errorf("checkText(%.20q) = %v", s, err)
		}
	}
}

// Each lie is an error for the one who asked, and the next is served.
func TestG04_Lies(t *testing.T) {
	for _, lie := range []string{
		"long subject", "no subject", "newline in subject", "turned subject", "many amr", "long email", "turned name",
		"million fields", "nine fields", "two megabytes", "long text", "gate's field", "header in name",
		"large state", "evil redirect", "long redirect", "evil user", "backslash", "script", "plain http", "empty denial", "nothing",
	} {
		t.Run(lie, func(t *testing.T) {
			t.Parallel()
			c := command(t, "well", config("lie", lie))
			c.Redirects = []string{"https://id.example"}
			c.Timeout = 10 * time.Second // a million fields take a while to refuse
			p := running(t, c)
			claim, err := signIn(p)
			if _, denied := errors.AsType[*providers.Denial](err); err == nil || denied {
				t.Fatalf("the lie was believed: %+v, %v", claim, err)
			}
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d characters, which are the plugin's", len(err.Error()))
			}
			if _, err := p.Start(context.Background(), providers.Request{}); err != nil {
				t.Errorf("the next one: %v", err)
			}
		})
	}
}

// A plugin that names another's socket: the gate would talk to Caddy's admin
// API, or to the network.
func TestG04_AddressElsewhere(t *testing.T) {
	for _, how := range []string{"point elsewhere", "point to the network"} {
		at, err := copied(command(t, how, "{}").Path, command(t, how, "{}").Digest, command(t, how, "{}").runsAs())
		if err != nil {
			t.Fatal(err)
		}
		defer at.remove()
		_, err = begin(t.Context(), command(t, how, "{}"), at, &voice{log: zap.NewNop()})
		if err == nil || !strings.Contains(err.Error(), "PLUGIN_UNIX_SOCKET_DIR") {
			t.Errorf("%s: %v", how, err)
		}
	}
}

// What the gate knows is not in the plugin's environment, nor among its open
// files, nor its standard input.
func TestG05_SeesNothingOfTheGate(t *testing.T) {
	t.Setenv("PORTALGATE_SECRET", "the-gates-secret")
	secret, err := os.Create(filepath.Join(t.TempDir(), "the-store"))
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	c := command(t, "well", "{}")
	c.Env = []string{"ITS_OWN=1"}
	p := running(t, c)
	r := settleUp(t, p)
	proc := "/proc/" + r.child.Load().ID()
	env, err := os.ReadFile(proc + "/environ")
	if err != nil {
		t.Fatal("there is no /proc here, where this test looks")
	}
	if bytes.Contains(env, []byte("the-gates-secret")) || bytes.Contains(env, []byte("HOME=")) {
		t.Errorf("the gate's environment is the plugin's: %q", env)
	}
	if !bytes.Contains(env, []byte("ITS_OWN=1\x00")) {
		t.Error("what the operator gave it is missing")
	}
	fds, _ := os.ReadDir(proc + "/fd")
	for _, fd := range fds {
		if name, _ := os.Readlink(proc + "/fd/" + fd.Name()); name == secret.Name() {
			t.Errorf("descriptor %s of the plugin is the gate's %s", fd.Name(), name)
		}
	}
	if in, _ := os.Readlink(proc + "/fd/0"); in != os.DevNull {
		t.Errorf("the plugin's standard input is %s", in)
	}
	if info, err := os.Stat(filepath.Dir(r.child.Load().Name())); err != nil || info.Mode().Perm()&0o027 != 0 {
		t.Errorf("the plugin's folder: %v, %v", info, err)
	}
}

// A binary swapped after it was checked is not what runs, neither now nor after
// a crash; one swapped before is refused with both checksums.
func TestG05_SwappedBinary(t *testing.T) {
	c := command(t, "well", "{}")
	raw, err := os.ReadFile(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "plugin")
	if err := os.WriteFile(file, raw, 0o755); err != nil {
		t.Fatal(err)
	}
	c.Path = file
	p := running(t, c)
	r := settleUp(t, p)
	os.Remove(file)
	if err := os.WriteFile(file, []byte("#!/bin/sh\ntouch "+file+".ran\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.kill()
	<-r.gone.Done()
	if _, err := signIn(p); err != nil {
		t.Errorf("after a crash: %v", err)
	}
	q := running(t, c)
	_, err = signIn(q)
	if err == nil || !errors.Is(err, ErrDown) || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("a swapped file: %v", err)
	}
	if _, err := os.Stat(file + ".ran"); err == nil {
		t.Error("the swapped program has run")
	}
}

// A plugin that runs as the gate's user can change its private copy, and would
// have its change run after the next crash. The copy is made again.
func TestG05_ChangedCopy(t *testing.T) {
	p := running(t, command(t, "well", "{}"))
	r := settleUp(t, p)
	copied, mark := r.child.Load().Name(), filepath.Join(theirs(t), "ran")
	os.Remove(copied)
	if err := os.WriteFile(copied, []byte("#!/bin/sh\ntouch "+mark+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.kill()
	<-r.gone.Done()
	if _, err := signIn(p); err != nil {
		t.Errorf("after a crash: %v", err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the changed copy has run")
	}
}

// A folder for temporary files in which anybody may rename what is ours: the
// private copy could become another's between the check and the start.
func TestG05_TemporaryFolder(t *testing.T) {
	dir := short(t)
	t.Setenv("TMPDIR", dir)
	for mode, ok := range map[os.FileMode]bool{
		0o711: true, 0o777 | os.ModeSticky: true, 0o777: false, 0o770: false,
	} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		c := command(t, "well", "{}")
		at, err := copied(c.Path, c.Digest, nil)
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "chmod +t "+dir) {
			t.Errorf("%v: %v", mode, err)
		}
		if err == nil {
			at.remove()
		}
	}
}

// A file that others could change is none to run.
func TestG05_Permissions(t *testing.T) {
	for _, tc := range []struct {
		mode os.FileMode
		want string
	}{{0o755, ""}, {0o775, "changed by others"}, {0o757, "changed by others"}, {0o644, "may not be executed"}} {
		file := filepath.Join(t.TempDir(), "plugin")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		os.Chmod(file, tc.mode)
		if _, err := Digest(file); (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("mode %o: %v, want %q", tc.mode, err, tc.want)
		}
	}
	// A named pipe would hold up whoever opens it: a reload, and all after it.
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Digest(pipe); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("a named pipe: %v", err)
	}
	if _, err := Digest(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("a folder: %v", err)
	}
}

// A plugin's standard error is marked as the plugin's, cut, and counted: it can
// neither fill the log nor forge a line of it.
func TestT09_PluginStderr(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	v := &voice{log: zap.New(core)}
	v.Write([]byte("\x1b[2J\u009b2J\u202eone\ntwo " + strings.Repeat("x", 5000)))
	v.Write([]byte(" end\n\n"))
	for range 1000 {
		v.Write([]byte("more\n"))
	}
	if n := logs.Len(); n != linesPerCount {
		t.Errorf("%d lines were logged, want %d", n, linesPerCount)
	}
	for _, e := range logs.All() {
		said := fmt.Sprint(e.ContextMap()["plugin_said"])
		if e.Message != "a plugin says" || len(said) > maxLine || strings.ContainsAny(said, "\n\x1b\u009b\u202e") {
			t.Errorf("%s: %q", e.Message, said)
		}
	}
}

// What a plugin says of an error is printed by a command at a terminal: it may
// not move the cursor, nor fill the screen.
func TestG04_TextForTheTerminal(t *testing.T) {
	for in, want := range map[string]string{
		"plain é":                 "plain é",
		"\x1b[2Jgone\r\nforged":   " [2Jgone  forged",
		"\xff":                    "\uFFFD",
		strings.Repeat("é", 1000): strings.Repeat("é", maxText) + "…",
	} {
		if got := cut(in); got != want {
			t.Errorf("cut(%q) = %q, want %q", in, got, want)
		}
	}
}
