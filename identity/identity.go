// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package identity tells an application behind a Portalgate who is asking.
//
// The gate signs an assertion into every request it forwards. An application
// checks it with one line of middleware and then asks who it is:
//
//	v, err := identity.New(identity.Options{Issuer: "https://portal.example.com"})
//	…
//	http.ListenAndServe("127.0.0.1:9000", v.Protect(app))
//
//	func hello(w http.ResponseWriter, r *http.Request) {
//		who, _ := identity.From(r.Context())
//		fmt.Fprintf(w, "Hello %s", who.Name)
//	}
//
// Only the assertion is signed. The plain headers Remote-User, Remote-Email
// and Remote-Name say the same, but whoever can reach the application without
// passing the gate can write them.
//
// The verifier is for assertions of a Portalgate and for nothing else: one
// algorithm, one type, one issuer, one audience. It refuses whatever a gate
// would not have written, and knows no option to be lenient.
package identity

import (
	"context"
	"time"
)

// The headers by which the gate tells an application who is asking. Only
// HeaderAssertion is signed.
const (
	HeaderAssertion = "Portalgate-Assertion" // a signed JWT
	HeaderUser      = "Remote-User"          // the client's id, the same as the JWT's "sub"
	HeaderEmail     = "Remote-Email"         // the client's address
	HeaderName      = "Remote-Name"          // the client's name, encoded by RFC 2047 where not ASCII
)

const (
	// Type is the assertion's "typ".
	Type = "portalgate-identity+jwt"
	// KeysPath is where a gate publishes its keys, under its public URL.
	KeysPath = "/.well-known/portalgate/jwks.json"
	// Lifetime is how long an assertion is good for after it was signed, give
	// or take [Leeway]. A gate never signs one for longer.
	Lifetime = 60 * time.Second
	// Leeway is how far two clocks may be apart.
	Leeway = 30 * time.Second
)

// Claims is what an assertion says.
type Claims struct {
	// Subject is the client's id, which never changes and is never used for
	// anybody else. It is not the address. Empty if Anonymous.
	Subject string
	// Email is the client's address as it is on file. It may change.
	Email string
	// Name is the client's name, or empty if none is on file.
	Name string
	// Session names the session (a hash: it opens nothing).
	Session string
	// AMR is how the client signed in.
	AMR []string
	// AuthTime is when the client signed in.
	AuthTime time.Time
	// IssuedAt and Expires are when the assertion was signed and until when it
	// is good.
	IssuedAt, Expires time.Time
	// Issuer is the gate's public URL, Audience the application's name there.
	Issuer, Audience string
	// Anonymous reports that the gate let a request pass on a public path and
	// nobody is signed in. A verifier refuses such an assertion unless
	// [Options].AllowAnonymous is set.
	Anonymous bool
}

type contextKey struct{}

// From returns what the assertion of a request said, and false if the request
// did not pass [Verifier.Protect].
func From(ctx context.Context) (Claims, bool) {
	c, ok := ctx.Value(contextKey{}).(Claims)
	return c, ok
}
