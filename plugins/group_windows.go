// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"os"
	"os/exec"
	"path/filepath"
)

// Windows has no process groups to kill and no modes to check: what guards a
// plugin's file there is the access list of its folder.

const noWaiting, noFollowing = 0, 0

func apart(*exec.Cmd, *User) {}

func killGroup(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		p.Kill()
	}
}

func executable(os.FileInfo) bool { return true }

func othersMayWrite(os.FileInfo) bool { return false }

func ownedByUsOrRoot(os.FileInfo) bool { return true }

// An open file cannot be removed, which is lock enough.
func lockFolder(dir string) (*os.File, error) { return os.Create(filepath.Join(dir, "lock")) }

func removeAbandoned(dir string, _ os.FileInfo) {
	if os.Remove(filepath.Join(dir, "lock")) == nil {
		os.RemoveAll(dir)
	}
}
