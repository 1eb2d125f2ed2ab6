// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// nowhere is a response that nobody reads.
type nowhere struct{ h http.Header }

func (n *nowhere) Header() http.Header         { return n.h }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(int)             {}

// signedInRequest is a request as a browser sends it, with b's session.
func (w *world) signedInRequest(b *browser) *http.Request {
	r := httptest.NewRequest("GET", w.front+"/messages", nil)
	for _, c := range b.c.Jar.Cookies(r.URL) {
		if c.Name == cookieBase("main", false) {
			r.AddCookie(c)
		}
	}
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	r.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	r.Header.Set("Accept-Language", "en-US,en;q=0.5")
	r.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

// BenchmarkSignedIn is the handler's own cost of a signed-in request in the
// steady state, with nothing behind it.
func BenchmarkSignedIn(b *testing.B) {
	w := newWorld(b, wide)
	proto := w.signedInRequest(w.signIn("ada@example.com"))
	next := func(http.ResponseWriter, *http.Request) error { return nil }
	out := &nowhere{http.Header{}}
	r := proto.Clone(proto.Context())
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		// What the last round took out and put in.
		clear(r.Header)
		for k, v := range proto.Header {
			r.Header[k] = v
		}
		if err := w.h.ServeHTTP(out, r, Front{}, next); err != nil {
			b.Fatal(err)
		}
	}
}
