// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"strings"
	"testing"
)

func TestRefusal(t *testing.T) {
	for _, tc := range []struct {
		code     int
		enhanced string
		want     string
	}{
		{550, "5.1.1", "refused for good: there is no such mailbox (550 5.1.1)"},
		{550, "", "refused for good: there is no such mailbox (550)"},
		{452, "4.2.2", "refused for now: the mailbox is full (452 4.2.2)"},
		{450, "", "refused for now: the mail service asked us to come back later (450)"},
		{451, "4.9.9", "refused for now: the mail service did not take it yet (451 4.9.9)"},
		{554, "5.7.99", "refused for good: the mail service's policy or spam filter refused it (554 5.7.99)"},
		{554, "x", "refused for good: the mail service refused it (554 x)"},
	} {
		if got := NewRefusal(tc.code, tc.enhanced).Error(); got != tc.want {
			t.Errorf("%d %s: %q, want %q", tc.code, tc.enhanced, got, tc.want)
		}
	}
}

// What a mail server says goes into logs, and some servers say everything.
func TestWithoutSecrets(t *testing.T) {
	for said, want := range map[string]string{
		"250 2.0.0 Ok: queued as 4Gx":                                           "250 2.0.0 Ok: queued as 4Gx",
		"550 <ada@example.com>: no such user":                                   "550 <(an address)>: no such user",
		"rejected, see https://portal.example.com/sign-in/link?t=A.B for ada@b": "rejected, see (a link) for (an address)",
		"two\r\nlines\x1b[2J and \u202emore\xff":                                "two lines [2J and more",
		"x" + strings.Repeat("y", 500):                                          "x" + strings.Repeat("y", 299) + "…",
	} {
		if got := WithoutSecrets(said); got != want {
			t.Errorf("WithoutSecrets(%q) = %q, want %q", said, got, want)
		}
	}
}
