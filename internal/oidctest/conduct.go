// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package oidctest

import (
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// SignWith signs claims with any key: what a forger does who has one.
func SignWith(alg jose.SignatureAlgorithm, key any, claims []byte) string {
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		panic(err)
	}
	signed, err := s.Sign(claims)
	if err != nil {
		panic(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return token
}

// Unsigned makes a token that nobody has signed ("alg": "none").
func Unsigned(claims []byte) string {
	e := base64.RawURLEncoding
	return e.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + e.EncodeToString(claims) + "."
}

// WithSecret signs with HS256 and the client's secret.
func WithSecret(claims []byte) string {
	return SignWith(jose.HS256, []byte(ClientSecret+ClientSecret+ClientSecret), claims)
}

// WithOtherKey signs with a key that the issuer does not publish, under the name
// of one that it may.
func WithOtherKey(kid string) func(claims []byte) string {
	return func(claims []byte) string {
		return SignWith(jose.RS256, jose.JSONWebKey{Key: otherKey(), KeyID: kid}, claims)
	}
}

var otherKey = sync.OnceValue(newKey)

// Instead has an endpoint answered by h from now on; nil is the issuer again.
func (i *Issuer) Instead(endpoint string, h http.HandlerFunc) {
	i.Be(func(c *Conduct) {
		if c.Instead == nil {
			c.Instead = make(map[string]http.HandlerFunc)
		}
		c.Instead[endpoint] = h
	})
}

// Fails answers 500.
func Fails(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, strings.Repeat("<h1>oops</h1>", 1000), http.StatusInternalServerError)
}

// Hangs answers nothing until the other side gives up.
func Hangs(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // a server sees no end before that
	<-r.Context().Done()
}

// Floods answers without an end, as JSON that could go on to be good.
func Floods(w http.ResponseWriter, r *http.Request) {
	piece := make([]byte, 64<<10)
	for n := range piece {
		piece[n] = ' '
	}
	for n := 0; n < 100<<20; n += len(piece) {
		if _, err := w.Write(piece); err != nil || r.Context().Err() != nil {
			return
		}
	}
}

// Drips answers a byte now and then.
func Drips(w http.ResponseWriter, r *http.Request) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := w.Write([]byte(" ")); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// RedirectsTo sends whoever asks to another place.
func RedirectsTo(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
}
