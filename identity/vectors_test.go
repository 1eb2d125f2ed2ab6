// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"flag"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/identity"
)

//go:generate go test -run ^TestVectorsFile$ -update

var update = flag.Bool("update", false, "write testdata/vectors.json")

const vectorsPath = "testdata/vectors.json"

// vectorFile is testdata/vectors.json.
type vectorFile struct {
	Issuer   string          `json:"issuer"`
	Audience string          `json:"audience"`
	Now      int64           `json:"now"`
	Leeway   int64           `json:"leeway"`
	JWKS     json.RawMessage `json:"jwks"`
	Vectors  []vector        `json:"vectors"`
}

type vector struct {
	Name   string `json:"name"`
	Token  string `json:"token"`
	Valid  bool   `json:"valid"`
	Reason string `json:"reason,omitempty"` // an Error's Code
}

// pen signs vectors. Its key is made from its name, and its signatures from
// what they sign, so that whoever writes the file writes the same.
type pen struct{ key *ecdsa.PrivateKey }

func newPen(name string) pen {
	sum := sha256.Sum256([]byte("portalgate test vectors, no secret: " + name))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), sum[:])
	if err != nil {
		panic(err)
	}
	return pen{key}
}

// signature is the DER of r and the lower s for an input.
func (p pen) signature(input string) (der []byte, r, s *big.Int) {
	sum := sha256.Sum256([]byte(input))
	der, err := p.key.Sign(nil, sum[:], crypto.SHA256) // without chance: RFC 6979
	if err != nil {
		panic(err)
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		panic(err)
	}
	n := elliptic.P256().Params().N
	if low := new(big.Int).Sub(n, sig.S); low.Cmp(sig.S) < 0 {
		sig.S = low
	}
	if der, err = asn1.Marshal(sig); err != nil {
		panic(err)
	}
	return der, sig.R, sig.S
}

func (p pen) sign(header, payload string) string {
	input := b64(header) + "." + b64(payload)
	_, r, s := p.signature(input)
	return input + "." + base64.RawURLEncoding.EncodeToString(raw(r, s))
}

func makeVectors() vectorFile {
	current, next, other := newPen("k1"), newPen("k2"), newPen("somebody else's")
	now := at.Unix()
	header := func(old, new string) string { return strings.Replace(goodHeader, old, new, 1) }
	headed := func(h string) string { return current.sign(h, goodPayload()) }
	said := func(name string, v any) string { return current.sign(goodHeader, with(map[string]any{name: v})) }
	times := func(iat, nbf, exp int64) string {
		return current.sign(goodHeader, with(map[string]any{"iat": now + iat, "nbf": now + nbf, "exp": now + exp}))
	}
	good := headed(goodHeader)
	input := good[:strings.LastIndex(good, ".")]
	signedBy := func(sig []byte) string { return input + "." + base64.RawURLEncoding.EncodeToString(sig) }
	der, _, _ := current.signature(input)
	spki, err := x509.MarshalPKIXPublicKey(&current.key.PublicKey)
	if err != nil {
		panic(err)
	}
	hmacBy := func(key []byte) string {
		input := b64(header("ES256", "HS256")) + "." + b64(goodPayload())
		m := hmac.New(sha256.New, key)
		m.Write([]byte(input))
		return input + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	}

	f := vectorFile{
		Issuer: issuer, Audience: "portal", Now: now, Leeway: int64(identity.Leeway.Seconds()),
		JWKS: json.RawMessage(jwks(jwk("k1", &current.key.PublicKey), jwk("k2", &next.key.PublicKey))),
	}
	add := func(reason, name, token string) {
		f.Vectors = append(f.Vectors, vector{name, token, reason == "", reason})
	}
	add("", "good", good)
	add("", "good, by the other key", next.sign(header("k1", "k2"), goodPayload()))
	add("", "good, expired for 29 s of the leeway", times(-89, -89, -29))
	add("", "good, from 30 s ahead", times(30, 30, 90))

	add("alg", "alg none, no signature", b64(header("ES256", "none"))+"."+b64(goodPayload())+".")
	add("alg", "alg nOnE, no signature", b64(header("ES256", "nOnE"))+"."+b64(goodPayload())+".")
	add("alg", "alg none, signature of ES256", headed(header("ES256", "none")))
	add("alg", "alg HS256, the public key's PEM for a secret", hmacBy(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})))
	add("alg", "alg HS256, the public key's DER for a secret", hmacBy(spki))
	add("alg", "alg RS256, signature of ES256", headed(header("ES256", "RS256")))
	add("alg", "alg missing", headed(header(`"alg":"ES256",`, "")))

	add("signature", "signed by another key", other.sign(goodHeader, goodPayload()))
	add("signature", "signed by the other key of the set", next.sign(goodHeader, goodPayload()))
	add("signature", "signature in DER", signedBy(der))
	add("signature", "signature of zeros", signedBy(make([]byte, 64)))
	add("signature", "signature missing", signedBy(nil))
	add("signature", "sub changed after signing", b64(goodHeader)+"."+b64(with(map[string]any{"sub": "eve"}))+good[strings.LastIndex(good, "."):])
	add("malformed", "two parts", input)

	add("kid", "kid unknown", headed(header("k1", "k9")))
	add("kid", "kid missing", headed(header(`"kid":"k1",`, "")))
	add("kid", "kid a path", headed(header("k1", "../../../../dev/null")))
	add("header", "jwk in the header, signed by it", other.sign(header("{", `{"jwk":`+jwk("k1", &other.key.PublicKey)+","), goodPayload()))
	add("header", "crit that nobody knows", headed(header("{", `{"crit":["https://portal.example.com/x"],"https://portal.example.com/x":1,`)))
	add("header", "crit of b64, and b64 false", headed(header("{", `{"crit":["b64"],"b64":false,`)))

	add("typ", "typ missing", headed(header(`,"typ":"`+identity.Type+`"`, "")))
	add("typ", "typ JWT", headed(header(identity.Type, "JWT")))
	add("typ", "typ of an access token", headed(header(identity.Type, "at+jwt")))

	add("issuer", "iss with a slash", said("iss", issuer+"/"))
	add("issuer", "iss of another gate", said("iss", "https://elsewhere.example"))
	add("issuer", "iss missing", said("iss", nil))

	add("audience", "aud missing", said("aud", nil))
	add("audience", "aud of another application", said("aud", "billing"))
	add("audience", "aud a list of ours", said("aud", []string{"portal"}))
	add("audience", "aud a list of ours and another", said("aud", []string{"billing", "portal"}))

	// RFC 7519 §4: a reader refuses a claim that is there twice, or takes the last.
	add("malformed", "aud twice, ours first", current.sign(goodHeader,
		strings.Replace(with(map[string]any{"aud": "billing"}), "{", `{"aud":"portal",`, 1)))

	add("expired", "exp past by 31 s", times(-91, -91, -31))
	add("expired", "exp past by a day", times(-86460, -86460, -86400))
	add("time", "exp missing", said("exp", nil))
	add("time", "exp a string", said("exp", "1893553505"))
	add("not_yet", "nbf in 31 s", times(0, 31, 60))
	add("not_yet", "iat in 31 s", times(31, 0, 91))
	add("time", "nbf missing", said("nbf", nil))
	add("time", "iat missing", said("iat", nil))

	add("subject", "sub empty", said("sub", ""))
	add("subject", "sub missing", said("sub", nil))
	add("malformed", "sub a number", said("sub", 17))
	add("anonymous", "anonymous", current.sign(goodHeader, with(map[string]any{
		"sub": nil, "email": nil, "name": nil, "sid": nil, "amr": nil, "auth_time": nil, "anonymous": true})))
	add("subject", "anonymous with a sub", said("anonymous", true))
	return f
}

// The published file is what is written here. Where they differ on purpose:
// go generate ./identity
func TestVectorsFile(t *testing.T) {
	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetEscapeHTML(false)
	e.SetIndent("", "\t")
	if err := e.Encode(makeVectors()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(vectorsPath, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(vectorsPath)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not what go generate writes", vectorsPath)
	}
}

func readVectors(t *testing.T) vectorFile {
	t.Helper()
	data, err := os.ReadFile(vectorsPath)
	if err != nil {
		t.Fatal(err)
	}
	var f vectorFile
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// Each assertion of the published file is refused for the reason given there,
// and for no other.
func TestVectors(t *testing.T) {
	f := readVectors(t)
	g := newGate(t)
	g.publish(string(f.JWKS))
	v := g.verifier()
	bad, names := 0, make(map[string]bool)
	for _, tc := range f.Vectors {
		want := "ok"
		if !tc.Valid {
			want = tc.Reason
			bad++
		}
		if _, err := v.Verify(t.Context(), tc.Token); code(err) != want {
			t.Errorf("%s: %s, want %s", tc.Name, code(err), want)
		}
		if names[tc.Name] || strings.ContainsAny(tc.Name, "\r\n") {
			t.Errorf("%q names two, or more than a line", tc.Name)
		}
		names[tc.Name] = true
	}
	if bad < 20 || bad == len(f.Vectors) {
		t.Errorf("%d of %d are bad", bad, len(f.Vectors))
	}
}
