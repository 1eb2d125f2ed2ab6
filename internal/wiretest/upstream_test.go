// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package wiretest

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/portalgate/portalgate/internal/testgate"
)

func TestMain(m *testing.M) { os.Exit(testgate.Main(m)) }

// upstream is a server behind a gate that keeps every byte it is sent. It
// answers 200 to all, 101 to what asks for an upgrade, and hangs up on /hangup.
type upstream struct {
	addr string

	mu  sync.Mutex
	got []string // guarded by mu; requests, raw, trailers included
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	up := &upstream{addr: ln.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { up.serve(conn) })
		}
	})
	t.Cleanup(func() { ln.Close() })
	return up
}

func (up *upstream) serve(conn net.Conn) {
	defer conn.Close()
	var raw bytes.Buffer
	in := bufio.NewReader(io.TeeReader(conn, &raw))
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			if raw.Len() > 0 { // half a request, or none that could be read
				up.keep(raw.String())
			}
			return
		}
		io.Copy(io.Discard, r.Body)
		whole := raw.Len() - in.Buffered()
		up.keep(string(raw.Next(whole)))
		switch {
		case r.URL.Path == "/hangup":
			return
		case r.Header.Get("Upgrade") != "":
			fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
			return
		}
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nportal")
	}
}

func (up *upstream) keep(raw string) {
	up.mu.Lock()
	defer up.mu.Unlock()
	up.got = append(up.got, raw)
}

// all returns what has arrived.
func (up *upstream) all() []string {
	up.mu.Lock()
	defer up.mu.Unlock()
	return append([]string(nil), up.got...)
}

// of returns the requests for a path that have arrived.
func (up *upstream) of(path string) (found []string) {
	for _, raw := range up.all() {
		if target := strings.Fields(raw + " - -")[1]; strings.SplitN(target, "?", 2)[0] == path {
			found = append(found, raw)
		}
	}
	return found
}

// ours is what folds onto the name of an identity header.
var ours = map[string]string{
	"portalgateassertion": "Portalgate-Assertion", "remoteuser": "Remote-User", "remoteemail": "Remote-Email", "remotename": "Remote-Name",
}

// wrongIn says what is wrong with the identity in a raw request that should
// say that sub is asking, or nobody if that is empty.
func wrongIn(raw, sub string) string {
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	seen := make(map[string]string)
	chunked := false
	for _, line := range strings.Split(head, "\r\n")[1:] {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		folded := strings.Map(func(c rune) rune {
			if strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789", c) {
				return c
			}
			return -1
		}, strings.ToLower(name))
		if canonical := ours[folded]; canonical != "" {
			if _, twice := seen[canonical]; twice || name != canonical {
				return "a second " + name
			}
			seen[canonical] = value
		}
		if strings.EqualFold(name, "Trailer") {
			return "Trailer announced"
		}
		if strings.EqualFold(name, "Cookie") && strings.Contains(strings.ToLower(value), "portalgate") {
			return "a cookie of the gate's"
		}
		chunked = chunked || strings.EqualFold(name, "Transfer-Encoding")
	}
	if chunked && !strings.HasSuffix(body, "0\r\n\r\n") {
		return "trailers"
	}
	// An assertion may have these four letters by chance; it is looked at below.
	if token := seen["Portalgate-Assertion"]; strings.Contains(strings.ReplaceAll(raw, token, ""), "eve-") {
		return "what the visitor wrote"
	}
	claims := claimsIn(seen["Portalgate-Assertion"])
	if sub == "" {
		if claims["anonymous"] != true || claims["sub"] != nil || len(seen) != 1 {
			return fmt.Sprintf("somebody, where nobody should be: %d headers", len(seen))
		}
		return ""
	}
	if claims["sub"] != sub || seen["Remote-User"] != sub || len(seen) != 4 {
		return fmt.Sprintf("%q in place of %q, in %d headers", seen["Remote-User"], sub, len(seen))
	}
	return ""
}

// claimsIn reads an assertion without verifying it.
func claimsIn(token string) map[string]any {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	data, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	_ = json.Unmarshal(data, &claims) // nil then
	return claims
}

// assertionIn returns the assertion in a raw request.
func assertionIn(raw string) string {
	_, rest, _ := strings.Cut(raw, "\r\nPortalgate-Assertion: ")
	token, _, _ := strings.Cut(rest, "\r\n")
	return token
}
