// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package policy reads what a domain says in DNS of who may send its mail: SPF,
// DKIM and DMARC. Mail services decide by these whether a mail is shown, hidden
// or refused.
//
// It looks at what is published, for an operator to read. Whether a given mail
// passes is decided by whoever receives it.
package policy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

// Resolver is what is needed of DNS; a *net.Resolver is one.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// Finding is what DNS says of one policy.
type Finding struct {
	// Name is SPF, DKIM or DMARC.
	Name string `json:"name"`
	// Good reports that there is nothing to do about it.
	Good bool `json:"good"`
	// Says is the record, or what to publish.
	Says string `json:"says"`
}

// selectors are those under which mail services and servers publish DKIM keys
// if nobody chose another.
var selectors = []string{
	"smtp", "mx", "mta", "k1", "k2", "k3", "mailo", "pic", "krs", "email", // Mailgun among them
	"selector1", "selector2", "google", "s1", "s2", "default", "dkim", "mail",
}

// Look reads the policies of a domain that mail comes from. selector is the one
// of its DKIM key; if it is empty the usual ones are tried.
func Look(ctx context.Context, r Resolver, domain, selector string) []Finding {
	return []Finding{spf(ctx, r, domain), dkim(ctx, r, domain, selector), dmarc(ctx, r, domain)}
}

// find returns the records of a name that begin with a tag.
func find(ctx context.Context, r Resolver, name, tag string) (found []string, err error) {
	all, err := r.LookupTXT(ctx, name+".")
	var missing *net.DNSError
	if errors.As(err, &missing) && missing.IsNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, errors.New("DNS does not answer; look again later")
	}
	for _, text := range all {
		if strings.HasPrefix(strings.ToLower(text), tag) {
			found = append(found, text)
		}
	}
	return found, nil
}

// printable is a record as it may stand in a terminal.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	if len(s) > 200 {
		s = s[:200] + "..."
	}
	return s
}

func spf(ctx context.Context, r Resolver, domain string) Finding {
	f := Finding{Name: "SPF"}
	found, err := find(ctx, r, domain, "v=spf1")
	switch {
	case err != nil:
		f.Says = err.Error()
	case len(found) == 0:
		f.Says = fmt.Sprintf("%s has no record; publish the TXT record that your mail service names, v=spf1 include:... ~all", domain)
	case len(found) > 1:
		f.Says = fmt.Sprintf("%s has %d records, of which mail services take none; make them one", domain, len(found))
	case anybody(found[0]):
		f.Says = printable(found[0]) + " lets anybody send in your name; end it with ~all"
	default:
		f.Good, f.Says = true, printable(found[0])
	}
	return f
}

// anybody reports whether an SPF record lets everybody send, in however many
// words and letters.
func anybody(record string) bool {
	return slices.ContainsFunc(strings.Fields(strings.ToLower(record)), func(term string) bool { return term == "all" || term == "+all" })
}

func dkim(ctx context.Context, r Resolver, domain, selector string) Finding {
	f := Finding{Name: "DKIM"}
	try := selectors
	if selector != "" {
		try = []string{selector}
	}
	for _, s := range try {
		all, err := r.LookupTXT(ctx, s+"._domainkey."+domain+".")
		if err != nil {
			var missing *net.DNSError
			if errors.As(err, &missing) && missing.IsNotFound {
				continue
			}
			f.Says = "DNS does not answer; look again later"
			return f
		}
		for _, text := range all {
			if _, key, ok := strings.Cut(strings.ReplaceAll(text, " ", ""), "p="); ok && key != "" && key[0] != ';' {
				f.Good, f.Says = true, "there is a key under the selector "+s
				return f
			}
		}
	}
	f.Says = fmt.Sprintf("%s has no key under the selector %s", domain, selector)
	if selector == "" {
		f.Says = fmt.Sprintf("%s has no key under the usual selectors; if your mail service names another, look with --selector", domain)
	}
	return f
}

// dmarc looks at the domain and those above it: the policy of the registered
// domain is that of all below.
func dmarc(ctx context.Context, r Resolver, domain string) Finding {
	f := Finding{Name: "DMARC"}
	for at := domain; strings.Contains(at, "."); _, at, _ = strings.Cut(at, ".") {
		found, err := find(ctx, r, "_dmarc."+at, "v=dmarc1")
		switch {
		case err != nil:
			f.Says = err.Error()
			return f
		case len(found) > 1:
			f.Says = fmt.Sprintf("_dmarc.%s has %d records, of which mail services take none; make them one", at, len(found))
			return f
		case len(found) == 1:
			f.Good, f.Says = true, printable(found[0])
			return f
		}
	}
	f.Says = fmt.Sprintf("there is no policy; publish a TXT record at _dmarc.%s: v=DMARC1; p=none at first, p=reject in the end", domain)
	return f
}
