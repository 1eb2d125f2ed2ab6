// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portalgate/portalgate/identity"
)

func headerKid(kid string) string { return strings.Replace(goodHeader, "k1", kid, 1) }

func realClock(o *identity.Options) { o.Now = time.Now }

// now is the good claims at the bubble's time.
func (g *fakeGate) now(kid string) string {
	t := time.Now().Unix()
	return g.sign(headerKid(kid), with(map[string]any{"iat": t, "nbf": t, "exp": t + 60}))
}

// A kid is a name to look up and nothing else: not a path, not a query, not
// the reason for a request to the gate each time.
func TestJ02_KeyNames(t *testing.T) {
	g := newGate(t)
	v := g.verifier()
	for _, tc := range []struct{ name, header, want string }{
		{"path", headerKid("../../dev/null"), "kid"},
		{"query", headerKid("' OR 1=1 --"), "kid"},
		{"URL", headerKid("https://evil.example/k1"), "kid"},
		{"NUL", headerKid(`k1\u0000`), "kid"},
		{"other case", headerKid("K1"), "kid"},
		{"blank after", headerKid("k1 "), "kid"},
		{"empty", headerKid(""), "kid"},
		{"a number", strings.Replace(goodHeader, `"k1"`, "1", 1), "kid"},
		{"missing", `{"alg":"ES256","typ":"portalgate-identity+jwt"}`, "kid"},
		{"1 MB", headerKid(strings.Repeat("k", 1<<20)), "malformed"},
	} {
		if _, err := v.Verify(t.Context(), g.sign(tc.header, goodPayload())); code(err) != tc.want {
			t.Errorf("kid %s: %s, want %s", tc.name, code(err), tc.want)
		}
	}
	if n := g.fetches.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

// 10 000 tokens a second that name keys nobody has must not become requests
// to the gate: one in 30 s at most.
func TestJ02_UnknownKeysDoNotFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		v := g.verifier(realClock)
		signature := strings.Split(g.good(), ".")[2]
		for i := range 10_000 {
			token := b64(headerKid(fmt.Sprint("x", i))) + "." + b64(goodPayload()) + "." + signature
			if _, err := v.Verify(t.Context(), token); code(err) != "kid" {
				t.Fatal(code(err))
			}
			time.Sleep(6 * time.Millisecond) // of the bubble's time: 60 s in all
		}
		if n := g.fetches.Load(); n > 2 {
			t.Errorf("%d fetches in 60 s, want at most 2", n)
		}
	})
}

// A key set nobody sound would publish is refused whole, and nothing can be
// told from it.
func TestJ02_BadKeySets(t *testing.T) {
	g := newGate(t)
	key := jwk("k1", &g.key.PublicKey)
	change := func(old, new string) string { return strings.Replace(key, old, new, 1) }
	for name, set := range map[string]string{
		"same name twice":    jwks(key, key),
		"private part":       jwks(change("{", `{"d":"AAAA",`)),
		"private part later": jwks(key, strings.Replace(change("k1", "k2"), "{", `{"d":"AAAA",`, 1)),
		"symmetric part":     jwks(change("{", `{"k":"AAAA",`)),
		"P-384":              jwks(change("P-256", "P-384")),
		"other curve too":    jwks(key, `{"kty":"EC","crv":"P-384","kid":"k2","x":"AA","y":"AA"}`),
		"RSA too":            jwks(key, `{"kty":"RSA","kid":"k2","n":"AQAB","e":"AQAB"}`),
		"oct":                jwks(`{"kty":"oct","kid":"k1","k":"AAAA"}`),
		"for encryption":     jwks(change(`"sig"`, `"enc"`)),
		"for ES384":          jwks(change("ES256", "ES384")),
		"no name":            jwks(change("k1", "")),
		"not on the curve":   jwks(`{"kty":"EC","crv":"P-256","kid":"k1","x":"` + b64(strings.Repeat("a", 32)) + `","y":"` + b64(strings.Repeat("b", 32)) + `"}`),
		"kid member twice":   jwks(change("{", `{"kid":"k2",`)),
		"keys member twice":  `{"keys":[],"keys":[` + key + `]}`,
		"none":               jwks(),
		"not a set":          key,
		"not JSON":           "<html>",
		"nested too deep":    strings.Replace(jwks(key), "{", `{"x":`+strings.Repeat("[", 9)+strings.Repeat("]", 9)+",", 1),
		"too long":           jwks(key) + strings.Repeat(" ", 1<<20),
	} {
		g.publish(set)
		if _, err := g.verifier().Verify(t.Context(), g.good()); code(err) != "keys" {
			t.Errorf("%s: %s, want keys", name, code(err))
		}
	}
}

// Whoever can make the gate's address answer with a redirect does not get to
// choose the keys; nor does an error page.
func TestKeysOnlyFromTheGate(t *testing.T) {
	for _, status := range []int{301, 302, 307, 404, 500, 206} {
		g := newGate(t)
		g.status = status
		if _, err := g.verifier().Verify(t.Context(), g.good()); code(err) != "keys" {
			t.Errorf("status %d: %s, want keys", status, code(err))
		}
		if n := g.fetches.Load(); n != 1 {
			t.Errorf("status %d: %d requests, want 1", status, n)
		}
	}
}

// The gate rotates, then goes away for a day, then says what is no key set, then
// comes back having taken the old key back: nobody is sent away who should not be.
func TestKeysFollowTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		v := g.verifier(realClock)
		check := func(what, kid, want string) {
			t.Helper()
			if _, err := v.Verify(t.Context(), g.now(kid)); code(err) != want {
				t.Errorf("%s: %s, want %s", what, code(err), want)
			}
			synctest.Wait() // for a fetch in the background
		}
		one, two := jwk("k1", &g.key.PublicKey), jwk("k2", &g.key.PublicKey)
		check("first", "k1", "ok")
		g.publish(jwks(one, two))
		check("a new key, too soon to ask", "k2", "kid")
		time.Sleep(31 * time.Second)
		check("a new key", "k2", "ok")
		g.keys.Store(nil)
		time.Sleep(24 * time.Hour)
		check("gate away", "k1", "ok")
		check("gate away, key unknown", "k3", "kid")
		for _, set := range []string{"<html>", jwks(), jwks(one, one)} {
			g.publish(set)
			time.Sleep(31 * time.Second)
			check("no key set, the request that fetches it", "k1", "ok")
			check("no key set", "k1", "ok")
		}
		g.publish(jwks(two))
		time.Sleep(31 * time.Second)
		check("gate back, the request that notices", "k1", "ok")
		check("key taken back", "k1", "kid")
		check("key that stayed", "k2", "ok")
	})
}

// Whoever has got hold of a key that the gate took back comes where nobody else
// does: no request with a new key makes the verifier fetch the set, and the one
// it has is old. That request must not be the one that only notices. A gate that
// is away is waited for once, and not at all where requests keep coming.
func TestKeyTakenBackWhileQuiet(t *testing.T) {
	for _, quiet := range []time.Duration{10*time.Minute + time.Second, 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			g := newGate(t)
			v := g.verifier(realClock)
			check := func(what, want string) {
				t.Helper()
				if _, err := v.Verify(t.Context(), g.now("k1")); code(err) != want {
					t.Errorf("%s: %s, want %s", what, code(err), want)
				}
				synctest.Wait()
			}
			check("first", "ok")
			time.Sleep(quiet)
			g.publish(jwks(jwk("k2", &g.key.PublicKey)))
			check(fmt.Sprint("taken back, ", quiet, " later"), "kid")
		})
	}
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		hang := &sometimes{g: g}
		v := g.verifier(realClock, func(o *identity.Options) { o.Client = &http.Client{Transport: hang} })
		took := func() time.Duration {
			t.Helper()
			start := time.Now()
			if _, err := v.Verify(t.Context(), g.now("k1")); err != nil {
				t.Errorf("gate away: %v", err)
			}
			return time.Since(start)
		}
		took()
		hang.away.Store(true)
		time.Sleep(time.Hour)
		if d := took(); d != 5*time.Second {
			t.Errorf("waited %v for a gate that is away, want 5 s", d)
		}
		for range 100 {
			if d := took(); d != 0 {
				t.Errorf("waited %v for a gate that is known to be away", d)
			}
			time.Sleep(7 * time.Second)
		}
		hang.away.Store(false)
		time.Sleep(time.Minute)
		took()
		for i := range 100 {
			hang.away.Store(i%2 == 0) // never twice in a row
			time.Sleep(6 * time.Minute)
			if d := took(); d != 0 {
				t.Errorf("waited %v although requests keep coming", d)
			}
			synctest.Wait()
			time.Sleep(6 * time.Second) // for the fetch to give up
		}
	})
}

// sometimes is a gate that does not answer while it is away.
type sometimes struct {
	g    *fakeGate
	away atomic.Bool
}

func (s *sometimes) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.away.Load() {
		return hanging{}.RoundTrip(r)
	}
	return s.g.RoundTrip(r)
}

// Until there are keys every answer is "unknown", one fetch serves all who
// wait, and the gate's return is noticed within a second or so.
func TestKeysWhileTheGateIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		set := g.keys.Swap(nil)
		v := g.verifier(realClock)
		got := make(chan string)
		for range 50 {
			go func() {
				_, err := v.Verify(t.Context(), g.now("k1"))
				got <- code(err)
			}()
		}
		for range 50 {
			if c := <-got; c != "keys" {
				t.Errorf("%s, want keys", c)
			}
		}
		if n := g.fetches.Load(); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
		g.keys.Store(set)
		time.Sleep(1100 * time.Millisecond)
		if _, err := v.Verify(t.Context(), g.now("k1")); err != nil {
			t.Errorf("gate back: %v", err)
		}
	})
}

// hanging never answers; a fetch ends with its context only.
type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestKeysFetchIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		v := g.verifier(realClock, func(o *identity.Options) { o.Client = &http.Client{Transport: hanging{}} })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := v.Verify(ctx, g.now("k1")); err != context.DeadlineExceeded || time.Since(start) != time.Second {
			t.Errorf("impatient caller: %v after %v", err, time.Since(start))
		}
		if _, err := v.Verify(t.Context(), g.now("k1")); code(err) != "keys" || time.Since(start) != 5*time.Second {
			t.Errorf("patient caller: %v after %v", err, time.Since(start))
		}
	})
}
