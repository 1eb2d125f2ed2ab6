// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/go-jose/go-jose/v4"

	"github.com/portalgate/portalgate/identity"
)

const issuer = "http://localhost:8080"

// gate stands in for Portalgate: it publishes a key and signs what it is told.
type gate struct {
	key    *ecdsa.PrivateKey
	portal *httptest.Server
}

func newGate(t *testing.T) *gate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"},
		}})
	}))
	t.Cleanup(keys.Close)
	v, err := identity.New(identity.Options{Issuer: issuer, KeysURL: keys.URL})
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{key: key, portal: httptest.NewServer(portal(v.Protect))}
	t.Cleanup(g.portal.Close)
	return g
}

// assertion is what the gate says of a client of that name.
func (g *gate) assertion(t *testing.T, name string) string {
	t.Helper()
	now := time.Now().Unix()
	claims, err := json.Marshal(map[string]any{
		"iss": issuer, "aud": issuer, "sub": "c-17", "email": "ada@example.com", "name": name,
		"sid": "s1", "amr": []string{"magic_link"}, "auth_time": now, "iat": now, "nbf": now, "exp": now + 60,
	})
	if err != nil {
		t.Fatal(err)
	}
	opts := (&jose.SignerOptions{}).WithType(identity.Type).WithHeader("kid", "k1")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: g.key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	for {
		jws, err := signer.Sign(claims)
		if err != nil {
			t.Fatal(err)
		}
		// As a gate does it: of the two forms a signature can have, the one
		// whose second half is the lower number.
		if jws.Signatures[0].Signature[32] < 0x7f {
			token, err := jws.CompactSerialize()
			if err != nil {
				t.Fatal(err)
			}
			return token
		}
	}
}

func (g *gate) do(t *testing.T, name, method, path string, form url.Values) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, g.portal.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if name != "" {
		req.Header.Set(identity.HeaderAssertion, g.assertion(t, name))
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestPages(t *testing.T) {
	g := newGate(t)
	for _, tc := range []struct{ path, want string }{
		{"/", "<h1>Hello Ada Lovelace</h1>"},
		{"/", "<td>c-17</td>"},
		{"/", "<td>[magic_link]</td>"},
		{"/", `href="/sign-in/sign-out"`},
		{"/", `href="/sign-in/sessions"`},
		{"/", `src="/sign-in/session.js"`},
		{"/messages", "Your next visit"},
		{"/form", `<textarea id="note"`},
		{"/live", `src="/assets/live.js"`},
		{"/api/me", `{"email":"ada@example.com","id":"c-17","name":"Ada Lovelace"}`},
	} {
		if status, body := g.do(t, "Ada Lovelace", "GET", tc.path, nil); status != 200 || !strings.Contains(body, tc.want) {
			t.Errorf("GET %s = %d without %q:\n%s", tc.path, status, tc.want, body)
		}
	}
}

func TestWithoutTheGate(t *testing.T) {
	g := newGate(t)
	for _, path := range []string{"/", "/messages", "/form", "/live", "/api/me", "/ws", "/events", "/nothing"} {
		if status, body := g.do(t, "", "GET", path, nil); status != http.StatusUnauthorized || strings.Contains(body, "Hello") {
			t.Errorf("GET %s without an assertion = %d, want 401", path, status)
		}
	}
	if status, _ := g.do(t, "", "GET", "/assets/style.css", nil); status != 200 {
		t.Errorf("the style sheet is public at the gate, but answers %d", status)
	}
}

// The name and the form are other people's text: shown, never run.
func TestEscaping(t *testing.T) {
	g := newGate(t)
	const evil = `<script>alert(1)</script>`
	_, home := g.do(t, evil, "GET", "/", nil)
	status, sent := g.do(t, "Ada", "POST", "/form", url.Values{"note": {evil + `"'{{.}}`}})
	if status != 200 || !strings.Contains(sent, "{{.}}") {
		t.Errorf("POST /form = %d and does not show what was sent", status)
	}
	for _, body := range []string{home, sent} {
		if strings.Contains(body, evil) || !strings.Contains(body, "&lt;script&gt;") {
			t.Errorf("not escaped:\n%s", body)
		}
	}
}

func TestFormFromAnotherSite(t *testing.T) {
	g := newGate(t)
	req, _ := http.NewRequest("POST", g.portal.URL+"/form", strings.NewReader("note=x"))
	req.Header.Set(identity.HeaderAssertion, g.assertion(t, "Ada"))
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("a form sent by another site = %d, want 403", res.StatusCode)
	}
}

func TestWebSocketEchoes(t *testing.T) {
	g := newGate(t)
	header := http.Header{identity.HeaderAssertion: {g.assertion(t, "Ada")}}
	conn, _, err := websocket.Dial(t.Context(), g.portal.URL+"/ws", &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	kind, data, err := conn.Read(t.Context())
	if err != nil || kind != websocket.MessageText || string(data) != "hello" {
		t.Errorf("the answer is %v %q, %v; want the same text", kind, data, err)
	}
}

func TestEventsStream(t *testing.T) {
	g := newGate(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", g.portal.URL+"/events", nil)
	req.Header.Set(identity.HeaderAssertion, g.assertion(t, "Ada"))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("Content-Type = %q", got)
	}
	lines := bufio.NewScanner(res.Body)
	for range 2 { // the first comes at once, the next a second later
		lines.Scan()
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if _, err := time.Parse(time.RFC3339, data); !ok || err != nil {
			t.Fatalf("event %q is not a time", lines.Text())
		}
		lines.Scan() // the empty line
	}
}
