// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redistest

import (
	"net"
	"sync"
	"testing"
	"time"
)

// A Proxy stands between a client and a server, and is as bad a network as the
// test wants.
type Proxy struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	conns map[net.Conn]state
	delay time.Duration
	cut   bool
	lose  int
}

type state int

const (
	open state = iota
	stalled
)

// NewProxy starts one before a server's address.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, target: target, conns: make(map[net.Conn]state)}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.Cut()
		running.Wait()
	})
	return p
}

// Addr is where the proxy listens, URL the address of database 0 there.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }
func (p *Proxy) URL() string  { return "redis://" + p.Addr() + "/0" }

// Delay makes every answer come later.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Stall keeps back whatever is said on the connections there are, both ways and
// for good. New ones are not stalled.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		p.conns[c] = stalled
	}
}

// Cut resets all connections and every new one.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.conns {
		reset(c)
	}
}

// Mend lets connections through again.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
}

// Lose resets a connection in the middle of the next n answers: the server has
// done what it was asked, and nobody hears of it.
func (p *Proxy) Lose(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = n
}

func (p *Proxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		reset(client)
		return
	}
	defer server.Close()
	defer client.Close()
	p.mu.Lock()
	if p.cut {
		p.mu.Unlock()
		reset(client)
		return
	}
	p.conns[client], p.conns[server] = open, open
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, client)
		delete(p.conns, server)
	}()

	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 64<<10)
		for {
			n, err := client.Read(b)
			if _, werr := server.Write(b[:n]); err != nil || werr != nil {
				server.Close()
				return
			}
		}
	}()
	b := make([]byte, 64<<10)
	for {
		n, err := server.Read(b)
		p.mu.Lock()
		if p.conns[client] == stalled {
			n = 0
		}
		delay, lose := p.delay, p.lose > 0 && n > 0
		if lose {
			p.lose--
		}
		p.mu.Unlock()
		if lose {
			client.Write(b[:n/2])
			reset(client)
			break
		}
		if delay > 0 {
			timer := time.NewTimer(delay)
			select {
			case <-timer.C:
			case <-done: // the client has gone
			}
			timer.Stop()
		}
		if _, werr := client.Write(b[:n]); err != nil || werr != nil {
			break
		}
	}
	client.Close()
	server.Close()
	<-done
}

// reset closes a connection as a machine that crashed would.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}
