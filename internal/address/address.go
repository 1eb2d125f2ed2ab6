// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package address is the one form of an email address that the gate knows: a
// strict ASCII dot-atom, "@", and a domain name of at least two labels.
// Whatever compares, counts, stores or mails an address takes an [Address],
// so that no two parts of the gate read the same bytes in two ways.
//
// It refuses everything else that mail once allowed (quoted local parts,
// comments, display names, lists, routes, IP literals, a trailing dot) and
// never guesses that two addresses reach one person: dots and "+" tags count.
package address

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// The reasons why Parse returns no address. None of them quotes the input.
var (
	// ErrEmpty is returned by Parse if there is nothing but white space.
	ErrEmpty = errors.New("no address")
	// ErrShape is returned by Parse if s does not look like an address.
	ErrShape = errors.New("does not look like an address")
	// ErrSigns is returned by Parse if s is shaped like an address, but its
	// local part has letters or signs that we do not mail to.
	ErrSigns = errors.New("has letters or signs we cannot mail to")
)

// Lengths in bytes, of RFC 5321 (section 4.5.3.1, with its erratum 1690) and
// RFC 1035.
const (
	maxLocal   = 64
	maxLabel   = 63
	maxAddress = 254
	// maxInput bounds the work on input: a domain of non-ASCII letters may be
	// longer than what it is converted to, but never by this much.
	maxInput = 1024
)

// Address is a valid email address; it is immutable. The zero Address is
// nobody's and has empty strings.
//
// Two values are equal by == if they were typed alike; whether they name the
// same mailbox is told by Canonical.
type Address struct {
	local  string // as typed
	domain string // A-labels; as typed, unless it was converted
}

// Parse reads an address. ASCII white space around it is ignored. A domain
// typed in its own script is converted to A-labels (UTS 46, as for a lookup).
func Parse(s string) (Address, error) {
	s = strings.Trim(s, " \t\r\n")
	if s == "" {
		return Address{}, ErrEmpty
	}
	if len(s) > maxInput || !utf8.ValidString(s) {
		return Address{}, ErrShape
	}
	local, domain, found := strings.Cut(s, "@")
	if !found {
		return Address{}, ErrShape
	}
	domain, ok := toASCII(domain)
	if !ok || len(local) > maxLocal || len(local)+1+len(domain) > maxAddress {
		return Address{}, ErrShape
	}
	if err := checkLocal(local); err != nil {
		return Address{}, err
	}
	return Address{local: local, domain: domain}, nil
}

// String returns the address as it was typed, with its domain in A-labels.
// It is for mail and for its owner's eyes; a log gets Masked.
func (a Address) String() string {
	if a == (Address{}) {
		return ""
	}
	return a.local + "@" + a.domain
}

// Canonical returns the form in which addresses are compared and counted:
// String in ASCII lower case.
func (a Address) Canonical() string { return lower(a.String()) }

// Domain returns the domain in A-labels and ASCII lower case.
func (a Address) Domain() string { return lower(a.domain) }

// Masked returns the address with its local part hidden but for the first
// letter, "a•••@example.com": enough for its owner to know it. A local part of
// one letter is hidden whole, and the number of dots tells nothing.
func (a Address) Masked() string {
	switch len(a.local) {
	case 0:
		return ""
	case 1:
		return "•••@" + a.domain
	}
	return a.local[:1] + "•••@" + a.domain
}

// checkLocal reports what is wrong with a local part: it must be a dot-atom
// (RFC 5322 section 3.2.3) of ASCII characters, less what a mail server may
// read as more than a name.
func checkLocal(local string) error {
	signs := false
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" {
			return ErrShape // starts or ends with a dot, or has two in a row
		}
		for _, r := range atom {
			switch {
			case r >= utf8.RuneSelf:
				// Never mapped to ASCII look-alikes and never compared: a
				// dotless i would reach somebody else's mailbox.
				if !unicode.IsGraphic(r) || unicode.IsSpace(r) {
					return ErrShape
				}
				signs = true
			case r == '%', r == '!':
				signs = true // a%b@c and c!a@b are routes to another host
			case !isAtext(byte(r)):
				return ErrShape
			}
		}
	}
	if signs || strings.Contains(local, "=?") { // =?utf-8?q?…?= is decoded to another address
		return ErrSigns
	}
	return nil
}

// toASCII converts a domain to A-labels and reports whether it is one we mail
// to. Upper case in a domain that is ASCII already is kept.
func toASCII(domain string) (string, bool) {
	converted, ok := domain, true
	if !isPlain(domain) {
		converted, ok = convert(domain)
	}
	if !ok || len(converted) > maxAddress {
		return "", false
	}
	labels := strings.Split(converted, ".")
	for _, label := range labels {
		if !isLDH(label) {
			return "", false
		}
	}
	// No top-level domain starts with a digit: what does is an IP address.
	last := labels[len(labels)-1]
	return converted, len(labels) >= 2 && !isDigit(last[0])
}

// convert turns a domain with non-ASCII or "xn--" labels into A-labels. The
// mapping may change letters within such a label (case, width, composition),
// but no label may turn into a plain one, and no letter into a dot: the Kelvin
// sign is no k, and no full-width letter stands for ASCII.
func convert(domain string) (string, bool) {
	folded := lower(domain)
	ascii, err := idna.Lookup.ToASCII(folded)
	if err != nil {
		return "", false
	}
	before, after := strings.Split(folded, "."), strings.Split(ascii, ".")
	if len(before) != len(after) {
		return "", false
	}
	for i, label := range before {
		if isASCII(label) {
			if after[i] != label {
				return "", false // an "xn--" label that is not in its one right form
			}
			continue
		}
		if !strings.HasPrefix(after[i], "xn--") {
			return "", false
		}
	}
	if isASCII(domain) {
		return domain, true
	}
	return ascii, true
}

// isPlain reports whether nothing in domain concerns IDNA.
func isPlain(domain string) bool {
	folded := lower(domain)
	return isASCII(domain) && !strings.HasPrefix(folded, "xn--") && !strings.Contains(folded, ".xn--")
}

// isLDH reports whether label consists of letters, digits and inner hyphens.
func isLDH(label string) bool {
	if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		if c := label[i]; !isLetter(c) && !isDigit(c) && c != '-' {
			return false
		}
	}
	return true
}

func isAtext(c byte) bool {
	return isLetter(c) || isDigit(c) || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// lower folds ASCII letters and nothing else: strings.ToLower would turn the
// Kelvin sign into k, and strings.EqualFold the long s into s.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
