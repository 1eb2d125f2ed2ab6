// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/session"
)

// prepared returns a request as Caddy hands it to a handler.
func prepared(target string, header http.Header, vars map[string]any) *http.Request {
	r := httptest.NewRequest("GET", target, nil)
	if header != nil {
		r.Header = header
	}
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), &caddyhttp.Server{})
	for k, v := range vars {
		caddyhttp.SetVar(r.Context(), k, v)
	}
	return r
}

// TestH09_ClientIP: the address that limits count by is the one that Caddy
// vouches for, never one that the visitor writes into a header.
func TestH09_ClientIP(t *testing.T) {
	forged := http.Header{
		"X-Forwarded-For": {"9.9.9.9"}, "X-Real-Ip": {"9.9.9.9"}, "Forwarded": {"for=9.9.9.9"}, "Cf-Connecting-Ip": {"9.9.9.9"},
	}
	for _, tc := range []struct {
		said any
		want string
	}{
		{"192.0.2.7", "192.0.2.7"},
		{"2001:db8::1", "2001:db8::1"},
		{"::ffff:192.0.2.7", "192.0.2.7"}, // not a second budget for the same host
		{"fe80::1%eth0", "fe80::1"},       // nor one for every zone
		{"@", "invalid IP"},               // a unix socket
		{"", "invalid IP"},
		{nil, "invalid IP"},
	} {
		got := front(prepared("http://x/", forged.Clone(), map[string]any{caddyhttp.ClientIPVarKey: tc.said})).IP
		if got.String() != tc.want {
			t.Errorf("client_ip %v: %s, want %s", tc.said, got, tc.want)
		}
	}
}

// TestForwardedHTTPS: plain http is https only if a proxy that the operator
// trusts says so, in so many words.
func TestForwardedHTTPS(t *testing.T) {
	for _, tc := range []struct {
		name    string
		trusted any
		proto   []string
		tls     bool
		want    bool
	}{
		{"plain", false, nil, false, false},
		{"tls", false, nil, true, true},
		{"a visitor's own header", false, []string{"https"}, false, false},
		{"no word about the proxy", nil, []string{"https"}, false, false},
		{"a trusted proxy", true, []string{"https"}, false, true},
		{"a trusted proxy over http", true, []string{"http"}, false, false},
		{"a trusted proxy that says nothing", true, nil, false, false},
		{"two headers", true, []string{"https", "http"}, false, false},
		{"a list", true, []string{"https, http"}, false, false},
		{"another spelling", true, []string{"HTTPS"}, false, false},
	} {
		r := prepared("http://x/", http.Header{"X-Forwarded-Proto": tc.proto}, map[string]any{caddyhttp.TrustedProxyVarKey: tc.trusted})
		if tc.tls {
			r.TLS = new(tls.ConnectionState)
		}
		if got := front(r).HTTPS; got != tc.want {
			t.Errorf("%s: HTTPS = %t, want %t", tc.name, got, tc.want)
		}
	}
}

// TestOriginalURL: rewrite, uri and try_files run before the gate. Whether a
// path is public, and where a client wanted to go, is about what was asked for.
func TestOriginalURL(t *testing.T) {
	r := prepared("http://x/account?tab=1", nil, nil)
	r.URL = &url.URL{Path: "/public/index.html"}
	if got := front(r).Original.RequestURI(); got != "/account?tab=1" {
		t.Errorf("original is %q, want /account?tab=1", got)
	}
}

func TestFrontEffects(t *testing.T) {
	r := prepared("http://x/", nil, nil)
	f := front(r)
	f.SkipLog(r)
	if skip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.LogSkipVar).(bool); !skip {
		t.Error("SkipLog did not set the variable that keeps a request out of the access log")
	}
	f.SignedIn(r, &session.Visitor{
		Client: directory.Client{ID: "i", Email: "e", Name: "n"}, Session: &access.Session{Method: "m"}, SID: "s",
	})
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	const all = "{http.auth.user.id}{http.auth.user.email}{http.auth.user.name}{http.auth.user.method}{http.auth.user.session}"
	if got := repl.ReplaceAll(all, "-"); got != "ienms" {
		t.Errorf("placeholders are %q, want ienms", got)
	}
}
