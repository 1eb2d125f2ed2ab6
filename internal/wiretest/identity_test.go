// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package wiretest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/internal/testgate"
)

const separators = "-_.~|!#$%&'*+^`"

// spellings returns an identity header's name in every spelling that an
// upstream could fold onto it.
func spellings() (all []string) {
	for _, name := range ours {
		for _, sep := range separators {
			s := strings.ReplaceAll(name, "-", string(sep))
			all = append(all, s, strings.ToLower(s), strings.ToUpper(s))
		}
		all = append(all, strings.ReplaceAll(name, "-", ""), name+"_", "_"+name, strings.Replace(name, "-", "--", 1))
	}
	return all
}

// visitors are who asks for what in the tests of identity headers.
func visitors(cookie string) []struct{ name, path, cookie, sub string } {
	return []struct{ name, path, cookie, sub string }{
		{"client", "/portal", cookie, "1001"},
		{"client on a public path", "/assets/x", cookie, "1001"},
		{"nobody on a public path", "/assets/y", "", ""},
	}
}

// TestH01H02_SpoofedHeaders sends identity headers in every spelling, doubled,
// empty, long and in lists: an upstream that trusts Remote-User, or folds
// REMOTE_USER onto it as CGI does, would let anybody be anybody.
func TestH01H02_SpoofedHeaders(t *testing.T) {
	t.Parallel()
	for _, h2c := range []bool{false, true} {
		up := newUpstream(t)
		o := testgate.Options{Upstream: up.addr, TLS: !h2c}
		if h2c {
			o.Global = "servers {\n\tprotocols h1 h2c\n}"
		}
		g := testgate.Start(t, o)
		b := newBrowser(t, g)
		b.signIn(g, 1)
		conn := dialH2(t, g)
		n := 0
		for _, v := range visitors(b.cookies(g)) {
			for names := range slices.Chunk(spellings(), 13) {
				path := fmt.Sprintf("%s%d", v.path, n)
				n++
				var h1, headers []string
				for i, name := range names {
					for _, value := range [][]string{{"eve-1"}, {"eve-1", "eve-2", "eve-3"}, {""}, {"eve-" + strings.Repeat("e", 2000)}, {"1001, eve-1"}}[i%5] {
						h1 = append(h1, name+": "+value)
						headers = append(headers, strings.ToLower(name), value)
					}
				}
				if v.cookie != "" {
					h1 = append(h1, "Cookie: "+v.cookie)
					headers = append(headers, "cookie", v.cookie)
				}
				if h2c {
					if res, _ := raw(t, g, request(path, h1...)); res.StatusCode != http.StatusOK {
						t.Errorf("h1, %s, %q: %d", v.name, names, res.StatusCode)
					}
					arrivedAs(t, up, path, v.sub, fmt.Sprintf("h1, %s, %q", v.name, names))
				}
				if status := conn.send(g, "GET", path+"/2", headers, "", nil); status != "200" {
					t.Fatalf("h2, %s, %q: %s", v.name, names, status)
				}
				arrivedAs(t, up, path+"/2", v.sub, fmt.Sprintf("h2, %s, %q", v.name, names))
			}
		}
		// Nobody on a protected path gets through with any of them.
		if status := conn.send(g, "GET", "/secret", []string{"remote-user", "1001"}, "", nil); status != "401" {
			t.Errorf("nobody on a protected path: %s", status)
		}
		if got := up.of("/secret"); len(got) > 0 {
			t.Error("nobody reached a protected path")
		}
	}
}

func arrivedAs(t *testing.T, up *upstream, path, sub, what string) {
	t.Helper()
	got := up.of(path)
	if len(got) != 1 {
		t.Fatalf("%s: arrived %d times", what, len(got))
	}
	if wrong := wrongIn(got[0], sub); wrong != "" {
		t.Errorf("%s: the upstream saw %s", what, wrong)
	}
}

// TestH03_HopByHop names our headers in Connection, so that a proxy takes away
// what the gate has put there ("Connection: close, Remote-User" got past
// others, CVE-2022-31813), and names those of others.
func TestH03_HopByHop(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := testgate.Start(t, testgate.Options{Upstream: up.addr})
	b := newBrowser(t, g)
	b.signIn(g, 1)
	for i, lines := range [][]string{
		{"Connection: close, Portalgate-Assertion"},
		{"Connection: Portalgate-Assertion, Remote-User, Remote-Email, Remote-Name"},
		{"Connection: close", "Connection: REMOTE-USER"},
		{"Connection: close,\tportalgate-assertion\t,"},
		{"connection: close", "cONNECTION: remote-user", "CONNECTION: remote-email,remote-name"},
		{"Connection: keep-alive, Cookie, Authorization, X-Forwarded-For"},
		{"Keep-Alive: Remote-User", "Proxy-Connection: Remote-User"},
		{"TE: trailers, Remote-User", "Connection: TE, Portalgate-Assertion"},
		{"Connection: upgrade, Remote-User", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"},
		{"Proxy-Connection: Portalgate-Assertion"},
		{"Connection: \"Remote-User\""},
		{"Connection: Remote_User, Remote.User, *"},
	} {
		for _, v := range visitors(b.cookies(g)) {
			path := fmt.Sprintf("%s-hop%d", v.path, i)
			cookie := "Cookie: theirs=1"
			if v.cookie != "" {
				cookie += "; " + v.cookie
			}
			res, _ := raw(t, g, request(path, append(lines, cookie, "Authorization: Bearer theirs")...))
			if res.StatusCode != http.StatusOK {
				t.Errorf("%s, %q: %d", v.name, lines, res.StatusCode)
				continue
			}
			arrivedAs(t, up, path, v.sub, fmt.Sprintf("%s, %q", v.name, lines))
			for _, want := range []string{"\r\nCookie: theirs=1\r\n", "\r\nAuthorization: Bearer theirs\r\n", "\r\nX-Forwarded-For: 127.0.0.1\r\n"} {
				if !strings.Contains(up.of(path)[0], want) {
					t.Errorf("%s, %q: the upstream lacks %q", v.name, lines, want)
				}
			}
			if strings.Contains(strings.ToLower(up.of(path)[0]), "h2c") {
				t.Errorf("%q: the upstream was asked for h2c", lines)
			}
		}
	}
}

// TestH04_Trailers sends identity headers after the body. net/http adds them
// to the request when the body has been read, long after anybody has looked.
func TestH04_Trailers(t *testing.T) {
	t.Parallel()
	for _, tls := range []bool{false, true} {
		up := newUpstream(t)
		g := testgate.Start(t, testgate.Options{Upstream: up.addr, TLS: tls})
		b := newBrowser(t, g)
		b.signIn(g, 1)
		for i, tc := range []struct{ announced, trailer string }{
			{"Remote-User", "Remote-User"},
			{"", "Remote-User"},
			{"Portalgate-Assertion, remote_user", "Portalgate-Assertion"},
			{"", "remote_user"},
			{"X-Checksum", "Remote-User"},
			{"X-Checksum", "X-Checksum"}, // trailers go whole
		} {
			for _, v := range visitors(b.cookies(g)) {
				path := fmt.Sprintf("%s-trailer%d", v.path, i)
				what := fmt.Sprintf("%s, announced %q, sent %q", v.name, tc.announced, tc.trailer)
				var headers []string
				if v.cookie != "" {
					headers = append(headers, "cookie", v.cookie)
				}
				if tc.announced != "" {
					headers = append(headers, "trailer", tc.announced)
				}
				if tls {
					if got := dialH2(t, g).send(g, "POST", path, headers, "body", []string{strings.ToLower(tc.trailer), "eve-1"}); got != "200" {
						t.Errorf("h2, %s: %s", what, got)
					}
				} else {
					lines := ""
					for j := 0; j < len(headers); j += 2 {
						lines += headers[j] + ": " + headers[j+1] + "\r\n"
					}
					res, _ := raw(t, g, "POST "+path+" HTTP/1.1\r\nHost: %HOST%\r\n"+lines+
						"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n"+tc.trailer+": eve-1\r\n\r\n")
					if res.StatusCode != http.StatusOK {
						t.Errorf("h1, %s: %d", what, res.StatusCode)
					}
				}
				arrivedAs(t, up, path, v.sub, what)
			}
		}
	}
}
