// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// maxToken bounds an assertion. A real one has about 700 bytes.
const maxToken = 8 << 10

// Options says whose assertions a [Verifier] believes.
type Options struct {
	// Issuer is the gate's public URL, as its operator wrote it:
	// "https://portal.example.com", without a slash at the end. Required.
	Issuer string
	// Audience is what the gate's "audience" says for this application.
	// Default: Issuer, as it is for the gate.
	Audience string
	// KeysURL is where the gate's keys are. Default: Issuer + [KeysPath].
	KeysURL string
	// Client fetches the keys. It is copied; redirects are never followed and
	// cookies never kept. Default: a plain client.
	Client *http.Client
	// AllowAnonymous also accepts requests on the gate's public paths by
	// somebody who has not signed in. The handler must then look at
	// [Claims].Anonymous.
	AllowAnonymous bool
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Verifier checks assertions. It may be used concurrently. Its keys are
// fetched when the first assertion arrives.
type Verifier struct {
	issuer, audience string
	allowAnonymous   bool
	now              func() time.Time
	keys             keys
}

// New returns a Verifier. It does no I/O: a gate that is down does not keep an
// application from starting.
func New(o Options) (*Verifier, error) {
	if err := absolute(o.Issuer); err != nil {
		return nil, fmt.Errorf("identity: issuer: %w", err)
	}
	if strings.HasSuffix(o.Issuer, "/") {
		return nil, errors.New("identity: issuer ends in a slash; write the gate's public URL without it")
	}
	if o.Audience == "" {
		o.Audience = o.Issuer
	}
	if o.KeysURL == "" {
		o.KeysURL = o.Issuer + KeysPath
	}
	if err := absolute(o.KeysURL); err != nil {
		return nil, fmt.Errorf("identity: keys URL: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	v := &Verifier{issuer: o.Issuer, audience: o.Audience, allowAnonymous: o.AllowAnonymous, now: o.Now}
	v.keys.open(o.KeysURL, o.Client, o.Now)
	return v, nil
}

// absolute says what is wrong with an http(s) URL.
func absolute(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return errors.New("not a URL")
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return errors.New("not an http or https URL")
	}
	return nil
}

// Verify checks an assertion and returns what it says. The error is an
// [*Error], or that of ctx if it ended while keys were fetched.
func (v *Verifier) Verify(ctx context.Context, token string) (Claims, error) {
	if token == "" {
		return Claims{}, refuse("no_assertion")
	}
	if len(token) > maxToken {
		return Claims{}, refuse("malformed")
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Claims{}, refuse("malformed")
	}
	var raw [3][]byte
	for i, p := range parts {
		var err error
		if raw[i], err = part(p); err != nil {
			return Claims{}, refuse("malformed")
		}
	}
	header, err := object(raw[0])
	if err != nil {
		return Claims{}, refuse("malformed")
	}
	payload, err := object(raw[1])
	if err != nil {
		return Claims{}, refuse("malformed")
	}
	kid, err := checkHeader(header)
	if err != nil {
		return Claims{}, err
	}
	if !canonical(raw[2]) {
		return Claims{}, refuse("signature")
	}
	key, err := v.keys.get(ctx, kid)
	if err != nil {
		return Claims{}, err
	}
	if !signed(token, key) {
		return Claims{}, refuse("signature")
	}
	return v.check(payload)
}

// checkHeader returns the key's name. Of the many things a JOSE header may
// say, only the three a gate writes are let in: what is not understood here
// could be understood by a library below.
func checkHeader(h map[string]any) (kid string, err error) {
	for name := range h {
		switch name {
		case "alg", "typ", "kid":
		default:
			return "", refuse("header")
		}
	}
	kid, _ = h["kid"].(string)
	switch {
	case h["alg"] != "ES256":
		return "", refuse("alg")
	case h["typ"] != Type:
		return "", refuse("typ")
	case kid == "":
		return "", refuse("kid")
	}
	return kid, nil
}

// halfOrder is half the order of P-256 (SEC 2, 2.4.2), rounded down.
var halfOrder = []byte{
	0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
}

// canonical reports whether sig is r and s of 32 bytes each with the lower of
// the two values s can have, as a gate writes it. Otherwise anybody could make
// a second signature from the first.
func canonical(sig []byte) bool {
	return len(sig) == 64 && bytes.Compare(sig[32:], halfOrder) <= 0
}

func signed(token string, key *ecdsa.PublicKey) bool {
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return false
	}
	_, err = jws.Verify(key)
	return err == nil
}

// check is the policy for claims, in this order:
//
//   - iss and aud are exactly ours; aud is one string, never a list
//   - iat, nbf and exp are there, in whole seconds
//   - exp is after iat, by at most Lifetime
//   - now is from nbf and iat until before exp, give or take Leeway
//   - sub names somebody; or anonymous is true, nothing names anybody, and the
//     application said that it allows that
func (v *Verifier) check(p map[string]any) (Claims, error) {
	iat, okIat := seconds(p["iat"])
	nbf, okNbf := seconds(p["nbf"])
	exp, okExp := seconds(p["exp"])
	now := v.now()
	switch {
	case p["iss"] != v.issuer:
		return Claims{}, refuse("issuer")
	case p["aud"] != v.audience:
		return Claims{}, refuse("audience")
	case !okIat || !okNbf || !okExp:
		return Claims{}, refuse("time")
	case !exp.After(iat) || exp.Sub(iat) > Lifetime:
		return Claims{}, refuse("lifetime")
	case !now.Add(-Leeway).Before(exp):
		return Claims{}, refuse("expired")
	case now.Add(Leeway).Before(nbf) || now.Add(Leeway).Before(iat):
		return Claims{}, refuse("not_yet")
	}
	c := Claims{IssuedAt: iat, Expires: exp, Issuer: v.issuer, Audience: v.audience}
	if !c.fill(p) {
		return Claims{}, refuse("malformed")
	}
	switch named := c.Subject != "" || c.Email != "" || c.Name != "" || c.Session != ""; {
	case c.Anonymous && named, !c.Anonymous && c.Subject == "":
		return Claims{}, refuse("subject")
	case c.Anonymous && !v.allowAnonymous:
		return Claims{}, refuse("anonymous")
	}
	return c, nil
}

// fill takes the claims that may be absent and reports whether those that are
// there have the right type.
func (c *Claims) fill(p map[string]any) bool {
	for name, to := range map[string]*string{"sub": &c.Subject, "email": &c.Email, "name": &c.Name, "sid": &c.Session} {
		if v, there := p[name]; there {
			s, ok := v.(string)
			if !ok {
				return false
			}
			*to = s
		}
	}
	if v, there := p["auth_time"]; there {
		t, ok := seconds(v)
		if !ok {
			return false
		}
		c.AuthTime = t
	}
	if v, there := p["amr"]; there {
		list, ok := v.([]any)
		if !ok {
			return false
		}
		for _, e := range list {
			s, ok := e.(string)
			if !ok {
				return false
			}
			c.AMR = append(c.AMR, s)
		}
	}
	if v, there := p["anonymous"]; there {
		b, ok := v.(bool)
		if !ok {
			return false
		}
		c.Anonymous = b
	}
	return true
}

// seconds reads a NumericDate that is a plain positive whole number of at most
// eleven digits (the year 5138), so that no arithmetic on it overflows.
func seconds(v any) (time.Time, bool) {
	n, ok := v.(json.Number)
	if !ok || len(n) > 11 || strings.ContainsAny(string(n), "-.eE") {
		return time.Time{}, false
	}
	i, err := strconv.ParseInt(string(n), 10, 64)
	if err != nil || i == 0 {
		return time.Time{}, false
	}
	return time.Unix(i, 0).UTC(), true
}
