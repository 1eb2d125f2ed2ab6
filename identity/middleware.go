// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"io"
	"net/http"
)

// Protect lets requests with a valid assertion through to next, where [From]
// says who is asking. Every other request is answered here:
//
//   - 401 if it has no assertion, more than one, or one that is refused
//   - 503 if the gate's keys cannot be fetched, so that nobody can tell
//
// There is no way through without an assertion: fail closed.
func (v *Verifier) Protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := v.request(r)
		switch {
		case err == nil:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, c)))
		case isCode(err, "keys") || r.Context().Err() != nil:
			w.Header().Set("Retry-After", "5")
			answer(w, http.StatusServiceUnavailable,
				"We cannot check who you are just now. Please try again in a moment.\n")
		default:
			w.Header().Set("WWW-Authenticate", "Portalgate")
			answer(w, http.StatusUnauthorized,
				"Please open this page through the client portal and sign in there.\n")
		}
	})
}

// request verifies the one assertion of a request.
func (v *Verifier) request(r *http.Request) (Claims, error) {
	switch a := r.Header[HeaderAssertion]; len(a) {
	case 0:
		return Claims{}, refuse("no_assertion")
	case 1:
		return v.Verify(r.Context(), a[0])
	default:
		return Claims{}, refuse("duplicate")
	}
}

func answer(w http.ResponseWriter, status int, sentence string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	io.WriteString(w, sentence)
}
