// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package plugins

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// noWaiting opens a named pipe that nobody writes to, so that it can be refused.
const noWaiting = syscall.O_NONBLOCK

// ownGroup starts a plugin in a process group of its own: ^C at a terminal is
// for the gate, and killing the plugin reaches what it has started.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup ends a plugin and what it has started, stopped or not.
func killGroup(pid int) { syscall.Kill(-pid, syscall.SIGKILL) }

func executable(info os.FileInfo) bool { return info.Mode()&0o111 != 0 }

func othersMayWrite(info os.FileInfo) bool { return info.Mode()&0o022 != 0 }

func ownedByUsOrRoot(info os.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && (s.Uid == 0 || int(s.Uid) == os.Geteuid())
}

// lockFolder holds a folder until the file is closed, by us or by our end.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the plugin's folder: %v", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking the plugin's folder: %v", err)
	}
	return f, nil
}

// abandoned reports whether a folder is ours and nobody holds it. One without
// a lock is just being made.
func abandoned(dir string, info os.FileInfo) bool {
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || int(s.Uid) != os.Geteuid() {
		return false
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
