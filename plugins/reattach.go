// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"

	authv1 "github.com/portalgate/portalgate/plugins/proto/authenticator/v1"
)

// Reattach is where a plugin listens that somebody has started themselves, in a
// debugger. The gate neither starts nor ends such a program, knows nothing of
// its file, and talks to it without TLS.
type Reattach struct{ network, address string }

// reattachment is what a plugin with --debug prints, in Terraform's form.
type reattachment struct {
	Protocol        string
	ProtocolVersion int
	Pid             int
	Test            bool
	Addr            struct{ Network, String string }
}

// ParseReattach reads what a plugin printed that was started with --debug. Only
// an address that no other machine can answer at is taken: a Unix socket, or a
// port of the loopback interface.
func ParseReattach(s string) (*Reattach, error) {
	var said reattachment
	if err := json.Unmarshal([]byte(s), &said); err != nil {
		return nil, fmt.Errorf("reattach: not what a plugin with --debug prints: %v", err)
	}
	if said.Protocol != string(goplugin.ProtocolGRPC) || said.ProtocolVersion != protocolVersion {
		return nil, fmt.Errorf("reattach: the program speaks %.20q in version %d, the gate grpc in version %d",
			said.Protocol, said.ProtocolVersion, protocolVersion)
	}
	at := &Reattach{said.Addr.Network, said.Addr.String}
	switch at.network {
	case "unix":
		if filepath.IsAbs(at.address) {
			return at, nil
		}
	case "tcp":
		if host, _, err := net.SplitHostPort(at.address); err == nil && net.ParseIP(host).IsLoopback() {
			return at, nil
		}
	}
	return nil, fmt.Errorf("reattach: %.100q is neither the path of a Unix socket nor a port of this machine's loopback interface", at.address)
}

// attach is begin for a program that runs already. Its life, as far as we are
// concerned, is that of the connection.
func attach(ctx context.Context, c Command) (*run, error) {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///plugin", append(limits(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithIdleTimeout(0), // or an idle connection would look like the program's end
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, c.Reattach.network, c.Reattach.address)
		}))...)
	if err != nil {
		return nil, err
	}
	gone, over := context.WithCancel(context.Background())
	r := &run{rpc: authv1.NewAuthenticatorClient(conn), conn: conn, gone: gone}
	if err := connected(ctx, conn); err != nil {
		over()
		conn.Close()
		return nil, fmt.Errorf("nobody listens at %s: start the plugin with --debug, and give the gate what it prints", c.Reattach.address)
	}
	go func() {
		defer over()
		conn.WaitForStateChange(gone, connectivity.Ready)
	}()
	if err := r.introduce(ctx, c); err != nil {
		conn.Close()
		return nil, err
	}
	return r, nil
}

// connected waits for the first connection, or for its failure.
func connected(ctx context.Context, conn *grpc.ClientConn) error {
	for conn.Connect(); ; {
		switch s := conn.GetState(); s {
		case connectivity.Ready:
			return nil
		case connectivity.TransientFailure, connectivity.Shutdown:
			return errors.New("no connection")
		default:
			if !conn.WaitForStateChange(ctx, s) {
				return ctx.Err()
			}
		}
	}
}

// debugging reports whether a plugin was started by hand, to be attached to. The
// gate's own starts never are.
func debugging() bool {
	return os.Getenv(Handshake.MagicCookieKey) == "" && slices.Contains(os.Args[1:], "--debug")
}

// debug serves until ^C, from a private folder, and prints what `reattach` takes.
func debug(config *goplugin.ServeConfig) error {
	dir, err := os.MkdirTemp("", "portalgate-debug-") // 0700
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv(goplugin.EnvUnixSocketDir, dir); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listens, done := make(chan *goplugin.ReattachConfig, 1), make(chan struct{})
	config.Test = &goplugin.ServeTestConfig{Context: ctx, ReattachConfigCh: listens, CloseCh: done}
	go goplugin.Serve(config)
	select {
	case at := <-listens:
		said := reattachment{Protocol: string(at.Protocol), ProtocolVersion: at.ProtocolVersion, Pid: at.Pid, Test: true}
		said.Addr.Network, said.Addr.String = at.Addr.Network(), at.Addr.String()
		line, err := json.Marshal(said)
		if err != nil {
			return err
		}
		fmt.Printf("%s\n", line)
		<-done
	case <-done:
	}
	return nil
}
