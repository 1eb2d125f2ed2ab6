// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package assertion

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/identity"
	"github.com/portalgate/portalgate/internal/store"
)

const issuer = "https://portal.example.com"

var ada = identity.Claims{
	Issuer: issuer, Audience: "portal", Subject: "ada", Email: "ada@example.com", Name: "Ada <Lovelace> \u00fc",
	Session: "s1", AMR: []string{"mail"}, AuthTime: at.Add(-time.Hour),
}

func open(t testing.TB, st store.Store) *Ring {
	t.Helper()
	r, err := Open(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// serving answers every request with what a Ring publishes.
type serving struct{ *Ring }

func (s serving) RoundTrip(req *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	s.ServeKeys(w, req)
	return w.Result(), nil
}

func verifier(t *testing.T, r *Ring, now time.Time) *identity.Verifier {
	v, err := identity.New(identity.Options{
		Issuer: issuer, Audience: "portal", AllowAnonymous: true,
		Client: &http.Client{Transport: serving{r}}, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What the gate writes, the verifier that upstreams import reads: every time,
// although half of all ECDSA signatures come out with the higher s.
func TestSignedIsVerified(t *testing.T) {
	r := open(t, newMemory())
	v := verifier(t, r, at)
	want := ada
	want.IssuedAt, want.Expires = at, at.Add(time.Minute)
	for range 40 {
		token, err := r.Sign(ada, at)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := v.Verify(t.Context(), token); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("Verify = %+v, %v", got, err)
		}
	}
	// Claims that name somebody are not written into an anonymous assertion.
	nobody := ada
	nobody.Subject, nobody.Anonymous = "", true
	token, err := r.Sign(nobody, at)
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.Verify(t.Context(), token)
	if err != nil || !got.Anonymous || got.Email != "" || got.Session != "" {
		t.Errorf("anonymous: %+v, %v", got, err)
	}
}

func TestSignRefuses(t *testing.T) {
	r := open(t, newMemory())
	for name, change := range map[string]func(*identity.Claims){
		"nobody":                 func(c *identity.Claims) { c.Subject = "" },
		"anonymous and somebody": func(c *identity.Claims) { c.Anonymous = true },
		"no issuer":              func(c *identity.Claims) { c.Issuer = "" },
		"no audience":            func(c *identity.Claims) { c.Audience = "" },
	} {
		c := ada
		change(&c)
		if token, err := r.Sign(c, at); err == nil || token != "" {
			t.Errorf("%s: signed", name)
		}
		if token, err := r.For(c, at); err == nil || token != "" {
			t.Errorf("%s: signed by For", name)
		}
	}
	if n := len(r.cache.young); n != 0 {
		t.Errorf("%d failures kept", n)
	}
}

// Several gates start at once on an empty store: one set of keys, and each
// verifies what the other signed.
func TestGatesAgree(t *testing.T) {
	m := newMemory()
	var other *Ring
	m.between = func() { other = open(t, m) }
	r := open(t, m)
	if string(r.JWKS()) != string(other.JWKS()) || m.writes != 1 {
		t.Errorf("two gates, %d writes, different keys", m.writes)
	}
}

// A verifier that knows the keys of yesterday verifies what is signed right
// after a rotation, and one of today what a gate that has not noticed signs.
func TestRotationFailsNobody(t *testing.T) {
	m := newMemory()
	r, slow := open(t, m), open(t, m)
	before := verifier(t, slow, at.Add(rotateEvery))
	if _, err := before.Verify(t.Context(), must(t)(slow.Sign(ada, at.Add(rotateEvery)))); err != nil {
		t.Fatal(err)
	}
	m.now = at.Add(rotateEvery)
	old := string(r.JWKS())
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if string(r.JWKS()) == old {
		t.Fatal("did not rotate")
	}
	if _, err := before.Verify(t.Context(), must(t)(r.Sign(ada, m.now))); err != nil {
		t.Errorf("new signature, old keys: %v", err)
	}
	if _, err := verifier(t, r, m.now).Verify(t.Context(), must(t)(slow.Sign(ada, m.now))); err != nil {
		t.Errorf("old signature, new keys: %v", err)
	}
}

func must(t *testing.T) func(string, error) string {
	return func(s string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func TestStoreDown(t *testing.T) {
	m := newMemory()
	m.down = true
	if _, err := Open(t.Context(), m); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("Open = %v, want ErrUnknown", err)
	}
	m.down = false
	r := open(t, m)
	m.down = true
	if err := r.Refresh(t.Context()); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("Refresh = %v, want ErrUnknown", err)
	}
	if _, err := r.Sign(ada, at); err != nil {
		t.Errorf("after a failed refresh: %v", err)
	}
}

// One signature per session, audience and 20 s, and never another session's.
func TestForSignsOnce(t *testing.T) {
	m := newMemory()
	r := open(t, m)
	first := must(t)(r.For(ada, at))
	for _, tc := range []struct {
		name   string
		change func(*identity.Claims)
		after  time.Duration
		same   bool
	}{
		{"again", func(*identity.Claims) {}, 0, true},
		{"19.9 s later", func(*identity.Claims) {}, 19900 * time.Millisecond, true},
		{"20 s later", func(*identity.Claims) {}, 20 * time.Second, false},
		{"clock put back", func(*identity.Claims) {}, -time.Second, false},
		{"other address", func(c *identity.Claims) { c.Email = "ada@new.example" }, 0, false},
		{"other name", func(c *identity.Claims) { c.Name = "Ada King" }, 0, false},
		{"other session", func(c *identity.Claims) { c.Session = "s2" }, 0, false},
		{"other audience", func(c *identity.Claims) { c.Audience = "billing" }, 0, false},
		{"other client", func(c *identity.Claims) { c.Subject = "grace" }, 0, false},
		{"other issuer", func(c *identity.Claims) { c.Issuer = "http://localhost:8080" }, 0, false},
	} {
		r := open(t, m)
		first := must(t)(r.For(ada, at))
		c := ada
		tc.change(&c)
		if got := must(t)(r.For(c, at.Add(tc.after))); (got == first) != tc.same {
			t.Errorf("%s: same token %v, want %v", tc.name, got == first, tc.same)
		}
	}
	m.now = at.Add(rotateEvery)
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if must(t)(r.For(ada, at)) == first {
		t.Error("token of the old key after a rotation")
	}
	// Over generations: a token signed late in one is still there in the next.
	third, fourth := ada, ada
	third.Session, fourth.Session = "s3", "s4"
	late := must(t)(r.For(third, at.Add(15*time.Second)))
	must(t)(r.For(fourth, at.Add(25*time.Second)))
	if must(t)(r.For(third, at.Add(30*time.Second))) != late {
		t.Error("forgotten before its 20 s")
	}
}

func TestForTogether(t *testing.T) {
	r := open(t, newMemory())
	tokens := make([]string, 64)
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() { tokens[i], _ = r.For(ada, at) })
	}
	wg.Wait()
	slices.Sort(tokens)
	if tokens = slices.Compact(tokens); len(tokens) != 1 || tokens[0] == "" || r.Signed() != 1 {
		t.Errorf("%d different tokens for one session, %d signatures", len(tokens), r.Signed())
	}
}

// Sessions without end must not be memory without end.
func TestCacheIsBounded(t *testing.T) {
	var c cache
	for i := range 3 * maxGeneration {
		c.entry(cacheKey{session: fmt.Sprint(i)}, at)
		if n := len(c.young) + len(c.old); n > 2*maxGeneration {
			t.Fatalf("%d entries", n)
		}
	}
	c.entry(cacheKey{}, at.Add(reuse))
	c.entry(cacheKey{}, at.Add(2*reuse))
	if n := len(c.young) + len(c.old); n > 2 {
		t.Errorf("%d entries after two generations", n)
	}
}

func TestForHitCostsNothing(t *testing.T) {
	r := open(t, newMemory())
	if n := testing.AllocsPerRun(100, func() { r.For(ada, at) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The key set is the one thing here that anybody may fetch: only public keys,
// only to read, the same for every way of asking.
func TestJ08_PublishedKeys(t *testing.T) {
	m := newMemory()
	r := open(t, m)
	m.now = at.Add(rotateEvery)
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask := func(method, target string, h http.Header) *http.Response {
		req := httptest.NewRequest(method, target, nil)
		if h != nil {
			req.Header = h
		}
		w := httptest.NewRecorder()
		r.ServeKeys(w, req)
		return w.Result()
	}
	url := issuer + identity.KeysPath
	etag := ask("GET", url, nil).Header.Get("Etag")
	if len(etag) < 10 {
		t.Fatalf("ETag %q", etag)
	}
	for _, tc := range []struct {
		name, method, url string
		h                 http.Header
		status            int
		body              bool
	}{
		{"GET", "GET", url, nil, 200, true},
		{"query", "GET", url + "?x=1&callback=evil", nil, 200, true},
		{"other host, plain", "GET", "http://internal:9000/keys", nil, 200, true},
		{"Accept", "GET", url, http.Header{"Accept": {"text/html"}}, 200, true},
		{"with a cookie", "GET", url, http.Header{"Cookie": {"portalgate-main=x"}}, 200, true},
		{"HEAD", "HEAD", url, nil, 200, false},
		{"known", "GET", url, http.Header{"If-None-Match": {etag}}, 304, false},
		{"known, weak, in a list", "GET", url, http.Header{"If-None-Match": {`"x", W/` + etag}}, 304, false},
		{"outdated", "GET", url, http.Header{"If-None-Match": {`"x"`}}, 200, true},
		{"POST", "POST", url, nil, 405, false},
		{"OPTIONS", "OPTIONS", url, nil, 405, false},
		{"DELETE", "DELETE", url, nil, 405, false},
	} {
		resp := ask(tc.method, tc.url, tc.h)
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != tc.status || (len(body) > 0) != tc.body {
			t.Errorf("%s: status %d, %d bytes", tc.name, resp.StatusCode, len(body))
		}
		if resp.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: sets a cookie", tc.name)
		}
		if tc.status == 405 {
			continue
		}
		if resp.Header.Get("Cache-Control") != "public, max-age=300" || resp.Header.Get("Etag") != etag {
			t.Errorf("%s: header %v", tc.name, resp.Header)
		}
		if tc.body && (resp.Header.Get("Content-Type") != "application/jwk-set+json" || string(body) != string(r.JWKS())) {
			t.Errorf("%s: %s", tc.name, resp.Header.Get("Content-Type"))
		}
	}

	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(r.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 3 {
		t.Errorf("%d keys, want next, current and previous", len(set.Keys))
	}
	for _, k := range set.Keys {
		for member := range k {
			if !strings.Contains(" kty crv x y kid use alg ", " "+member+" ") {
				t.Errorf("published a key's %q", member)
			}
		}
	}
}

func TestAttach(t *testing.T) {
	nobody := identity.Claims{Anonymous: true}
	for _, tc := range []struct {
		name  string
		c     identity.Claims
		plain bool
		want  http.Header
	}{
		{"all", identity.Claims{Subject: "ada", Email: "ada@example.com", Name: "Ada Lovelace"}, true,
			http.Header{"Portalgate-Assertion": {"t"}, "Remote-User": {"ada"}, "Remote-Email": {"ada@example.com"}, "Remote-Name": {"Ada Lovelace"}}},
		{"headers off", identity.Claims{Subject: "ada", Email: "ada@example.com"}, false, http.Header{"Portalgate-Assertion": {"t"}}},
		{"anonymous", nobody, true, http.Header{"Portalgate-Assertion": {"t"}}},
		{"no name on file", identity.Claims{Subject: "ada"}, true, http.Header{"Portalgate-Assertion": {"t"}, "Remote-User": {"ada"}}},
		{"not ASCII", identity.Claims{Subject: "x", Name: "Zo\u00eb"}, true,
			http.Header{"Portalgate-Assertion": {"t"}, "Remote-User": {"x"}, "Remote-Name": {"=?utf-8?q?Zo=C3=AB?="}}},
		// A name on file with a line break must not become a header of its own.
		{"line break", identity.Claims{Subject: "x", Name: "a\r\nRemote-User: eve"}, true,
			http.Header{"Portalgate-Assertion": {"t"}, "Remote-User": {"x"}, "Remote-Name": {"=?utf-8?q?a=0D=0ARemote-User:_eve?="}}},
	} {
		h := http.Header{}
		Attach(h, "t", tc.c, tc.plain)
		if !reflect.DeepEqual(h, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, h, tc.want)
		}
	}
}

func BenchmarkFor(b *testing.B) {
	r := open(b, newMemory())
	b.Run("hit", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.For(ada, at)
		}
	})
	b.Run("miss", func(b *testing.B) {
		b.ReportAllocs()
		now := at
		for b.Loop() {
			now = now.Add(reuse)
			r.For(ada, now)
		}
	})
}
