// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package audit

import (
	"errors"
	"os"
	"syscall"
)

// lock reserves a directory for us until it is unlocked. It is not free while
// another process has it. Where it cannot be locked, as on some network drives,
// it is taken for free.
func lock(dir string) (unlock func(), free bool) {
	d, err := os.Open(dir)
	if err != nil {
		return func() {}, true
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		d.Close()
		return nil, false
	}
	return func() { d.Close() }, true
}
