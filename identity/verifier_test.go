// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/identity"
)

func TestVerify(t *testing.T) {
	g := newGate(t)
	c, err := g.verifier().Verify(t.Context(), g.good())
	if err != nil {
		t.Fatal(err)
	}
	want := identity.Claims{
		Subject: "ada", Email: "ada@example.com", Name: "Ada Lovelace", Session: "s1", AMR: []string{"mail"},
		AuthTime: at.Add(-100 * time.Second), IssuedAt: at, Expires: at.Add(time.Minute),
		Issuer: issuer, Audience: "portal",
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("claims = %+v, want %+v", c, want)
	}
}

func TestNew(t *testing.T) {
	for _, tc := range []struct {
		name string
		o    identity.Options
		ok   bool
	}{
		{"issuer alone", identity.Options{Issuer: issuer}, true},
		{"loopback", identity.Options{Issuer: "http://localhost:8080"}, true},
		{"no issuer", identity.Options{}, false},
		{"issuer with slash", identity.Options{Issuer: issuer + "/"}, false},
		{"issuer without scheme", identity.Options{Issuer: "portal.example.com"}, false},
		{"issuer with a user", identity.Options{Issuer: "https://ada@portal.example.com"}, false},
		{"issuer with a fragment", identity.Options{Issuer: issuer + "#gate"}, false},
		{"issuer without host", identity.Options{Issuer: "https:portal"}, false},
		{"keys from a file", identity.Options{Issuer: issuer, KeysURL: "file:///etc/passwd"}, false},
	} {
		if _, err := identity.New(tc.o); (err == nil) != tc.ok {
			t.Errorf("%s: New = %v", tc.name, err)
		}
	}
	g := newGate(t)
	v := g.verifier(func(o *identity.Options) { o.Audience = "" })
	if _, err := v.Verify(t.Context(), g.sign(goodHeader, with(map[string]any{"aud": issuer}))); err != nil {
		t.Errorf("default audience: %v", err)
	}
}

// The attacker is in the network of the upstream, knows the public key, and
// hopes that a library picks the algorithm or the key the token asks for.
func TestJ01_AlgorithmConfusion(t *testing.T) {
	g := newGate(t)
	signed := func(header string) string { return g.sign(header, goodPayload()) }
	headerAlg := func(alg string) string { return strings.Replace(goodHeader, "ES256", alg, 1) }
	hmacBy := func(key []byte) string {
		input := b64(headerAlg("HS256")) + "." + b64(goodPayload())
		m := hmac.New(sha256.New, key)
		m.Write([]byte(input))
		return input + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	}
	spki, err := x509.MarshalPKIXPublicKey(&g.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	input := b64(goodHeader) + "." + b64(goodPayload())
	withSig := func(sig []byte) string { return input + "." + base64.RawURLEncoding.EncodeToString(sig) }
	r, s := g.ecdsa(input)
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		t.Fatal(err)
	}
	n := elliptic.P256().Params().N
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	otherGate := &fakeGate{t: t, key: other}
	extra := func(member string) string {
		return signed(strings.Replace(goodHeader, "{", "{"+member+",", 1))
	}

	for _, tc := range []struct{ name, token, want string }{
		{"as the gate signs", withSig(raw(r, s)), "ok"},
		{"alg none, no signature", b64(headerAlg("none")) + "." + b64(goodPayload()) + ".", "alg"},
		{"alg None", signed(headerAlg("None")), "alg"},
		{"alg nOnE", signed(headerAlg("nOnE")), "alg"},
		{"alg es256", signed(headerAlg("es256")), "alg"},
		{"alg RS256", signed(headerAlg("RS256")), "alg"},
		{"alg EdDSA", signed(headerAlg("EdDSA")), "alg"},
		{"alg ES384", signed(headerAlg("ES384")), "alg"},
		{"alg missing", signed(`{"kid":"k1","typ":"portalgate-identity+jwt"}`), "alg"},
		{"alg in a list", signed(strings.Replace(goodHeader, `"ES256"`, `["ES256"]`, 1)), "alg"},
		{"HS256 by the PEM", hmacBy(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})), "alg"},
		{"HS256 by the JWK", hmacBy([]byte(jwk("k1", &g.key.PublicKey))), "alg"},
		{"ES256 header on an HMAC", withSig(make([]byte, 32)), "signature"},
		{"r = s = 0", withSig(make([]byte, 64)), "signature"},
		{"r = s = order", withSig(raw(n, n)), "signature"},
		{"DER", withSig(der), "signature"},
		{"high s", withSig(raw(r, new(big.Int).Sub(n, s))), "signature"},
		{"no signature", withSig(nil), "signature"},
		{"64 bytes and one", withSig(append(raw(r, s), 0)), "signature"},
		{"another key", otherGate.good(), "signature"},
		{"another payload", b64(goodHeader) + "." + b64(with(map[string]any{"sub": "eve"})) + "." + base64.RawURLEncoding.EncodeToString(raw(r, s)), "signature"},
		{"crit", extra(`"crit":["exp"]`), "header"},
		{"b64 false", extra(`"b64":false,"crit":["b64"]`), "header"},
		{"embedded jwk", otherGate.sign(strings.Replace(goodHeader, "{", `{"jwk":`+jwk("k1", &other.PublicKey)+",", 1), goodPayload()), "header"},
		{"jku", extra(`"jku":"https://evil.example/keys"`), "header"},
		{"x5u", extra(`"x5u":"https://evil.example/cert"`), "header"},
		{"x5c", extra(`"x5c":[]`), "header"},
		{"alg twice", signed(`{"alg":"none","alg":"ES256","kid":"k1","typ":"portalgate-identity+jwt"}`), "malformed"},
		{"alg twice, once escaped", signed(`{"\u0061lg":"none","alg":"ES256","kid":"k1","typ":"portalgate-identity+jwt"}`), "malformed"},
		{"ALG", signed(`{"ALG":"ES256","kid":"k1","typ":"portalgate-identity+jwt"}`), "header"},
		{"sub twice", g.sign(goodHeader, strings.Replace(goodPayload(), "{", `{"sub":"eve",`, 1)), "malformed"},
		{"a member twice, deep inside", g.sign(goodHeader, strings.Replace(goodPayload(), "{", `{"x":[{"a":1,"a":2}],`, 1)), "malformed"},
		{"invalid UTF-8", g.sign(goodHeader, strings.Replace(goodPayload(), "Ada", "\xff\xfe", 1)), "malformed"},
		{"two objects", g.sign(goodHeader, goodPayload()+"{}"), "malformed"},
		{"nested for ever", g.sign(goodHeader, strings.Repeat("[", 5000)), "malformed"},
		{"a list", g.sign(goodHeader, "[]"), "malformed"},
		{"JSON serialization", `{"payload":"` + b64(goodPayload()) + `"}`, "malformed"},
		{"two parts", input, "malformed"},
		{"four parts", g.good() + ".", "malformed"},
		{"five parts, a JWE", "a.b.c.d.e", "malformed"},
		{"padded", g.good() + "=", "malformed"},
		{"a line break", strings.Replace(g.good(), ".", "\n.", 1), "malformed"},
		{"a space", " " + g.good(), "malformed"},
		{"standard base64", strings.Replace(g.good(), ".", "+.", 1), "malformed"},
		{"unused bits set", otherLastBits(withSig(raw(r, s))), "malformed"},
		{"Bearer", "Bearer " + g.good(), "malformed"},
		{"1 MB", g.sign(goodHeader, with(map[string]any{"x": strings.Repeat("a", 1<<20)})), "malformed"},
		{"nothing", "", "no_assertion"},
	} {
		_, err := g.verifier().Verify(t.Context(), tc.token)
		if got := code(err); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

// otherLastBits is another spelling of the same signature for decoders that
// are not strict: 64 bytes leave four bits of the last character unused.
func otherLastBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[last|1])
}

// Every claim in every wrong form. The codes are stable: an application's
// monitoring may count them.
func TestJ03_Claims(t *testing.T) {
	g := newGate(t)
	now := at.Unix()
	num := func(s string) json.RawMessage { return json.RawMessage(s) }
	for _, tc := range []struct {
		name   string
		change map[string]any
		want   string
	}{
		{"aud missing", map[string]any{"aud": nil}, "audience"},
		{"aud of another upstream", map[string]any{"aud": "billing"}, "audience"},
		{"aud in other case", map[string]any{"aud": "Portal"}, "audience"},
		{"aud list of one", map[string]any{"aud": []string{"portal"}}, "audience"},
		{"aud list of two", map[string]any{"aud": []string{"portal", "billing"}}, "audience"},
		{"aud empty", map[string]any{"aud": ""}, "audience"},
		{"iss missing", map[string]any{"iss": nil}, "issuer"},
		{"iss with slash", map[string]any{"iss": issuer + "/"}, "issuer"},
		{"iss in other case", map[string]any{"iss": "https://Portal.example.com"}, "issuer"},
		{"iss by port", map[string]any{"iss": issuer + ":443"}, "issuer"},
		{"iss a list", map[string]any{"iss": []string{issuer}}, "issuer"},

		{"exp missing", map[string]any{"exp": nil}, "time"},
		{"exp null", map[string]any{"exp": num("null")}, "time"},
		{"exp a float", map[string]any{"exp": num("1893553505.5")}, "time"},
		{"exp an integer written as a float", map[string]any{"exp": num("1893553505.0")}, "time"},
		{"exp 1e400", map[string]any{"exp": num("1e400")}, "time"},
		{"exp 2e9", map[string]any{"exp": num("2e9")}, "time"},
		{"exp negative", map[string]any{"exp": -1}, "time"},
		{"exp zero", map[string]any{"exp": 0}, "time"},
		{"exp beyond 64 bits", map[string]any{"exp": num("99999999999999999999")}, "time"},
		{"exp a string", map[string]any{"exp": "1893553505"}, "time"},
		{"iat missing", map[string]any{"iat": nil}, "time"},
		{"iat a string", map[string]any{"iat": "1"}, "time"},
		{"nbf missing", map[string]any{"nbf": nil}, "time"},
		{"nbf a float", map[string]any{"nbf": num("1.5")}, "time"},

		{"good for 61 s", map[string]any{"exp": now + 61}, "lifetime"},
		{"good for a year", map[string]any{"exp": now + 31_536_000}, "lifetime"},
		{"good for no time", map[string]any{"exp": now}, "lifetime"},
		{"exp before iat", map[string]any{"exp": now - 1}, "lifetime"},

		{"expired 29 s ago", map[string]any{"iat": now - 89, "nbf": now - 89, "exp": now - 29}, "ok"},
		{"expired 30 s ago", map[string]any{"iat": now - 90, "nbf": now - 90, "exp": now - 30}, "expired"},
		{"expired long ago", map[string]any{"iat": now - 9000, "nbf": now - 9000, "exp": now - 8940}, "expired"},
		{"signed in 30 s", map[string]any{"iat": now + 30, "nbf": now + 30, "exp": now + 90}, "ok"},
		{"signed in 31 s", map[string]any{"iat": now + 31, "nbf": now, "exp": now + 91}, "not_yet"},
		{"good from 31 s on", map[string]any{"nbf": now + 31}, "not_yet"},

		{"sub empty", map[string]any{"sub": ""}, "subject"},
		{"sub missing", map[string]any{"sub": nil}, "subject"},
		{"sub only as SUB", map[string]any{"sub": nil, "SUB": "ada"}, "subject"},
		{"sub a number", map[string]any{"sub": 1}, "malformed"},
		{"sub null", map[string]any{"sub": num("null")}, "malformed"},
		{"email a list", map[string]any{"email": []string{"ada@example.com"}}, "malformed"},
		{"amr a string", map[string]any{"amr": "mail"}, "malformed"},
		{"amr of numbers", map[string]any{"amr": []int{1}}, "malformed"},
		{"auth_time a float", map[string]any{"auth_time": 1.5}, "malformed"},
		{"anonymous a string", map[string]any{"anonymous": "true"}, "malformed"},
		{"anonymous with sub", map[string]any{"anonymous": true}, "subject"},
		{"nothing but what is needed", map[string]any{"email": nil, "name": nil, "sid": nil, "amr": nil, "auth_time": nil}, "ok"},
		{"a claim we do not know", map[string]any{"zoneinfo": "Europe/Berlin"}, "ok"},
	} {
		_, err := g.verifier().Verify(t.Context(), g.sign(goodHeader, with(tc.change)))
		if got := code(err); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
	for name, header := range map[string]string{
		"missing":          `{"alg":"ES256","kid":"k1"}`,
		"JWT":              `{"alg":"ES256","kid":"k1","typ":"JWT"}`,
		"an access token":  `{"alg":"ES256","kid":"k1","typ":"at+jwt"}`,
		"with application": `{"alg":"ES256","kid":"k1","typ":"application/portalgate-identity+jwt"}`,
		"in other case":    `{"alg":"ES256","kid":"k1","typ":"Portalgate-Identity+JWT"}`,
	} {
		if _, err := g.verifier().Verify(t.Context(), g.sign(header, goodPayload())); code(err) != "typ" {
			t.Errorf("typ %s: %s", name, code(err))
		}
	}
}

// A captured assertion at another upstream, and at the same one later.
func TestJ06_ReplayElsewhereAndLater(t *testing.T) {
	g := newGate(t)
	token := g.good()
	elsewhere := g.verifier(func(o *identity.Options) { o.Audience = "billing" })
	if _, err := elsewhere.Verify(t.Context(), token); code(err) != "audience" {
		t.Errorf("elsewhere: %s", code(err))
	}
	for after, want := range map[time.Duration]string{89 * time.Second: "ok", 90 * time.Second: "expired", time.Hour: "expired"} {
		later := g.verifier(func(o *identity.Options) { o.Now = func() time.Time { return at.Add(after) } })
		if _, err := later.Verify(t.Context(), token); code(err) != want {
			t.Errorf("after %v: %s, want %s", after, code(err), want)
		}
	}
}

func TestVerifyAnonymous(t *testing.T) {
	g := newGate(t)
	nobody := map[string]any{"sub": nil, "email": nil, "name": nil, "sid": nil, "amr": nil, "auth_time": nil, "anonymous": true}
	token := g.sign(goodHeader, with(nobody))
	if _, err := g.verifier().Verify(t.Context(), token); code(err) != "anonymous" {
		t.Errorf("by default: %s", code(err))
	}
	allowing := g.verifier(func(o *identity.Options) { o.AllowAnonymous = true })
	if c, err := allowing.Verify(t.Context(), token); err != nil || !c.Anonymous || c.Subject != "" {
		t.Errorf("allowed: %+v, %v", c, err)
	}
	for _, claim := range []string{"sub", "email", "name", "sid"} {
		nobody[claim] = "ada"
		if _, err := allowing.Verify(t.Context(), g.sign(goodHeader, with(nobody))); code(err) != "subject" {
			t.Errorf("anonymous with %s: %s", claim, code(err))
		}
		nobody[claim] = nil
	}
}

// Whatever the bytes, an assertion that is believed names ada, for nothing else
// was ever signed; and it is the very string that was.
func FuzzVerify(f *testing.F) {
	g := newGate(f)
	v := g.verifier()
	good := g.good()
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(strings.Replace(good, ".", "..", 1))
	f.Add(b64(`{"alg":"none"}`) + "." + b64(goodPayload()) + ".")
	f.Add(b64(goodHeader) + "." + b64(`{"iss":"https://portal.example.com","aud":"portal","exp":1e400}`) + "." + b64(strings.Repeat("a", 64)))
	f.Add(".." + "\x00")
	f.Fuzz(func(t *testing.T, token string) {
		c, err := v.Verify(t.Context(), token)
		if err == nil && (token != good || c.Subject != "ada") {
			t.Errorf("believed %q", token)
		}
		if err != nil && code(err) == err.Error() {
			t.Errorf("error without a code: %v", err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	g := newGate(b)
	v, token := g.verifier(), g.good()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
