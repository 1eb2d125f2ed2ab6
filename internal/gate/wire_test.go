// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/portalgate/portalgate/internal/store/bolt"
)

// A wire is a browser that follows no redirect and keeps each answer as the
// bytes that came over the network: what an attacker sees, headers, their
// order and framing included.
type wire struct {
	*browser
	got *tape
}

// tape keeps what is read from connections.
type tape struct {
	mu sync.Mutex
	b  bytes.Buffer
}

type tapped struct {
	net.Conn
	to *tape
}

func (c tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.to.mu.Lock()
	defer c.to.mu.Unlock()
	c.to.b.Write(p[:n])
	return n, err
}

// wire returns a fresh browser in a network of its own.
func (w *world) wire(ip string) wire {
	got := &tape{}
	b := w.browser().from(ip).once()
	b.c.Transport = &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return tapped{c, got}, nil
		},
	}
	return wire{b, got}
}

func (c wire) do(method, to string, form url.Values) (*page, string) {
	c.w.t.Helper()
	c.got.mu.Lock()
	c.got.b.Reset()
	c.got.mu.Unlock()
	p := c.browser.do(method, to, form)
	c.got.mu.Lock()
	defer c.got.mu.Unlock()
	return p, c.got.b.String()
}

var maskRE = []*regexp.Regexp{
	regexp.MustCompile(`portalgate-main-(?:flow|asked)-([a-z2-7]{8})`),
	regexp.MustCompile(`portalgate-main-(?:flow|asked)-[a-z2-7x]{8}=([A-Za-z0-9_-]+)`),
	regexp.MustCompile(`name="(?:flow|nonce)" value="([A-Za-z0-9_-]+)"`),
	regexp.MustCompile(`\nDate: ([^\r]*)`),
}

// masked returns an answer with what is random in it, and the address that was
// typed, overwritten letter by letter: lengths stay.
func masked(raw, typed string) string {
	b := []byte(strings.ReplaceAll(raw, typed, strings.Repeat("a", len(typed))))
	for _, re := range maskRE {
		for _, m := range re.FindAllSubmatchIndex(b, -1) {
			for i := m[2]; i < m[3]; i++ {
				b[i] = 'x'
			}
		}
	}
	return string(b)
}

// cost is what was asked of the store.
type cost struct{ gets, updates, allows, puts, commits int64 }

func (w *world) cost() cost {
	db := w.db.Backend.(*bolt.Store)
	return cost{w.db.gets.Load(), w.db.updates.Load(), w.db.allows.Load(), w.db.puts.Load(), db.Stats().Writes}
}

func (c cost) since(o cost) cost {
	return cost{c.gets - o.gets, c.updates - o.updates, c.allows - o.allows, c.puts - o.puts, c.commits - o.commits}
}

// requestRaw sends bytes as they are and returns what comes back.
func (w *world) requestRaw(bytes string) string {
	w.t.Helper()
	c, err := net.Dial("tcp", w.server.Listener.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, bytes); err != nil {
		w.t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(answer)
}
