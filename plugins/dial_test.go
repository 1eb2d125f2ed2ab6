// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package plugins

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A plugin that listens in its own folder by a link to a neighbour's socket: a
// gate that is root would talk to it in the plugin's stead.
func TestG04_SocketIsALink(t *testing.T) {
	dir := short(t)
	neighbour, err := net.Listen("unix", filepath.Join(dir, "admin"))
	if err != nil {
		t.Fatal(err)
	}
	defer neighbour.Close()
	c := &child{sockets: dir, socket: filepath.Join(dir, "mine")}
	if err := os.Symlink(neighbour.Addr().String(), c.socket); err != nil {
		t.Fatal(err)
	}
	var r run
	r.child.Store(c)
	if _, err := r.dial(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a link: %v", err)
	}
	// The link may be there only after it was looked at: what was connected to
	// is asked who it is.
	c.socket, c.as = neighbour.Addr().String(), &User{os.Geteuid() + 1, 1}
	if _, err := r.dial(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "another user") {
		t.Errorf("somebody else's socket: %v", err)
	}
	c.as = nil
	conn, err := r.dial(t.Context(), "")
	if err != nil {
		t.Fatalf("our own: %v", err)
	}
	conn.Close()
}
