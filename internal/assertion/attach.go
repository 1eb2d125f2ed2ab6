// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package assertion

import (
	"bytes"
	"mime"
	"net/http"
	"time"

	"github.com/portalgate/portalgate/identity"
)

// Attach puts an assertion that says c into the headers of a request that
// [Strip] has cleaned. With plain, Remote-User, Remote-Email and Remote-Name
// say the same unsigned, as far as c names somebody; an anonymous visitor has
// none of them.
func Attach(h http.Header, token string, c identity.Claims, plain bool) {
	values := make([]string, 0, 4) // one piece of memory for all of them
	put := func(name, value string) {
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
	put(identity.HeaderAssertion, token)
	if !plain || c.Anonymous {
		return
	}
	put(identity.HeaderUser, c.Subject)
	if c.Email != "" {
		put(identity.HeaderEmail, c.Email)
	}
	if c.Name != "" {
		// Also keeps line breaks and other controls out of the header.
		put(identity.HeaderName, mime.QEncoding.Encode("utf-8", c.Name))
	}
}

// ServeKeys answers with the published key set. It sets no cookie and looks at
// nothing in the request but the method and the conditional headers.
func (r *Ring) ServeKeys(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	s := r.now.Load()
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Etag", s.etag)
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(s.jwks))
}
