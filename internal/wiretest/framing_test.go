// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package wiretest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/testgate"
)

// TestH06_Smuggling frames one request so that the gate and the upstream could
// disagree on where it ends. The rest of it would be a request that no gate
// has seen: here one that carries an identity header. As a request of its own
// the gate would answer it, since it has no session, but never pass it on.
func TestH06_Smuggling(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := testgate.Start(t, testgate.Options{Upstream: up.addr})
	b := newBrowser(t, g)
	b.signIn(g, 1)
	const hidden = "GET /smuggled HTTP/1.1\r\nHost: x\r\nRemote-User: eve-1\r\n\r\n"
	post := func(headers, body string) string {
		return "POST /outer HTTP/1.1\r\nHost: %HOST%\r\nCookie: " + b.cookies(g) + "\r\n" + headers + "\r\n" + body
	}
	requests := map[string]string{
		"CL.TE":                post(fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", 5+len(hidden)), "0\r\n\r\n"+hidden),
		"TE.CL":                post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden)),
		"TE.TE":                post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"+hidden),
		"TE list":              post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"+hidden),
		"TE twice":             post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"+hidden),
		"TE xchunked":          post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"+hidden),
		"TE with a tab":        post("Transfer-Encoding:\tchunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"+hidden),
		"TE, space, colon":     post(fmt.Sprintf("Transfer-Encoding : chunked\r\nContent-Length: %d\r\n", 5+len(hidden)), "0\r\n\r\n"+hidden),
		"TE folded":            post(fmt.Sprintf("Transfer-Encoding:\r\n chunked\r\nContent-Length: %d\r\n", 5+len(hidden)), "0\r\n\r\n"+hidden),
		"TE_":                  post(fmt.Sprintf("Transfer_Encoding: chunked\r\nContent-Length: %d\r\n", 5+len(hidden)), "0\r\n\r\n"+hidden),
		"two lengths":          post(fmt.Sprintf("Content-Length: 0\r\nContent-Length: %d\r\n", len(hidden)), hidden),
		"list of lengths":      post(fmt.Sprintf("Content-Length: 0, %d\r\n", len(hidden)), hidden),
		"length with a plus":   post(fmt.Sprintf("Content-Length: +%d\r\n", len(hidden)), hidden),
		"length in hex":        post("Content-Length: 0x10\r\n", hidden),
		"negative length":      post("Content-Length: -1\r\n", hidden),
		"length, a lone LF":    post("X: y\nContent-Length: 0\r\n", hidden),
		"a lone CR":            post("X: y\rContent-Length: 9\r\n", hidden),
		"chunk extension":      post("Transfer-Encoding: chunked\r\n", "0;x=\"\r\n\r\n\"\r\n\r\n"+hidden),
		"chunk, lone LF":       post("Transfer-Encoding: chunked\r\n", "4;\nbody\r\n0\r\n\r\n"+hidden),
		"chunk size too large": post("Transfer-Encoding: chunked\r\n", "100000000000000000\r\n\r\n"+hidden),
		"body of a GET":        strings.Replace(post(fmt.Sprintf("Content-Length: %d\r\n", len(hidden)), hidden), "POST", "GET", 1),
		"two hosts":            post("Host: localhost\r\n", hidden),
		"HTTP/1.0 chunked":     strings.Replace(post("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"+hidden), "HTTP/1.1", "HTTP/1.0", 1),
		"upgrade to h2c":       post("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n", hidden),
		"CR LF in the target":  "GET /outer%0d%0aRemote-User:%20eve-1 HTTP/1.1\r\nHost: %HOST%\r\nCookie: " + b.cookies(g) + "\r\n\r\n",
		"space in the target":  "GET /outer HTTP/1.1 /x HTTP/1.1\r\nHost: %HOST%\r\nCookie: " + b.cookies(g) + "\r\n\r\n",
	}
	t.Run("all", func(t *testing.T) {
		for name, req := range requests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c := dial(t, g)
				io.WriteString(c, strings.ReplaceAll(req+"GET /last HTTP/1.1\r\nHost: %HOST%\r\nConnection: close\r\n\r\n", "%HOST%", host(g)))
				c.SetReadDeadline(time.Now().Add(400 * time.Millisecond)) // it may wait for more, rightly
				io.Copy(io.Discard, c.in)
			})
		}
	})
	if len(up.of("/outer")) == 0 {
		t.Error("none of the outer requests arrived")
	}
	checkNotSmuggled(t, up)
}

// TestH06_SmugglingFromH2 has in HTTP/2's values what would be framing in
// HTTP/1.1, which is what the upstream gets.
func TestH06_SmugglingFromH2(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := testgate.Start(t, testgate.Options{Upstream: up.addr, TLS: true})
	b := newBrowser(t, g)
	b.signIn(g, 1)
	for name, headers := range map[string][]string{
		"CR LF in a value":   {"x", "y\r\nTransfer-Encoding: chunked"},
		"LF in a value":      {"x", "y\nRemote-User: eve-1"},
		"CR LF in a name":    {"x: y\r\nremote-user", "eve-1"},
		"transfer-encoding":  {"transfer-encoding", "chunked"},
		"a colon in a name":  {"remote-user:eve-1 x", "y"},
		"an upper-case name": {"Remote-User", "eve-1"},
		"connection":         {"connection", "remote-user"},
		"too short a length": {"content-length", "3"},
		"too long a length":  {"content-length", "999"},
	} {
		body := "GET /smuggled HTTP/1.1\r\nHost: x\r\nRemote-User: eve-1\r\n\r\n"
		got := dialH2(t, g).send(g, "POST", "/outer", append(headers, "cookie", b.cookies(g)), body, nil)
		if got != "reset" && got[0] != '4' && got != "502" {
			t.Errorf("%s: %s", name, got)
		}
	}
	checkNotSmuggled(t, up)
}

func checkNotSmuggled(t *testing.T, up *upstream) {
	t.Helper()
	for _, raw := range up.all() {
		target := strings.Fields(raw + " - -")[1]
		head, _, _ := strings.Cut(raw, "\r\n\r\n")
		if target == "/smuggled" || target == "/last" || strings.Contains(head, "eve-1") && !strings.Contains(head, "%0d%0a") {
			t.Errorf("the upstream got a request for %s that the gate did not pass on:\n%s", target, head[:min(len(head), 200)])
		}
	}
}

// TestH07_PathConfusion asks for what is behind the gate under names that
// begin with what is public, or are made public by a header.
func TestH07_PathConfusion(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := testgate.Start(t, testgate.Options{Upstream: up.addr, Handler: "public /assets/* /open"})
	for _, path := range []string{
		"/assets/../secret", "/assets/%2e%2e/secret", "/assets/.%2e/secret", "/assets/%2E%2E%2Fsecret", "/assets/..%2fsecret",
		"/assets/..%5csecret", "/assets/..\\secret", "/assets/..;/secret", "/assets/;/../secret", "/assets/x;y", "/assets//secret", "/assets/%2fsecret",
		"/assets/./x", "/assets/%2e/x", "/assets/%252e%252e/secret", "/assets/%00", "/assets/%c0%ae%c0%ae/secret", "/assets/%ef%bc%8e%ef%bc%8e/secret/..",
		"/assets", "/Assets/x", "/ASSETS/x", "/assets%2fx", "/%61ssets/../secret", "//assets/x", "/./assets/x", "/x/../assets/../secret",
		"/open/", "/open/x", "/open%2f", "/open;x", "/OPEN", "/open%20", "/open.", "/openx", "//open", "/assets/x%0d%0aRemote-User:%20eve-1", "/assets/%7f",
		"http://localhost/secret", "http://evil.example/assets/x", "/secret#/assets/x", "/secret?/assets/x", "/secret%23/assets/x", "/secret;/assets/x",
	} {
		res, body := raw(t, g, request(path))
		if strings.Contains(body, "portal") && res.StatusCode == http.StatusOK {
			t.Errorf("GET %s got to the upstream", path)
		}
	}
	for _, header := range []string{
		"X-Original-URL: /assets/x", "X-Rewrite-URL: /assets/x", "X-Forwarded-Uri: /assets/x", "X-Forwarded-Prefix: /assets/", "X-HTTP-Method-Override: OPTIONS",
		"Forwarded: host=localhost;path=/assets/x", "X-Original-Method: OPTIONS", "X-Forwarded-Method: GET", "X-Accel-Redirect: /assets/x",
	} {
		if res, _ := raw(t, g, request("/secret", header)); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d, want 401", header, res.StatusCode)
		}
	}
	for _, host := range []string{"localhost.", "LOCALHOST.", "127.0.0.1", "evil.example", "localhost@evil.example", "localhost%00", ""} {
		res, _ := raw(t, g, "GET /assets/x HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		if to := res.Header.Get("Location"); res.StatusCode < 300 || to != "" && !strings.HasPrefix(to, g.URL+"/") {
			t.Errorf("Host %q: %d to %q", host, res.StatusCode, to)
		}
	}
	if got := up.all(); len(got) > 0 {
		t.Errorf("the upstream got %d requests, such as %.100q", len(got), got[0])
	}
	// And what is public is.
	for _, path := range []string{"/assets/x", "/assets/x/y.css?z=/../", "/open", "/%61ssets/x", "/assets/%C3%A9"} {
		if res, _ := raw(t, g, request(path)); res.StatusCode != http.StatusOK {
			t.Errorf("GET %s: %d, want 200", path, res.StatusCode)
		}
	}
}

// TestH08_HealthCheckAgent sees whether somebody who says that they are a
// load balancer is let in (oauth2-proxy once did, GHSA-5hvv).
func TestH08_HealthCheckAgent(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := testgate.Start(t, testgate.Options{Upstream: up.addr})
	for _, agent := range []string{"GoogleHC/1.0", "kube-probe/1.29", "ELB-HealthChecker/2.0", "Amazon-Route53-Health-Check-Service"} {
		if res, _ := raw(t, g, request("/secret", "User-Agent: "+agent)); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d, want 401", agent, res.StatusCode)
		}
	}
	if len(up.all()) > 0 {
		t.Error("the upstream was reached")
	}
}

// TestH13_MethodsWithoutSession shows that no method is a way round the gate:
// others let OPTIONS pass for CORS.
func TestH13_MethodsWithoutSession(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := testgate.Start(t, testgate.Options{Upstream: up.addr})
	for method, want := range map[string]int{
		"OPTIONS": 401, "HEAD": 401, "TRACE": 405, "TRACK": 405, "PROPFIND": 401, "DELETE": 401, "BREW": 401, "CONNECT": 405,
	} {
		target := "/secret"
		if method == "CONNECT" {
			target = "secret.example:80"
		}
		res, _ := raw(t, g, method+" "+target+" HTTP/1.1\r\nHost: %HOST%\r\nOrigin: "+g.URL+"\r\nAccess-Control-Request-Method: GET\r\n\r\n")
		if res.StatusCode != want {
			t.Errorf("%s: %d, want %d", method, res.StatusCode, want)
		}
	}
	c := dial(t, g)
	io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	if answer, _ := c.in.ReadString('\n'); strings.Contains(answer, " 200") {
		t.Errorf("PRI: %s", answer)
	}
	b := newBrowser(t, g)
	b.signIn(g, 1)
	for _, method := range []string{"TRACE", "TRACK"} { // they would show the cookie to a script
		res, body := raw(t, g, method+" /secret HTTP/1.1\r\nHost: %HOST%\r\nCookie: "+b.cookies(g)+"\r\n\r\n")
		if res.StatusCode != http.StatusMethodNotAllowed || strings.Contains(body, "portalgate-main") {
			t.Errorf("%s, signed in: %d", method, res.StatusCode)
		}
	}
	if got := up.of("/secret"); len(got) > 0 {
		t.Error("the upstream was reached")
	}
}
