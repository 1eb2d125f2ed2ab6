// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"errors"
	"net"
	"syscall"
)

// answeredBy checks that who listens is the plugin's user. The name may have
// come to mean something else since it was looked at; the connection has not.
func answeredBy(conn *net.UnixConn, uid int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *syscall.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		peer, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	switch {
	case errors.Join(err, failed) != nil:
		return errors.Join(err, failed)
	case int(peer.Uid) != uid:
		return errors.New("another user than the plugin's listens at its socket")
	}
	return nil
}
