// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package wiretest

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/internal/testgate"
)

// TestMutatedRequests is the whole proxy's share of "identity forged or
// stripped: 0" (package assertion has the other): 20 000 hostile requests with
// PORTALGATE_PROOF=1, 2 000 otherwise. What is refused must not arrive, what
// arrives must name the client, or nobody, and hold no cookie of the gate's.
func TestMutatedRequests(t *testing.T) {
	t.Parallel()
	n := 2_000
	if os.Getenv("PORTALGATE_PROOF") == "1" {
		n = 20_000
	}
	up := newUpstream(t)
	g := testgate.Start(t, testgate.Options{Upstream: up.addr, Global: "log {\n\tlevel ERROR\n}"})
	b := newBrowser(t, g)
	b.signIn(g, 1)
	cookie := b.cookies(g)
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	names := spellings()
	var c *client
	passed, checked := 0, len(up.all())
	for i := range n {
		path, sub := fmt.Sprintf("/m%d", i), "1001"
		mine := cookie
		if rng.IntN(3) == 0 {
			path, sub, mine = "/assets"+path, "", ""
		}
		req := strings.ReplaceAll(mutated(rng, names, path, mine), "%HOST%", host(g))
		if c == nil {
			c = dial(t, g)
		}
		if _, err := io.WriteString(c, req); err != nil {
			t.Fatalf("seed %d, request %d: %v", seed, i, err)
		}
		res, _, err := c.answer("POST")
		if err != nil {
			t.Fatalf("seed %d, request %d: %v", seed, i, err)
		}
		// What follows a refused request on its connection is anybody's guess.
		if res.Close || res.StatusCode != 200 {
			c.Close()
			c = nil
		}
		all := up.all()
		got := all[checked:]
		checked = len(all)
		if want := res.StatusCode == 200; len(got) > 1 || want != (len(got) == 1) {
			t.Fatalf("seed %d, request %d: status %d, arrived %d times", seed, i, res.StatusCode, len(got))
		}
		if len(got) == 1 {
			passed++
			if wrong := wrongIn(got[0], sub); wrong != "" {
				t.Fatalf("seed %d, request %d: the upstream saw %s", seed, i, wrong)
			}
		}
	}
	if passed < n/2 {
		t.Errorf("only %d of %d requests got as far as the upstream", passed, n)
	}
	t.Logf("proof: identity forged or stripped through the proxy: 0 of %d mutated requests, of which %d arrived (seed %d)", n, passed, seed)
}

func mutated(rng *rand.Rand, names []string, path, cookie string) string {
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	var lines []string
	for range rng.IntN(6) {
		name := pick(names...)
		if rng.IntN(40) == 0 {
			name = pick(" ", "\t", "\x00", "é", "(") + name // no header name: refused
		}
		for range 1 + rng.IntN(2) {
			lines = append(lines, name+":"+pick("", " ", "\t")+pick("eve-1", "", "1001, eve-1", "=?utf-8?q?eve-?=", "eve-1\r\n eve-2"))
		}
	}
	for range rng.IntN(3) {
		var tokens []string
		for range 1 + rng.IntN(4) {
			tokens = append(tokens, pick("", " ", "\t")+pick(append(names, "close", "keep-alive", "Cookie", "TE", "Trailer", "Transfer-Encoding", "Content-Length")...))
		}
		lines = append(lines, pick("Connection", "connection", "Proxy-Connection", "Keep-Alive")+": "+strings.Join(tokens, ","))
	}
	if rng.IntN(4) == 0 {
		lines = append(lines, "Upgrade: "+pick("h2c", "TLS/1.0", "websocket, h2c"))
	}
	// Cookies of the gate's in odd spellings, beside the true ones.
	for range rng.IntN(3) {
		lines = append(lines, "Cookie: "+pick("a=1; ", "", ";;", "\t")+pick("PORTALGATE-x", "__Host-portalgate-main", "\u2000portalgate-y", "$portalgate", "=portalgate", "portalgate")+"=eve-1")
	}
	if cookie != "" {
		lines = append(lines, "Cookie: "+cookie)
	}
	body := "Content-Length: 4\r\n\r\nbody"
	if rng.IntN(2) == 0 {
		trailer := ""
		for range rng.IntN(3) {
			trailer += pick(names...) + ": eve-1\r\n"
		}
		if rng.IntN(2) == 0 {
			lines = append(lines, "Trailer: "+pick(names...))
		}
		body = "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n" + trailer + "\r\n"
	}
	rng.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	return "POST " + path + " HTTP/1.1\r\nHost: %HOST%\r\n" + strings.Join(append(lines, body), "\r\n")
}
