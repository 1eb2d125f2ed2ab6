// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package audit_test

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestFolderIsHeld: another process, hung or halted, keeps the folder to itself. The
// log on disk must not stop in silence until the store has forgotten the events.
func TestFolderIsHeld(t *testing.T) {
	dir, c, files := written(t, 3)
	if err := c.Append(t.Context(), event("more")); err != nil {
		t.Fatal(err)
	}
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		err := files.Follow(t.Context(), c)
		if told := err != nil && strings.Contains(err.Error(), "another process"); told != (i >= 30) || err != nil && !told {
			t.Fatalf("after %d seconds: %v", i+1, err)
		}
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	if err := files.Follow(t.Context(), c); err != nil {
		t.Errorf("once it is free: %v", err)
	}
}
