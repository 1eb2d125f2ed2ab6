// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"strings"
	"testing"
)

// TestOperatorOnTheLine: whoever has the server invites a client by command, who
// signs in by the mail and lands where it says; and signs the client out again.
func TestOperatorOnTheLine(t *testing.T) {
	address := "localhost:" + freePort(t)
	l, config := withAdmin(t, address)
	l.mustLoad(config("sign_in magic_link", ""))
	for says, args := range map[string][]string{
		"say whom: ":              {"invite"},
		"not on file":             {"invite", "--email", "eve@example.com"},
		"not a path of this site": {"invite", "--email", ada, "--return-to", "https://evil.example"},
		"more than 500":           {"invite", "--email", ada, "--message", strings.Repeat("x", 501)},
		"say whom: --email":       {"sessions", "end", "--email", ada, "--id", "c-ada"},
		"not on file;":            {"sessions", "end", "--id", "c-eve"},
	} {
		if out, said, ok := printed(t, append(args, "--address", address)...); ok || out != "" || !strings.Contains(said, says) {
			t.Errorf("%q: %t %q %q, want %q", args, ok, out, said, says)
		}
	}
	b := l.browser()
	link := b.mailed(func() {
		out, said, ok := printed(t, "invite", "--email", ada, "--message", "Your forms are ready.", "--return-to", "/forms", "--address", address)
		if !ok || out != "" || said != "the invitation of client c-ada is on its way\n" {
			t.Errorf("invite: %t %q %q", ok, out, said)
		}
	})
	if m := l.runtime().Outbox().Messages()[0]; !strings.Contains(m.Text, "Your forms are ready.") {
		t.Errorf("the mail is %q", m.Text)
	}
	if p := b.send(b.get(link), "/sign-in/link", "email", ada); p.url.Path != "/forms" {
		t.Errorf("landed at %s", p.url.Path)
	}
	b.isSignedIn()
	if out, said, ok := printed(t, "sessions", "end", "--email", ada, "--json", "--address", address); !ok || out != "{\"client\":\"c-ada\"}\n" || said != "" {
		t.Errorf("sessions end: %t %q %q", ok, out, said)
	}
	if p := b.get("/files"); !strings.HasPrefix(p.url.Path, "/sign-in") {
		t.Errorf("still signed in: %d at %s", p.status, p.url.Path)
	}
}
