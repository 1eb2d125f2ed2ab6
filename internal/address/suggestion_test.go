// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"slices"
	"testing"
)

func TestSuggestion(t *testing.T) {
	tests := []struct{ in, want string }{
		{"ada@gmial.com", "ada@gmail.com"},
		{"Ada.L+x@GMIAL.com", "Ada.L+x@gmail.com"},
		{"ada@gmal.com", "ada@gmail.com"},
		{"ada@gmaill.com", "ada@gmail.com"},
		{"ada@gnail.com", "ada@gmail.com"},
		{"ada@gmail.co", "ada@gmail.com"},
		{"ada@gmail.con", "ada@gmail.com"},
		{"ada@gmail.comm", "ada@gmail.com"},
		{"ada@gmail.ocm", "ada@gmail.com"},
		{"ada@g.mail.com", "ada@gmail.com"},
		{"ada@yaho.com", "ada@yahoo.com"},
		{"ada@yhaoo.com", "ada@yahoo.com"},
		{"ada@yahoo.couk", "ada@yahoo.co.uk"},
		{"ada@hotmial.com", "ada@hotmail.com"},
		{"ada@hotmai.co.uk", "ada@hotmail.co.uk"},
		{"ada@outlok.com", "ada@outlook.com"},
		{"ada@iclould.com", "ada@icloud.com"},
		{"ada@tonline.de", "ada@t-online.de"},
		{"ada@proton.em", "ada@proton.me"},

		// Right as they are, although near to something better known.
		{"ada@gmail.com", ""},
		{"ada@GMAIL.COM", ""},
		{"ada@googlemail.com", ""},
		{"ada@ymail.com", ""},
		{"ada@mail.com", ""},
		{"ada@email.com", ""},
		{"ada@cloud.com", ""},
		{"ada@gmx.com", ""},
		{"ada@gmx.ch", ""},
		{"ada@mac.com", ""},
		{"ada@he.com", ""},
		{"ada@msa.com", ""},
		{"ada@all.com", ""},
		{"ada@ott.net", ""},
		{"ada@wel.de", ""},
		{"ada@life.com", ""},
		{"ada@hotmail.de", ""},
		{"ada@hotmail.fr", ""},
		{"ada@hotmail.se", ""},
		{"ada@yahoo.de", ""},
		{"ada@yahoo.dk", ""},
		{"ada@yahoo.ca", ""},
		{"ada@yahoo.co.in", ""},
		{"ada@yahoo.co.jp", ""},
		{"ada@outlook.be", ""},
		{"ada@outlook.dk", ""},
		{"ada@outlook.de", ""},
		{"ada@protonmail.ch", ""},
		{"ada@example.com", ""},

		// Two slips.
		{"ada@gmial.co", ""},
		{"ada@gmli.com", ""},
		{"ada@gmaxx.com", ""},
		{"ada@mail.gmail.com", ""},
	}
	for _, tc := range tests {
		got, ok := mustParse(t, tc.in).Suggestion()
		if got.String() != tc.want || ok != (tc.want != "") {
			t.Errorf("Suggestion(%q) = %q, %v, want %q", tc.in, got, ok, tc.want)
		}
	}
}

func TestOneSlip(t *testing.T) {
	tests := []struct {
		a, b string
		want bool
	}{
		{"abcd", "abcd", false},
		{"", "", false},
		{"", "a", true},
		{"abcd", "abc", true},
		{"abcd", "bcd", true},
		{"abcd", "acd", true},
		{"abcd", "abxd", true},
		{"abcd", "bacd", true},
		{"abcd", "abdc", true},
		{"aab", "aaab", true},
		{"abcd", "badc", false},
		{"abcd", "cbad", false},
		{"abcd", "ab", false},
		{"abcd", "axcx", false},
		{"abcd", "bcda", false},
	}
	for _, tc := range tests {
		if got := oneSlip(tc.a, tc.b); got != tc.want {
			t.Errorf("oneSlip(%q, %q) = %v, want %v", tc.a, tc.b, got, tc.want)
		}
		if got := oneSlip(tc.b, tc.a); got != tc.want {
			t.Errorf("oneSlip(%q, %q) = %v, want %v", tc.b, tc.a, got, tc.want)
		}
	}
}

// The lists say nothing twice and nothing in vain.
func TestSuggestionLists(t *testing.T) {
	for _, list := range [][]string{wellKnown, neighbours} {
		if !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
			t.Errorf("not sorted or not unique: %q", list)
		}
		for _, domain := range list {
			if mustParse(t, "a@"+domain).Domain() != domain {
				t.Errorf("%q is not in canonical form", domain)
			}
		}
	}
	for _, domain := range neighbours {
		if !slices.ContainsFunc(wellKnown, func(known string) bool { return isTarget(known) && oneSlip(domain, known) }) {
			t.Errorf("%q is nobody's neighbour and need not be listed", domain)
		}
	}
	for _, a := range wellKnown {
		for _, b := range wellKnown {
			if isTarget(a) && isTarget(b) && oneSlip(a, b) {
				t.Errorf("%q and %q: which one a slip between them meant is not clear", a, b)
			}
		}
	}
}
