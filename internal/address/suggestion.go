// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package address

import "slices"

// wellKnown are the mail domains that many people have an address at. They
// are never asked back.
//
// A name under two-letter country domains (yahoo.de) does not belong here: it
// is one slip away from its own siblings (yahoo.dk, yahoo.se).
var wellKnown = []string{
	"aol.com",
	"att.net",
	"bellsouth.net",
	"btinternet.com",
	"comcast.net",
	"fastmail.com",
	"freenet.de",
	"gmail.com",
	"gmx.at",
	"gmx.com",
	"gmx.de",
	"gmx.net",
	"googlemail.com",
	"hotmail.co.uk",
	"hotmail.com",
	"icloud.com",
	"live.com",
	"me.com",
	"msn.com",
	"outlook.com",
	"proton.me",
	"protonmail.com",
	"sbcglobal.net",
	"t-online.de",
	"verizon.net",
	"web.de",
	"yahoo.co.uk",
	"yahoo.com",
}

// neighbours are domains of their own that happen to be one slip away from a
// well-known one. They are never asked back either.
var neighbours = []string{
	"cloud.com",
	"email.com",
	"mail.com",
	"ymail.com",
}

// minTarget is the number of letters before the first dot from which a
// well-known domain is suggested. One slip in a shorter name (me.com, gmx.de,
// live.com) more often than not is the domain of somebody else.
const minTarget = 5

// Suggestion returns the address that was probably meant, and whether there is
// one: the same local part at a well-known mail domain, if the domain is one
// slip away from it (a letter too many, too few, wrong, or two swapped).
// Whether the address is on file has no part in it.
func (a Address) Suggestion() (Address, bool) {
	domain := a.Domain()
	if slices.Contains(wellKnown, domain) || slices.Contains(neighbours, domain) {
		return Address{}, false
	}
	for _, known := range wellKnown {
		if isTarget(known) && oneSlip(domain, known) {
			return Address{local: a.local, domain: known}, true
		}
	}
	return Address{}, false
}

func isTarget(known string) bool {
	for i := range minTarget {
		if known[i] == '.' {
			return false
		}
	}
	return true
}

// oneSlip reports whether the Damerau-Levenshtein distance of a and b is
// exactly 1.
func oneSlip(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	// Without what they share at both ends, only the slip is left.
	for a != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for a != "" && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	switch len(b) {
	case 1:
		return true // added, left out (a is empty) or wrong
	case 2:
		return len(a) == 2 && a[0] == b[1] && a[1] == b[0] // swapped
	}
	return false
}
