// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// house is a crowd's store, an upstream, and a pair of servers in front of it.
type house struct {
	binary, dir string
	all         []cookies
	upstream    string
	stop        func() // the upstream
	host        string // that requests are for, whichever server gets them
	site        string // more lines for the bare site

	bare, gate *server
}

// server is one running Caddy.
type server struct {
	addr, admin string
	cmd         *exec.Cmd
	log         string
	done        chan struct{} // closed when it has ended
}

// memory is where files cost no disk: seeding writes each session durably.
const memory = "/dev/shm"

// open seeds a crowd and starts the upstream, but no server yet.
func open(ctx context.Context, binary string, c crowd) (h *house, err error) {
	h = &house{host: "localhost:" + freePort()}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	if h.binary, err = filepath.Abs(binary); err != nil {
		return h, err
	}
	if h.dir, err = os.MkdirTemp(memory, "portalgate-bench-"); err != nil {
		if h.dir, err = os.MkdirTemp("", "portalgate-bench-"); err != nil {
			return h, err
		}
	}
	secret := random(32)
	if err := os.WriteFile(h.file("secret"), []byte(hex.EncodeToString(secret)), 0o600); err != nil {
		return h, err
	}
	if h.all, err = seed(ctx, secret, h.file("store.db"), h.file("clients.csv"), c); err != nil {
		return h, err
	}
	h.upstream, h.stop, err = startUpstream(ctx)
	return h, err
}

// restart puts two new servers in the place of those that run. Each time the
// other should be started first.
func (h *house) restart(ctx context.Context, bareFirst bool) error {
	if err := errors.Join(h.bare.close(), h.gate.close()); err != nil {
		return err
	}
	h.bare, h.gate = nil, nil
	starts := []func() error{
		func() (err error) { h.bare, err = h.start(ctx, "bare", freePort(), "", h.site); return err },
		func() (err error) { h.gate, err = h.startGate(ctx); return err },
	}
	if !bareFirst {
		slices.Reverse(starts)
	}
	for _, start := range starts {
		if err := start(); err != nil {
			return err
		}
	}
	return h.checkGate(ctx)
}

func (h *house) startGate(ctx context.Context) (*server, error) {
	_, port, _ := net.SplitHostPort(h.host)
	return h.start(ctx, "gate", port, fmt.Sprintf(`portalgate {
		public_url http://%s
		practice "Willow Creek Counseling" {
			phone "+1 555 0100"
		}
		secret {file.%s}
		store embedded %s
		clients file %s
		mail outbox
	}`, h.host, h.file("secret"), h.file("store.db"), h.file("clients.csv")), "portalgate")
}

// start starts a Caddy with reverse_proxy, and with what is to be added to the
// global options and to the site, and waits until it serves.
func (h *house) start(ctx context.Context, name, port, global, site string) (*server, error) {
	admin := freePort()
	config := fmt.Sprintf(`{
	admin 127.0.0.1:%s
	auto_https off
	persist_config off
	grace_period 1s
	log {
		level INFO
	}
	%s
}
http://:%s {
	bind 127.0.0.1
	%s
	reverse_proxy %s
}
`, admin, global, port, site, h.upstream)
	file := h.file(name + ".Caddyfile")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	s := &server{addr: "127.0.0.1:" + port, admin: "127.0.0.1:" + admin, log: h.file(name + ".log"), done: make(chan struct{})}
	out, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s.cmd = exec.CommandContext(ctx, h.binary, "run", "--config", file, "--adapter", "caddyfile")
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.Dir = out, out, h.dir
	s.cmd.Env = append(os.Environ(), "HOME="+h.dir, "XDG_DATA_HOME="+h.file(name+"-data"), "XDG_CONFIG_HOME="+h.file(name+"-config"))
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting Caddy: %v", err)
	}
	go func() {
		_ = s.cmd.Wait() // whoever needs it finds it ended
		close(s.done)
	}()
	if err := s.wait(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("Caddy (%s) does not serve: %w", name, err), s.close())
	}
	return s, nil
}

// startTime bounds the start of a server, reading 100 000 clients included.
const startTime = 30 * time.Second

func (s *server) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if nc, err := net.Dial("tcp", s.addr); err == nil {
			return nc.Close()
		}
		select {
		case <-tick.C:
		case <-s.done:
			b, _ := os.ReadFile(s.log)
			return fmt.Errorf("it ended; the end of its log:\n%s", b[max(0, len(b)-2000):])
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// close ends a server that we started.
func (s *server) close() error {
	if s == nil {
		return nil
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-s.done:
		return nil
	case <-time.After(10 * time.Second):
		err := s.cmd.Process.Kill()
		<-s.done
		return errors.Join(errors.New("a server did not stop within 10 s"), err)
	}
}

// checkGate sees to it that what is to be measured is a gate, and that it
// knows the crowd's browsers: without a session it sends a visitor to sign in,
// and it clears no cookie away, as it would do with one that it cannot read.
func (h *house) checkGate(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.gate.addr+"/", nil)
	if err != nil {
		return err
	}
	req.Host = h.host
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Cookie", "portalgate-"+gateName+"-known="+h.all[0].known)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return err
	}
	res.Body.Close()
	if res.StatusCode != http.StatusSeeOther || len(res.Cookies()) > 0 {
		return fmt.Errorf("the gate answers %d and %d cookies to a known browser without a session, not 303 and none",
			res.StatusCode, len(res.Cookies()))
	}
	return nil
}

// close ends what was started and removes every file.
func (h *house) close() error {
	err := errors.Join(h.bare.close(), h.gate.close())
	if h.stop != nil {
		h.stop()
	}
	if h.dir != "" {
		err = errors.Join(err, os.RemoveAll(h.dir))
	}
	return err
}

func (h *house) file(name string) string { return filepath.Join(h.dir, name) }

// freePort returns a port below those that the system gives to outgoing
// connections, one of which could otherwise take it before we do.
func freePort() string {
	for {
		port := fmt.Sprint(15000 + rand.IntN(17000))
		if ln, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			ln.Close()
			return port
		}
	}
}
