// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
)

// dial connects to the plugin's socket, and to nothing that the plugin has put
// in its place: the gate may connect where the plugin may not, and a link in the
// plugin's own folder leads anywhere.
func (r *run) dial(ctx context.Context, _ string) (net.Conn, error) {
	c := r.child.Load()
	info, err := os.Lstat(c.socket)
	if err != nil {
		return nil, fmt.Errorf("the plugin's socket: %v", err)
	}
	if info.Mode()&(os.ModeSymlink|os.ModeIrregular) != 0 {
		return nil, errors.New("the plugin listens at what is no socket")
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", c.socket)
	if err != nil {
		return nil, err
	}
	uid := os.Geteuid()
	if c.as != nil {
		uid = c.as.uid
	}
	if err := answeredBy(conn.(*net.UnixConn), uid); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}
