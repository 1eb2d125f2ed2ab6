// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package wiretest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/identity"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/testgate"
)

var auditFrom = regexp.MustCompile(`"from":"([^"]*)"`)

// lastAudit is the address in the newest audit line.
func lastAudit(g *testgate.Gate) string {
	all := auditFrom.FindAllStringSubmatch(g.Log(), -1)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1][1]
}

// TestH09_ClientIP forges the address that limits go by and audit names.
// Only what Caddy was told to trust may say where a request comes from.
func TestH09_ClientIP(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	gates := map[string]*testgate.Gate{
		"":       testgate.Start(t, testgate.Options{Upstream: up.addr}),
		trusting: testgate.Start(t, testgate.Options{Upstream: up.addr, Global: trusting}),
	}
	for _, tc := range []struct {
		name, global string
		headers      []string
		want         string
	}{
		{"untrusted", "", []string{"X-Forwarded-For: 203.0.113.9"}, "127.0.0.1"},
		{"untrusted", "", []string{"Forwarded: for=203.0.113.9", "X-Real-IP: 203.0.113.9", "CF-Connecting-IP: 203.0.113.9", "True-Client-IP: 203.0.113.9"}, "127.0.0.1"},
		{"trusted", trusting, []string{"X-Forwarded-For: 203.0.113.9"}, "203.0.113.9"},
		{"trusted, chain", trusting, []string{"X-Forwarded-For: 198.51.100.1, 203.0.113.9, 127.0.0.1"}, "203.0.113.9"},
		{"trusted, two lines", trusting, []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 203.0.113.9"}, "203.0.113.9"},
		{"trusted, mapped", trusting, []string{"X-Forwarded-For: ::ffff:203.0.113.9"}, "203.0.113.9"},
		{"trusted, zone", trusting, []string{"X-Forwarded-For: fe80::1%eth0"}, "fe80::1"},
		{"trusted, other headers", trusting, []string{"X-Real-IP: 203.0.113.9", "Forwarded: for=203.0.113.9"}, "127.0.0.1"},
		{"trusted, no address", trusting, []string{"X-Forwarded-For: \u2028eve-1"}, "127.0.0.1"},
	} {
		g := gates[tc.global]
		b := newBrowser(t, g)
		p := b.get(g.URL + "/sign-in/magic-link")
		form := formsIn(p.body)["/sign-in/magic-link"]
		form.Set("email", "nobody@example.com")
		body := form.Encode()
		before := strings.Count(g.Log(), `"from":`)
		raw(t, g, fmt.Sprintf("POST /sign-in/magic-link HTTP/1.1\r\nHost: %%HOST%%\r\nOrigin: %s\r\nCookie: %s\r\n%s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
			g.URL, b.cookies(g), strings.Join(tc.headers, "\r\n"), len(body), body))
		if strings.Count(g.Log(), `"from":`) == before {
			t.Errorf("%s: nothing was audited", tc.name)
		}
		if got := lastAudit(g); got != tc.want {
			t.Errorf("%s, %q: from %q, want %q", tc.name, tc.headers, got, tc.want)
		}
	}
}

const trusting = "servers {\n\ttrusted_proxies static 127.0.0.1/32\n\ttrusted_proxies_strict\n}"

// TestH11_DirectAccess goes round the gate to the sample portal, with nothing,
// with what the gate would never sign, and with another gate's assertion.
func TestH11_DirectAccess(t *testing.T) {
	t.Parallel()
	g := testgate.Start(t, testgate.Options{})
	up := newUpstream(t)
	other := testgate.Start(t, testgate.Options{Upstream: up.addr})
	b := newBrowser(t, other)
	b.signIn(other, 1)
	foreign := assertionIn(up.of("/portal")[0])
	if foreign == "" {
		t.Fatal("no assertion")
	}
	get := func(handler string, token string) int {
		req, _ := http.NewRequest("GET", handler, nil)
		if token != "" {
			req.Header.Set("Portalgate-Assertion", token)
		}
		req.Header.Set("Remote-User", "1001")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	parts := strings.Split(foreign, ".")
	for name, token := range map[string]string{
		"nothing": "", "another gate's": foreign, "no signature": parts[0] + "." + parts[1] + ".",
		"alg none": "eyJhbGciOiJub25lIiwidHlwIjoicG9ydGFsZ2F0ZS1pZGVudGl0eStqd3QifQ." + parts[1] + ".",
	} {
		if got := get("http://"+g.Upstream+"/api/me", token); got != http.StatusUnauthorized {
			t.Errorf("%s: %d, want 401", name, got)
		}
	}
	// The gate's own assertion at its own portal and, replayed, at another.
	for audience, want := range map[string]int{other.URL: http.StatusNoContent, "another-portal": http.StatusUnauthorized} {
		v, err := identity.New(identity.Options{Issuer: other.URL, Audience: audience})
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewServer(v.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })))
		if got := get(s.URL, foreign); got != want {
			t.Errorf("at %s: %d, want %d", audience, got, want)
		}
		s.Close()
	}
	// And through its gate the portal works.
	mine := newBrowser(t, g)
	l, _ := mine.ask(g, "ada@example.com", 1)
	mine.send(mine.get(l.link), "/sign-in/link")
	if p := mine.get(g.URL + "/api/me"); p.status != http.StatusOK || !strings.Contains(p.body, "1001") {
		t.Errorf("through the gate: %d", p.status)
	}
}

// TestH10_SocketOrigin opens WebSockets as another site's page would: cookies
// go along with those, and no browser asks first.
func TestH10_SocketOrigin(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := testgate.Start(t, testgate.Options{Upstream: up.addr, Handler: "public /assets/*"})
	b := newBrowser(t, g)
	b.signIn(g, 1)
	const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
	for i, tc := range []struct {
		origin, cookie, path string
		want                 int
	}{
		{g.URL, b.cookies(g), "/ws", 101},
		{"", b.cookies(g), "/ws", 101}, // no browser
		{strings.ToUpper(g.URL[:4]) + g.URL[4:], b.cookies(g), "/ws", 101},
		{"https://evil.example", b.cookies(g), "/ws", 403},
		{"null", b.cookies(g), "/ws", 403},
		{"http://localhost", b.cookies(g), "/ws", 403},
		{"http://localhost.evil.example:" + after(g.URL[7:], ":"), b.cookies(g), "/ws", 403},
		{strings.Replace(g.URL, "http", "https", 1), b.cookies(g), "/ws", 403},
		{"https://evil.example", "", "/assets/ws", 403},
		{"https://evil.example", "", "/ws", 403},
		{g.URL, "", "/ws", 401},
		{g.URL, "", "/assets/ws", 101},
	} {
		origin, cookie := "", ""
		if tc.origin != "" {
			origin = "Origin: " + tc.origin
		}
		if tc.cookie != "" {
			cookie = "Cookie: " + tc.cookie
		}
		path := fmt.Sprintf("%s%d", tc.path, i)
		c := dial(t, g)
		fmt.Fprint(c, strings.ReplaceAll(request(path, upgrade, origin, cookie), "%HOST%", host(g)))
		res, err := http.ReadResponse(c.in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != tc.want {
			t.Errorf("Origin %q, signed in %v, %s: %d, want %d", tc.origin, tc.cookie != "", tc.path, res.StatusCode, tc.want)
		}
		if arrived := len(up.of(path)) > 0; arrived != (tc.want == 101) {
			t.Errorf("Origin %q, %s: reached the upstream: %v", tc.origin, tc.path, arrived)
		}
		c.Close()
	}
}

// TestH12_EarlyData asks the gate's pages before the TLS handshake is done:
// what comes then can be a replay, from whatever address it says. It looks
// from inside, because no client here can be made to send such a request.
func TestH12_EarlyData(t *testing.T) {
	u, _ := url.Parse("https://portal.example.com")
	rt := gate.NewRuntime(gate.Options{Gate: "main", Secret: func(context.Context) ([]byte, error) { return nil, errors.New("none") }})
	defer rt.Close()
	h, err := rt.Handler(&gate.Config{Name: "main", PublicURL: u, Path: "/sign-in", Log: zap.NewNop()}, gate.HandlerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/sign-in", "/sign-in/link", "/sign-in/link?t=x", "/sign-in/code", "/sign-in/sign-out", "/sign-in/stop", "/sign-in/session"} {
		for _, method := range []string{"GET", "POST"} {
			r := httptest.NewRequest(method, "https://portal.example.com"+path, nil)
			r.TLS = &tls.ConnectionState{HandshakeComplete: false}
			w := httptest.NewRecorder()
			if err := h.ServeHTTP(w, r, gate.Front{HTTPS: true}, nil); err != nil || w.Code != http.StatusTooEarly {
				t.Errorf("%s %s in early data: %d, %v", method, path, w.Code, err)
			}
		}
	}
}
