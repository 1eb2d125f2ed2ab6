// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package oidctest is an OpenID Connect issuer for tests: discovery, a sign-in
// page that asks nothing, tokens and keys. It keeps the rules of a good issuer
// until a test tells it to break one.
package oidctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// What a client of the issuer is registered with.
const (
	ClientID     = "portal"
	ClientSecret = "a-client-secret"
)

// The issuer's endpoints.
const (
	Discovery = "/.well-known/openid-configuration"
	Authorize = "/authorize"
	Token     = "/token"
	Keys      = "/keys"
)

// Conduct is what the issuer does. Tests change it with [Issuer.Be].
type Conduct struct {
	// Account holds the claims about whoever presses "allow" next.
	Account map[string]any
	// Claims changes the claims of an ID token before it is signed.
	Claims func(claims map[string]any)
	// Sign makes the token in place of the issuer's key.
	Sign func(claims []byte) string
	// Back changes the query that the browser is sent back with.
	Back func(q url.Values)
	// Metadata changes the answer of discovery.
	Metadata func(m map[string]any)
	// NoPKCE leaves the verifier unchecked.
	NoPKCE bool
	// Instead answers an endpoint in place of the issuer.
	Instead map[string]http.HandlerFunc
}

// Issuer is a running issuer.
type Issuer struct {
	// URL is its name, its "iss", and where it is.
	URL string

	mu      sync.Mutex
	conduct Conduct
	key     jose.JSONWebKey
	keys    int
	grants  map[string]grant
	asked   []url.Values
	hits    map[string]int
	domains map[any]any // "hd" of who came last, by "sub"
}

// grant is what a code stands for.
type grant struct {
	client, redirect, challenge, nonce string
	account                            map[string]any
}

// New starts an issuer, over plain http on loopback, until the test ends.
// Everybody is Ada until the test says otherwise.
func New(t testing.TB) *Issuer {
	i := &Issuer{grants: make(map[string]grant), hits: make(map[string]int), domains: make(map[any]any)}
	i.conduct.Account = map[string]any{"sub": "sub-ada", "email": "ada@example.com", "email_verified": true, "hd": "example.com"}
	i.keys, i.key = 1, jose.JSONWebKey{Key: firstKey(), KeyID: "key-1", Algorithm: "RS256", Use: "sig"}
	server := httptest.NewServer(i)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	i.URL = server.URL
	return i
}

// Be changes what the issuer does from now on.
func (i *Issuer) Be(change func(c *Conduct)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change(&i.conduct)
}

// firstKey is what every issuer begins with: making one takes long.
var firstKey = sync.OnceValue(newKey)

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// Rotate puts a new key in the place of the old.
func (i *Issuer) Rotate() {
	key := newKey()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys++
	i.key = jose.JSONWebKey{Key: key, KeyID: "key-" + string(rune('0'+i.keys)), Algorithm: "RS256", Use: "sig"}
}

// UseES256 puts a new key in the place of the old that signs with ES256.
func (i *Issuer) UseES256() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.key = jose.JSONWebKey{Key: key, KeyID: "key-ec", Algorithm: "ES256", Use: "sig"}
}

// Asked returns the queries of the visits to the sign-in page, oldest first.
func (i *Issuer) Asked() []url.Values {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]url.Values(nil), i.asked...)
}

// Hits returns how often an endpoint was asked.
func (i *Issuer) Hits(endpoint string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.hits[endpoint]
}

// ServeHTTP is the issuer.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.hits[r.URL.Path]++
	instead := i.conduct.Instead[r.URL.Path]
	i.mu.Unlock()
	if instead != nil {
		instead(w, r)
		return
	}
	switch r.URL.Path {
	case Discovery:
		i.discovery(w)
	case Authorize:
		i.authorize(w, r)
	case Token:
		i.token(w, r)
	case Keys:
		i.mu.Lock()
		set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.key.Public()}}
		i.mu.Unlock()
		answer(w, http.StatusOK, set)
	default:
		http.NotFound(w, r)
	}
}

func (i *Issuer) discovery(w http.ResponseWriter) {
	m := map[string]any{
		"issuer": i.URL, "authorization_endpoint": i.URL + Authorize, "token_endpoint": i.URL + Token, "jwks_uri": i.URL + Keys,
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"RS256", "ES256"},
		"code_challenge_methods_supported":               []string{"S256"},
		"authorization_response_iss_parameter_supported": true,
	}
	i.mu.Lock()
	if i.conduct.Metadata != nil {
		i.conduct.Metadata(m)
	}
	i.mu.Unlock()
	answer(w, http.StatusOK, m)
}

// authorize sends the browser back at once, as if its user had pressed "allow".
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || q.Get("response_type") != "code" || q.Get("client_id") != ClientID {
		http.Error(w, "what is this", http.StatusBadRequest)
		return
	}
	code := rand.Text()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked = append(i.asked, q)
	i.grants[code] = grant{
		client: q.Get("client_id"), redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge"), nonce: q.Get("nonce"),
		account: maps.Clone(i.conduct.Account),
	}
	answer := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {i.URL}}
	if i.conduct.Back != nil {
		i.conduct.Back(answer)
	}
	back.RawQuery = answer.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// token exchanges a code, once.
func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	code := r.PostFormValue("code")
	verifier := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	i.mu.Lock()
	defer i.mu.Unlock()
	g, ok := i.grants[code]
	delete(i.grants, code)
	switch {
	case id != ClientID || secret != ClientSecret:
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return
	case !ok || g.client != id || g.redirect != r.PostFormValue("redirect_uri"),
		!i.conduct.NoPKCE && base64.RawURLEncoding.EncodeToString(verifier[:]) != g.challenge:
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	now := time.Now().Unix()
	claims := map[string]any{"iss": i.URL, "aud": id, "azp": id, "iat": now, "exp": now + 3600, "nonce": g.nonce}
	maps.Copy(claims, g.account)
	i.domains[g.account["sub"]] = g.account["hd"]
	if i.conduct.Claims != nil {
		i.conduct.Claims(claims)
	}
	data, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	sign := i.conduct.Sign
	if sign == nil {
		sign = func(claims []byte) string { return SignWith(jose.SignatureAlgorithm(i.key.Algorithm), i.key, claims) }
	}
	answer(w, http.StatusOK, map[string]any{
		"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 3600, "id_token": sign(data),
	})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
