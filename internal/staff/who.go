// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"crypto/tls"
	"slices"
	"strings"
	"unicode"

	"github.com/portalgate/portalgate/internal/gate"
)

// Rule says who is staff. The zero Rule takes whoever an authenticator in
// front has vouched for, and nobody who came through a gate.
type Rule struct {
	// Gate is the name of the gate whose clients are the staff; empty if there
	// is none. It must not be the gate that is looked after, or its clients
	// would be staff.
	Gate string
	// ClientCert takes the id from a certificate that the server has verified,
	// the common name of its subject, and from nowhere else.
	ClientCert bool
	// Allow lists the ids that are staff; empty is everybody who has one.
	Allow []string
}

// Claim is what the server in front knows of who is asking. Nothing of it may
// come from the request's own header.
type Claim struct {
	// User is whom an authenticator in front has vouched for; empty if none has.
	User string
	// TLS is the connection; nil if there is none to speak of.
	TLS *tls.ConnectionState
	// Passages are the gates that the request came through.
	Passages []gate.Passage
	// Afterwards reports that the request has failed already and is on its way
	// to an error page. The gates that it came through are not known there, and
	// what they have said of it still is.
	Afterwards bool
}

// maxID is how long the id of one of the staff may be, in bytes. It goes into
// the audit log with everything they do.
const maxID = 128

// Who returns the id of the staff member who is asking, or why it is none, for
// the log: whoever is refused is told nothing.
//
//   - "error_page": the request has failed before
//   - "gate": it came through another gate than the staff's, and may be its client's
//   - "not_signed_in": it came through the staff's gate, as nobody's
//   - "no_certificate": no certificate that was verified, with a name in it
//   - "nobody": no authenticator vouches for anybody
//   - "id": what it vouches for is no id
//   - "not_allowed": one who is not on the list
func (ru Rule) Who(c Claim) (id, because string) {
	if c.Afterwards {
		return "", "error_page"
	}
	signedIn := len(c.Passages) == 0
	for _, p := range c.Passages {
		if ru.Gate == "" || p.Gate != ru.Gate {
			return "", "gate"
		}
		signedIn = signedIn || p.SignedIn
	}
	if !signedIn {
		return "", "not_signed_in"
	}
	id, because = c.User, "nobody"
	if ru.ClientCert {
		id, because = certified(c.TLS), "no_certificate"
	}
	switch {
	case id == "":
		return "", because
	case len(id) > maxID || strings.ContainsFunc(id, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }):
		return "", "id"
	case len(ru.Allow) > 0 && !slices.Contains(ru.Allow, id):
		return "", "not_allowed"
	}
	return id, ""
}

// certified is the name in the certificate that the visitor showed, if the
// server has found that an authority it trusts stands behind it. A server may
// also ask for certificates without looking who made them: PeerCertificates
// holds those too.
func certified(c *tls.ConnectionState) string {
	if c == nil || len(c.VerifiedChains) == 0 || len(c.VerifiedChains[0]) == 0 {
		return ""
	}
	return c.VerifiedChains[0][0].Subject.CommonName
}
