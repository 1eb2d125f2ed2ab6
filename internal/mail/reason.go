// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"fmt"
	"regexp"
	"strings"
)

// NewRefusal makes a refusal of a server's reply code and, if it gave one, its
// enhanced code (RFC 3463). The server's own words are left out: they repeat the
// address, and most are not for people.
func NewRefusal(code int, enhanced string) *Refusal {
	return &Refusal{Permanent: code >= 500, Reason: reason(code, enhanced), Code: strings.TrimSpace(fmt.Sprintf("%d %s", code, enhanced))}
}

// reasons are what servers mean, by the enhanced code's subject and detail. A
// detail that is not here is told by its subject.
var reasons = map[string]string{
	"1":    "there is something wrong with the address",
	"1.1":  "there is no such mailbox",
	"1.2":  "there is no such mail domain",
	"1.6":  "the mailbox has moved",
	"1.10": "the domain takes no mail",
	"2":    "there is something wrong with the mailbox",
	"2.1":  "the mailbox is closed",
	"2.2":  "the mailbox is full",
	"3":    "the mail service has trouble",
	"4":    "the mail service could not be reached",
	"5":    "the mail service did not understand ours",
	"6":    "the mail service did not like the mail's form",
	"7":    "the mail service's policy or spam filter refused it",
	"7.25": "the mail service wants a name for our mail server's address",
	"7.26": "the mail service wants SPF or DKIM to pass",
}

func reason(code int, enhanced string) string {
	if _, rest, ok := strings.Cut(enhanced, "."); ok {
		if r := reasons[rest]; r != "" {
			return r
		}
		subject, _, _ := strings.Cut(rest, ".")
		if r := reasons[subject]; r != "" {
			return r
		}
	}
	switch { // RFC 5321, and what servers without enhanced codes mean by it
	case code == 550, code == 551, code == 553:
		return reasons["1.1"]
	case code == 552, code == 452:
		return reasons["2.2"]
	case code == 450, code == 421:
		return "the mail service asked us to come back later"
	case code >= 500:
		return "the mail service refused it"
	}
	return "the mail service did not take it yet"
}

var (
	linkIn    = regexp.MustCompile(`(?i)https?:\S+`)
	addressIn = regexp.MustCompile(`[^\s<>"'(),:;=]+@[^\s<>"'(),:;=]+`)
)

// WithoutSecrets is what a server said, fit for a log: without anything like an
// address or a link, on one line, of a bounded length.
func WithoutSecrets(s string) string {
	s = linkIn.ReplaceAllString(strings.ToValidUTF8(s, ""), "(a link)")
	s = addressIn.ReplaceAllString(s, "(an address)")
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unseen(r) {
			return ' '
		}
		return r
	}, s)), " ")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}
