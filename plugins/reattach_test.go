// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package plugins

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/portalgate/portalgate/providers"
)

// Nobody but this machine may answer in a plugin's place: not another host, and
// not whatever a relative path happens to name.
func TestG04_ReattachOnlyHere(t *testing.T) {
	at := func(network, address string) string {
		return `{"Protocol":"grpc","ProtocolVersion":1,"Pid":7,"Test":true,"Addr":{"Network":"` + network + `","String":"` + address + `"}}`
	}
	for s, want := range map[string]string{
		at("unix", "/tmp/portalgate-debug-1/plugin2"): "",
		at("tcp", "127.0.0.1:4000"):                   "",
		at("tcp", "[::1]:4000"):                       "",
		at("tcp", "192.0.2.1:4000"):                   "neither the path of a Unix socket nor a port",
		at("tcp", "0.0.0.0:4000"):                     "neither the path of a Unix socket nor a port",
		at("tcp", "localhost:4000"):                   "neither the path of a Unix socket nor a port", // a name is looked up
		at("tcp", "127.0.0.1"):                        "neither the path of a Unix socket nor a port",
		at("udp", "127.0.0.1:4000"):                   "neither the path of a Unix socket nor a port",
		at("unix", "plugin2"):                         "neither the path of a Unix socket nor a port",
		at("unix", "@abstract"):                       "neither the path of a Unix socket nor a port", // anybody may take it
		"":                                            "not what a plugin with --debug prints",
		"7":                                           "not what a plugin with --debug prints",
		`{"Protocol":"netrpc","ProtocolVersion":1}`:   `the program speaks "netrpc" in version 1, the gate grpc in version 1`,
		`{"Protocol":"grpc","ProtocolVersion":2}`:     `the program speaks "grpc" in version 2, the gate grpc in version 1`,
	} {
		if _, err := ParseReattach(s); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("ParseReattach(%s) = %v, want %q", s, err, want)
		}
	}
}

// debugged starts the test plugin as somebody with a debugger would. It returns
// what it prints.
func debugged(t *testing.T) (*exec.Cmd, string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, asPlugin, "well", "--debug")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the plugin prints nothing: %v", err)
	}
	return cmd, line
}

// TestReattach signs in through a program that was started by hand, which Close
// leaves alone; when it ends the method is down and says what to do.
func TestReattach(t *testing.T) {
	t.Setenv("TMPDIR", short(t))
	cmd, line := debugged(t)
	at, err := ParseReattach(line)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Dir(at.address)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's folder: %v, %v", info, err)
	}
	for range 2 { // the second gate finds it running
		p := running(t, Command{Reattach: at})
		if claim, err := signIn(p); err != nil || claim.Email != "ada@example.com" {
			t.Fatalf("signing in = %v, %v", claim, err)
		}
		stop(t, p)
		if err := syscall.Kill(cmd.Process.Pid, 0); err != nil {
			t.Fatal("the program that somebody debugs was ended")
		}
	}
	p := running(t, Command{Reattach: at})
	r := settleUp(t, p)
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Errorf("after ^C: %v", err)
	}
	<-r.gone.Done()
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) != 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
	_, err = p.Start(context.Background(), providers.Request{})
	for err != nil && !errors.Is(err, ErrDown) { // the calls between its end and the first try
		_, err = p.Start(context.Background(), providers.Request{})
	}
	if err == nil || !strings.Contains(err.Error(), "start the plugin with --debug") {
		t.Errorf("when it has ended: %v", err)
	}
}
