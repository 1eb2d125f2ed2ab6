// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestJWKS: the keys on a site of their own are those that stand at the public
// URL; while the store cannot be reached they are 503, never an empty set.
func TestJWKS(t *testing.T) {
	l := newLive(t)
	internal := "http://127.0.0.1:" + freePort(t)
	site := internal + " {\n\tportalgate_jwks\n}\n"
	ask := func(url string) (*http.Response, string) {
		t.Helper()
		res, err := l.browser().Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(body)
	}

	l.mustLoad(l.caddyfile("", "") + site)
	public, want := ask(l.portal + "/.well-known/portalgate/jwks.json")
	got, body := ask(internal + "/keys")
	if got.StatusCode != 200 || body != want || !strings.Contains(body, `"kty":"EC"`) {
		t.Errorf("%d, %q, want %q", got.StatusCode, body, want)
	}
	for _, name := range []string{"Etag", "Cache-Control", "Content-Type", "X-Content-Type-Options"} {
		if v := got.Header.Get(name); v == "" || v != public.Header.Get(name) {
			t.Errorf("%s = %q, at the public URL %q", name, v, public.Header.Get(name))
		}
	}

	away := strings.Replace(renamed(l.caddyfile("", "")+strings.Replace(site, "jwks", "jwks renamed", 1)),
		"store embedded "+l.dir+"/main.db", "store redis redis://127.0.0.1:"+freePort(t), 1)
	l.mustLoad(away)
	if got, body := ask(internal + "/"); got.StatusCode != 503 || got.Header.Get("Retry-After") == "" || strings.Contains(body, "keys\":") {
		t.Errorf("without a store: %d, %v, %q", got.StatusCode, got.Header, body)
	}
}
