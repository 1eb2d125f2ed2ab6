// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
)

// scripted is a DNS with these TXT records; nil is a name that does not answer.
type scripted map[string][]string

func (s scripted) LookupTXT(_ context.Context, name string) ([]string, error) {
	all, ok := s[name]
	switch {
	case !ok:
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	case all == nil:
		return nil, &net.DNSError{Err: "timeout", Name: name, IsTimeout: true}
	}
	return all, nil
}

func TestLook(t *testing.T) {
	const domain, at = "mg.willow.example", "mg.willow.example."
	good := scripted{
		at:                       {"google-site-verification=x", "v=spf1 include:mailgun.org ~all"},
		"k1._domainkey." + at:    {"k=rsa; p=MIGf"},
		"_dmarc.willow.example.": {"v=DMARC1; p=reject"},
	}
	with := func(name string, records ...string) scripted {
		s := scripted{}
		for k, v := range good {
			s[k] = v
		}
		s[name] = records
		return s
	}
	for _, tc := range []struct {
		name     string
		dns      scripted
		selector string
		good     string // which are
		says     string
	}{
		{"all is well", good, "", "SPF DKIM DMARC", "v=spf1 include:mailgun.org ~all"},
		{"nothing is there", scripted{}, "", "", "has no record"},
		{"nothing answers", scripted{at: nil, "smtp._domainkey." + at: nil, "_dmarc." + at: nil}, "", "", "DNS does not answer"},
		{"SPF twice", with(at, "v=spf1 -all", "v=spf1 ~all"), "", "DKIM DMARC", "make them one"},
		{"SPF for anybody", with(at, "v=spf1 +all"), "", "DKIM DMARC", "lets anybody send"},
		{"SPF for anybody, at the end of a long record", with(at, "v=spf1"+strings.Repeat(" ip4:192.0.2.1", 30)+" +ALL "), "", "DKIM DMARC", "lets anybody send"},
		{"a key that was taken back", with("k1._domainkey."+at, "v=DKIM1; p="), "", "SPF DMARC", "--selector"},
		{"another selector", with("own._domainkey."+at, "v=DKIM1; p=MIGf"), "own", "SPF DKIM DMARC", "under the selector own"},
		{"a selector that is not there", good, "own", "SPF DMARC", "no key under the selector own"},
		{"DMARC of the domain itself", with("_dmarc."+at, "v=DMARC1; p=none"), "", "SPF DKIM DMARC", "p=none"},
		{"DMARC twice", with("_dmarc."+at, "v=DMARC1; p=none", "v=DMARC1; p=reject"), "", "SPF DKIM", "make them one"},
		{"a record for a terminal", with(at, "v=spf1 \x1b[2J~all"+strings.Repeat("x", 500)), "", "SPF DKIM DMARC", "v=spf1 ?[2J~all"},
	} {
		var isGood, says []string
		for _, f := range Look(t.Context(), tc.dns, domain, tc.selector) {
			if f.Good {
				isGood = append(isGood, f.Name)
			}
			says = append(says, f.Says)
		}
		if got := strings.Join(isGood, " "); got != tc.good || !strings.Contains(strings.Join(says, "\n"), tc.says) {
			t.Errorf("%s: good are %q, want %q; they say %q, want %q", tc.name, got, tc.good, says, tc.says)
		}
	}
}

// A real resolver is one.
var _ Resolver = (*net.Resolver)(nil)

func TestOtherErrors(t *testing.T) {
	for _, f := range Look(t.Context(), failing{}, "willow.example", "") {
		if f.Good || !strings.Contains(f.Says, "DNS does not answer") {
			t.Errorf("%+v", f)
		}
	}
}

type failing struct{}

func (failing) LookupTXT(context.Context, string) ([]string, error) { return nil, errors.New("broken") }
