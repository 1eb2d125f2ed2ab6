// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package plugins

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

const (
	// noWaiting opens a named pipe that nobody writes to, so that it can be
	// refused.
	noWaiting = syscall.O_NONBLOCK
	// noFollowing opens no symbolic link.
	noFollowing = syscall.O_NOFOLLOW
)

// apart starts a plugin in a session of its own and as another user, if there is
// one. ^C at a terminal is for the gate, the plugin cannot type at that terminal,
// and it cannot leave the group by which killing it reaches what it has started.
func apart(cmd *exec.Cmd, as *User) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if as != nil { // without the gate's further groups
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(as.uid), Gid: uint32(as.gid)}
	}
}

// killGroup ends a plugin and what it has started, stopped or not.
func killGroup(pid int) { syscall.Kill(-pid, syscall.SIGKILL) }

func executable(info os.FileInfo) bool { return info.Mode()&0o111 != 0 }

func othersMayWrite(info os.FileInfo) bool { return info.Mode()&0o022 != 0 }

func ownedByUsOrRoot(info os.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && (s.Uid == 0 || int(s.Uid) == os.Geteuid())
}

// lockFolder holds a folder until the file is closed, by us or by our end. The
// file is nil if another gate took the new folder for an abandoned one, and
// removes it.
func lockFolder(dir string) (*os.File, error) {
	name := filepath.Join(dir, "lock")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil && stillAt(name, f) {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = nil
	}
	return nil, err
}

// stillAt reports whether a name leads to an open file.
func stillAt(name string, f *os.File) bool {
	at, err := os.Lstat(name)
	if err != nil {
		return false
	}
	is, err := f.Stat()
	return err == nil && os.SameFile(at, is)
}

// removeAbandoned removes a folder if it is ours and nobody holds it. One without
// a lock is just being made. It holds the lock to the end, so that nobody moves
// into what is being removed.
func removeAbandoned(dir string, info os.FileInfo) {
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || int(s.Uid) != os.Geteuid() {
		return
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|noFollowing, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		os.RemoveAll(dir)
	}
}
