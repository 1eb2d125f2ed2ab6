// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
)

// A verifier that forgets one thing must fail: were there no vector for it, the
// file would be a false comfort. Here are one that forgets nothing, and those
// that are made of it by forgetting, or by believing what a header says.
func TestVectorsFindWrongVerifiers(t *testing.T) {
	f := readVectors(t)
	fails := func(v wrong) (accepted, refused []string) {
		v.vectorFile, v.keys = f, publicKeys(t, f.JWKS)
		for _, tc := range f.Vectors {
			switch ok := v.accepts(tc.Token); {
			case ok && !tc.Valid:
				accepted = append(accepted, tc.Name)
			case !ok && tc.Valid:
				refused = append(refused, tc.Name)
			}
		}
		return accepted, refused
	}
	if accepted, refused := fails(wrong{}); len(accepted)+len(refused) > 0 {
		t.Fatalf("one that forgets nothing accepts %q and refuses %q", accepted, refused)
	}
	var forgettable []string
	for name := range (wrong{}).checks(parsed{}) {
		forgettable = append(forgettable, name)
	}
	slices.Sort(forgettable)
	for _, name := range append(forgettable, "signature") {
		accepted, refused := fails(wrong{forgets: name})
		if len(accepted) == 0 || len(refused) > 0 {
			t.Errorf("one that forgets %s accepts %q and refuses %q", name, accepted, refused)
		}
		t.Logf("forgets %s: accepts %q", name, accepted)
	}
	for name, v := range map[string]wrong{
		"takes none for an algorithm":             {algs: "none"},
		"takes None in any case":                  {algs: "nOnE"},
		"takes HS256, with a PEM for the secret":  {algs: "HS256 PEM"},
		"takes HS256, with DER for the secret":    {algs: "HS256 DER"},
		"calls ES256 whatever it is called":       {algs: "any name"},
		"believes a key in the header":            {keyFrom: "header"},
		"tries all keys":                          {keyFrom: "all"},
		"takes the first key without a name":      {keyFrom: "first if unnamed"},
		"takes the first key for an unknown name": {keyFrom: "first if unknown"},
		"reads DER signatures as well":            {der: true},
		"takes zeros for a signature":             {zeros: true},
		"takes lists for aud":                     {audList: true},
		"takes the first of two claims":           {firstOfTwo: true},
		"ignores b64 and takes it for known":      {b64Known: true},
		"reads times from strings":                {stringTimes: true},
	} {
		if accepted, refused := fails(v); len(accepted) == 0 || len(refused) > 0 {
			t.Errorf("one that %s accepts %q and refuses %q", name, accepted, refused)
		}
	}
	for name, v := range map[string]wrong{
		"knows no leeway":           {noLeeway: true},
		"knows the first key alone": {keyFrom: "first only"},
	} {
		if accepted, refused := fails(v); len(refused) == 0 || len(accepted) > 0 {
			t.Errorf("one that %s accepts %q and refuses %q", name, accepted, refused)
		}
	}
}

// wrong is a verifier as somebody in a hurry writes it. The zero value is right.
type wrong struct {
	vectorFile
	keys []namedKey

	forgets                        string
	algs, keyFrom                  string
	der, zeros                     bool
	firstOfTwo, b64Known           bool
	audList, stringTimes, noLeeway bool
}

type namedKey struct {
	name string
	key  *ecdsa.PublicKey
}

type parsed struct {
	input           string
	header, payload map[string]any
	signature       []byte
}

func (v wrong) accepts(token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	p := parsed{input: parts[0] + "." + parts[1]}
	for i, to := range []any{&p.header, &p.payload} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(b, to) != nil {
			return false
		}
	}
	if v.firstOfTwo {
		b, _ := base64.RawURLEncoding.DecodeString(parts[1]) // decoded before
		p.payload = firstMembers(b)
	}
	var err error
	if p.signature, err = base64.RawURLEncoding.DecodeString(parts[2]); err != nil {
		return false
	}
	for name, ok := range v.checks(p) {
		if !ok && name != v.forgets {
			return false
		}
	}
	return v.forgets == "signature" || v.signed(p)
}

// firstMembers reads an object in which the first member of a name counts, as
// encoding/json's last does.
func firstMembers(object []byte) map[string]any {
	d := json.NewDecoder(bytes.NewReader(object))
	d.Token() // the brace
	m := make(map[string]any)
	for d.More() {
		name, _ := d.Token()
		var value any
		if d.Decode(&value) != nil {
			break
		}
		if _, there := m[name.(string)]; !there {
			m[name.(string)] = value
		}
	}
	return m
}

// checks is everything but the signature, by the name of what is looked at.
func (v wrong) checks(p parsed) map[string]bool {
	seconds := func(name string) (float64, bool) {
		n, ok := p.payload[name].(float64)
		if s, isString := p.payload[name].(string); isString && v.stringTimes {
			ok = json.Unmarshal([]byte(s), &n) == nil
		}
		return n, ok
	}
	// A time that is forgotten may be anything, or not there.
	exp, okExp := seconds("exp")
	nbf, okNbf := seconds("nbf")
	iat, okIat := seconds("iat")
	now, leeway := float64(v.Now), float64(v.Leeway)
	if v.noLeeway {
		leeway = 0
	}
	aud := p.payload["aud"]
	if list, ok := aud.([]any); ok && v.audList && slices.Contains(list, any(v.Audience)) {
		aud = v.Audience
	}
	sub, _ := p.payload["sub"].(string)
	crit, _ := p.header["crit"].([]any)
	noCrit := p.header["crit"] == nil || v.b64Known && slices.Equal(crit, []any{"b64"})
	_, anonymous := p.payload["anonymous"]
	return map[string]bool{
		"crit":      noCrit,
		"typ":       p.header["typ"] == "portalgate-identity+jwt",
		"iss":       p.payload["iss"] == v.Issuer,
		"aud":       aud == v.Audience,
		"exp":       okExp && now-leeway < exp,
		"nbf":       okNbf && nbf <= now+leeway,
		"iat":       okIat && iat <= now+leeway,
		"sub":       sub != "" || anonymous,
		"anonymous": !anonymous,
	}
}

func (v wrong) signed(p parsed) bool {
	alg, _ := p.header["alg"].(string)
	switch {
	case alg == "ES256" || v.algs == "any name":
	case v.algs == "none" && alg == "none", v.algs == "nOnE" && strings.EqualFold(alg, "none"):
		return true
	case alg == "HS256" && strings.HasPrefix(v.algs, "HS256"):
		secret, err := x509.MarshalPKIXPublicKey(v.keys[0].key)
		if err != nil {
			return false
		}
		if v.algs == "HS256 PEM" {
			secret = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: secret})
		}
		m := hmac.New(sha256.New, secret)
		m.Write([]byte(p.input))
		return hmac.Equal(m.Sum(nil), p.signature)
	default:
		return false
	}
	sum := sha256.Sum256([]byte(p.input))
	for _, key := range v.choose(p.header) {
		switch {
		case len(p.signature) == 64 && ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(p.signature[:32]), new(big.Int).SetBytes(p.signature[32:])),
			v.der && ecdsa.VerifyASN1(key, sum[:], p.signature),
			v.zeros && !slices.ContainsFunc(p.signature, func(b byte) bool { return b != 0 }) && len(p.signature) == 64:
			return true
		}
	}
	return false
}

// choose returns the keys to try.
func (v wrong) choose(header map[string]any) []*ecdsa.PublicKey {
	kid, named := header["kid"].(string)
	if j, ok := header["jwk"].(map[string]any); ok && v.keyFrom == "header" {
		return []*ecdsa.PublicKey{pointOf(j)}
	}
	var all []*ecdsa.PublicKey
	for i, k := range v.keys {
		if k.name == kid && (i == 0 || v.keyFrom != "first only") {
			all = []*ecdsa.PublicKey{k.key}
			break
		}
		if v.keyFrom == "all" {
			all = append(all, k.key)
		}
	}
	if len(all) == 0 && (v.keyFrom == "first if unnamed" && !named || v.keyFrom == "first if unknown" && named) {
		all = append(all, v.keys[0].key)
	}
	return all
}

func publicKeys(t *testing.T, set json.RawMessage) []namedKey {
	t.Helper()
	var doc struct{ Keys []map[string]any }
	if err := json.Unmarshal(set, &doc); err != nil {
		t.Fatal(err)
	}
	var keys []namedKey
	for _, k := range doc.Keys {
		name, _ := k["kid"].(string)
		keys = append(keys, namedKey{name, pointOf(k)})
	}
	return keys
}

func pointOf(jwk map[string]any) *ecdsa.PublicKey {
	point := []byte{4}
	for _, name := range []string{"x", "y"} {
		s, _ := jwk[name].(string)
		b, _ := base64.RawURLEncoding.DecodeString(s) // a wrong one is no point
		point = append(point, b...)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		panic(err)
	}
	return key
}
