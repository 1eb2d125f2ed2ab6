// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/portalgate/portalgate/identity"
)

// A request that comes without an assertion, with two, or with one that is
// refused is sent away by the application itself: whoever got it past the
// gate, or took the assertion off on the way, is not anonymous but refused.
func TestJ07_NoWayAround(t *testing.T) {
	g := newGate(t)
	anonymous := g.sign(goodHeader, with(map[string]any{
		"sub": nil, "email": nil, "name": nil, "sid": nil, "amr": nil, "auth_time": nil, "anonymous": true}))
	for _, tc := range []struct {
		name       string
		assertions []string
		plain      string
		status     int
	}{
		{"good", []string{g.good()}, "", 200},
		{"none", nil, "", 401},
		{"plain headers only", nil, "ada", 401},
		{"empty", []string{""}, "", 401},
		{"twice", []string{g.good(), g.good()}, "", 401},
		{"comma list", []string{g.good() + ", " + g.good()}, "", 401},
		{"bad then good", []string{"x", g.good()}, "", 401},
		{"anonymous", []string{anonymous}, "", 401},
	} {
		var who identity.Claims
		var known, called bool
		h := g.verifier().Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			called = true
			who, known = identity.From(r.Context())
		}))
		r := httptest.NewRequest("GET", "/", nil)
		r.Header[identity.HeaderAssertion] = tc.assertions
		if tc.plain != "" {
			r.Header.Set(identity.HeaderUser, tc.plain)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		ok := tc.status == 200
		if w.Code != tc.status || called != ok || known != ok || ok && who.Subject != "ada" {
			t.Errorf("%s: status %d, called %v, who %q", tc.name, w.Code, called, who.Subject)
		}
		if !ok && (w.Body.Len() == 0 || w.Header().Get("WWW-Authenticate") == "" || w.Header().Get("Cache-Control") != "no-store") {
			t.Errorf("%s: answer %v %q", tc.name, w.Header(), w.Body)
		}
	}
}

func TestProtectUnknown(t *testing.T) {
	g := newGate(t)
	g.keys.Store(nil)
	h := g.verifier().Protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("let through without keys")
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set(identity.HeaderAssertion, g.good())
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, header %v", w.Code, w.Header())
	}
	if body, _ := io.ReadAll(w.Body); len(body) == 0 {
		t.Error("no sentence")
	}
}

func TestFromNobody(t *testing.T) {
	if c, ok := identity.From(t.Context()); ok {
		t.Errorf("From of an empty context = %+v", c)
	}
}
