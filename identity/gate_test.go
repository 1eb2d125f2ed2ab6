// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"math/big"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalgate/portalgate/identity"
)

const issuer = "https://portal.example.com"

// at is when the tests take place.
var at = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// fakeGate publishes a key set without a network and signs what it is told to,
// good or bad. It uses nothing of the code under test.
type fakeGate struct {
	t       testing.TB
	key     *ecdsa.PrivateKey
	keys    atomic.Pointer[string] // the answer's body; nil fails the fetch
	status  int
	fetches atomic.Int32
}

func newGate(t testing.TB) *fakeGate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	g := &fakeGate{t: t, key: key, status: http.StatusOK}
	g.publish(jwks(jwk("k1", &key.PublicKey)))
	return g
}

func (g *fakeGate) publish(set string) { g.keys.Store(&set) }

func (g *fakeGate) RoundTrip(r *http.Request) (*http.Response, error) {
	g.fetches.Add(1)
	if r.URL.String() != issuer+identity.KeysPath {
		g.t.Errorf("fetched %s", r.URL)
	}
	body := g.keys.Load()
	if body == nil {
		return nil, io.ErrUnexpectedEOF
	}
	return &http.Response{
		StatusCode: g.status,
		Header:     http.Header{"Location": {"https://elsewhere.example/keys"}},
		Body:       io.NopCloser(bytes.NewReader([]byte(*body))),
		Request:    r,
	}, nil
}

// verifier returns one that believes g, at the fixed time if not told otherwise.
func (g *fakeGate) verifier(change ...func(*identity.Options)) *identity.Verifier {
	o := identity.Options{
		Issuer: issuer, Audience: "portal",
		Client: &http.Client{Transport: g},
		Now:    func() time.Time { return at },
	}
	for _, c := range change {
		c(&o)
	}
	v, err := identity.New(o)
	if err != nil {
		g.t.Fatal(err)
	}
	return v
}

// sign is a compact JWS of two texts by the gate's key.
func (g *fakeGate) sign(header, payload string) string {
	input := b64(header) + "." + b64(payload)
	return input + "." + base64.RawURLEncoding.EncodeToString(raw(g.ecdsa(input)))
}

// ecdsa returns r and the lower s.
func (g *fakeGate) ecdsa(input string) (r, s *big.Int) {
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, g.key, sum[:])
	if err != nil {
		g.t.Fatal(err)
	}
	n := elliptic.P256().Params().N
	if high := new(big.Int).Sub(n, s); high.Cmp(s) < 0 {
		s = high
	}
	return r, s
}

func raw(r, s *big.Int) []byte {
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return sig
}

func (g *fakeGate) good() string { return g.sign(goodHeader, goodPayload()) }

const goodHeader = `{"alg":"ES256","kid":"k1","typ":"portalgate-identity+jwt"}`

func goodClaims() map[string]any {
	return map[string]any{
		"iss": issuer, "aud": "portal", "sub": "ada", "email": "ada@example.com", "name": "Ada Lovelace",
		"sid": "s1", "amr": []string{"mail"}, "auth_time": at.Unix() - 100,
		"iat": at.Unix(), "nbf": at.Unix(), "exp": at.Unix() + 60,
	}
}

func goodPayload() string { return with(nil) }

// with is the good payload with changes; a nil value takes the claim away, a
// json.RawMessage is written as it is.
func with(change map[string]any) string {
	c := goodClaims()
	maps.Copy(c, change)
	for name, v := range change {
		if v == nil {
			delete(c, name)
		}
	}
	b, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func jwk(kid string, k *ecdsa.PublicKey) string {
	point, err := k.Bytes()
	if err != nil {
		panic(err)
	}
	b, _ := json.Marshal(map[string]string{
		"kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256", "use": "sig",
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
	})
	return string(b)
}

func jwks(keys ...string) string {
	var b bytes.Buffer
	b.WriteString(`{"keys":[`)
	for i, k := range keys {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(k)
	}
	b.WriteString(`]}`)
	return b.String()
}

// code is the code of a refusal, "ok" for none and the text of another error.
func code(err error) string {
	switch e := err.(type) {
	case nil:
		return "ok"
	case *identity.Error:
		return e.Code
	default:
		return err.Error()
	}
}
