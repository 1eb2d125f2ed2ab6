// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package upstreamtest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/portalgate/portalgate/internal/testgate"
)

// Whoever reaches the program can make up key names as fast as they like. That
// must not become as many requests to the gate.
func TestJ02_UnknownKeysDoNotFlood(t *testing.T) {
	f := readVectors(t)
	_, rest, _ := strings.Cut(f.Vectors[0].Token, ".")
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			var fetches atomic.Int32
			gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fetches.Add(1)
				w.Header().Set("Content-Type", "application/jwk-set+json")
				w.Write(f.JWKS)
			}))
			defer gate.Close()
			port := testgate.FreePort(t)
			p.start(t, port, "ISSUER="+f.Issuer, "AUDIENCE="+f.Audience, "KEYS_URL="+gate.URL+"/keys")
			for i := range 50 {
				header := fmt.Appendf(nil, `{"alg":"ES256","kid":"x%d","typ":"portalgate-identity+jwt"}`, i)
				if status, _ := ask(t, port, base64.RawURLEncoding.EncodeToString(header)+"."+rest); status != http.StatusUnauthorized {
					t.Fatalf("key %d: %d", i, status)
				}
			}
			if n := fetches.Load(); n != 1 {
				t.Errorf("%d fetches, want 1", n)
			}
		})
	}
}

// While the keys cannot be had, nobody can tell, and that is what is said; who
// answers with a redirect does not choose the keys. The gate's return is noticed
// by the next request.
func TestKeysAway(t *testing.T) {
	f := readVectors(t)
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			var status, elsewhere atomic.Int32
			gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/keys" {
					elsewhere.Add(1)
				}
				w.Header().Set("Content-Type", "application/jwk-set+json")
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(int(status.Load()))
				w.Write(f.JWKS)
			}))
			defer gate.Close()
			port := testgate.FreePort(t)
			p.start(t, port, "ISSUER="+f.Issuer, "AUDIENCE="+f.Audience, "KEYS_URL="+gate.URL+"/keys")
			for _, s := range []int32{503, 404, 302, 307} {
				status.Store(s)
				if got, header := ask(t, port, f.Vectors[0].Token); got != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
					t.Errorf("the gate answers %d: %d, %v", s, got, header)
				}
			}
			if elsewhere.Load() > 0 {
				t.Error("it followed a redirect")
			}
			status.Store(200)
			if got, _ := ask(t, port, f.Vectors[0].Token); got != http.StatusUnauthorized { // from the year 2030
				t.Errorf("the gate is back: %d", got)
			}
		})
	}
}
