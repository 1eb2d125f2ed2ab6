// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package plugins

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// theirs is a folder that a plugin may write to, whoever it runs as.
func theirs(t *testing.T) string {
	t.Helper()
	dir := short(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// ids returns a process's user and group, and how many further groups it is in.
func ids(t *testing.T, pid string) (uid, gid, more int) {
	t.Helper()
	raw, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal("there is no /proc here, where this test looks")
	}
	for line := range strings.Lines(string(raw)) {
		name, rest, _ := strings.Cut(line, ":")
		switch name {
		case "Uid":
			fmt.Sscan(rest, &uid)
		case "Gid":
			fmt.Sscan(rest, &gid)
		case "Groups":
			more = len(strings.Fields(rest))
		}
	}
	return uid, gid, more
}

// A plugin of a gate that is root is not root, whether a user was named or not,
// and can change neither its private copy nor the folder of it. A gate that is
// not root says that it cannot run a program as somebody else.
func TestG05_OwnUser(t *testing.T) {
	other := os.Geteuid() + 4711
	as, err := ParseUser(fmt.Sprintf("%d:%d", other, other))
	if os.Geteuid() != 0 {
		want := fmt.Sprintf("the gate runs as user %d and may not run a program as", os.Geteuid())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseUser of another user: %v, want %q", err, want)
		}
		p := running(t, command(t, "well", "{}"))
		if uid, _, _ := ids(t, settleUp(t, p).child.Load().ID()); uid != os.Geteuid() {
			t.Errorf("the plugin runs as %d", uid)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		named *User
		want  int
	}{{nil, nobody.uid}, {as, other}} {
		c := command(t, "well", "{}")
		c.User = tc.named
		p := running(t, c)
		r := settleUp(t, p)
		if uid, gid, more := ids(t, r.child.Load().ID()); uid != tc.want || gid != tc.want || more != 0 {
			t.Errorf("the plugin runs as %d:%d and is in %d more groups, want %d", uid, gid, more, tc.want)
		}
		if _, err := signIn(p); err != nil {
			t.Error(err)
		}
		program := r.child.Load().Name()
		for _, path := range []string{program, filepath.Dir(program)} {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if s := info.Sys().(*syscall.Stat_t); s.Uid != 0 || int(s.Gid) != tc.want || info.Mode().Perm()&0o027 != 0 {
				t.Errorf("%s: %v of %d:%d", path, info.Mode(), s.Uid, s.Gid)
			}
		}
	}
}

func TestParseUser(t *testing.T) {
	for s, want := range map[string]string{
		"0": "is root", "0:0": "is root", "root": "is root", "4711:0": "is root",
		"nobody at all": "unknown user", "": "unknown user", "name:7": "two numbers with a colon", "7:name": "no group's number",
		"-1": "unknown user", "99999999999": "unknown user",
	} {
		if _, err := ParseUser(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseUser(%q) = %v, want %q", s, err, want)
		}
	}
	if os.Geteuid() == 0 {
		return
	}
	if u, err := ParseUser(fmt.Sprintf("%d:%d", os.Geteuid(), os.Getegid())); err != nil || u.uid != os.Geteuid() {
		t.Errorf("the gate's own user: %v, %v", u, err)
	}
}

// A plugin has no terminal to type at, and cannot leave the group by which it
// is ended: it leads a session of its own.
func TestG05_OwnSession(t *testing.T) {
	r := settleUp(t, running(t, command(t, "well", "{}")))
	pid := r.child.Load().ID()
	raw, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		t.Fatal("there is no /proc here, where this test looks")
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	f := strings.Fields(rest) // state, parent, group, session, terminal
	if f[2] != pid || f[3] != pid || f[4] != "0" {
		t.Errorf("plugin %s: group %s, session %s, terminal %s", pid, f[2], f[3], f[4])
	}
}

// A folder for temporary files that the plugin's user may not enter is named.
func TestG05_UserCannotEnter(t *testing.T) {
	closed := short(t)
	os.Chmod(closed, 0o700)
	t.Setenv("TMPDIR", closed)
	p := running(t, command(t, "well", "{}"))
	_, err := signIn(p)
	if os.Geteuid() != 0 {
		if err != nil {
			t.Errorf("the gate's own user: %v", err)
		}
		return
	}
	if want := "must be able to pass through " + closed; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

// Root in a container may lack what makes it root.
func TestG05_RootWithoutRights(t *testing.T) {
	denied := &os.PathError{Op: "fork/exec", Path: "program", Err: syscall.EPERM}
	if err := nobody.explain(denied); !errors.Is(err, syscall.EPERM) || !strings.Contains(err.Error(), "lacks CAP_SETUID") {
		t.Error(err)
	}
	if err := (*User)(nil).explain(denied); err != denied {
		t.Errorf("the gate's own user: %v", err)
	}
}

// Copies that are made while other programs start can be executed at once: none
// is held open for writing by a process that is just being born.
func TestG05_CopiesBesideStarts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "plugin")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	digest, err := Digest(file)
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error)
	const at, each = 8, 50
	for range at {
		go func() {
			for range each {
				p, err := copied(file, digest, nil)
				if err == nil {
					err = exec.Command(p.program).Run()
					p.remove()
				}
				results <- err
			}
		}()
	}
	for range at * each {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}
