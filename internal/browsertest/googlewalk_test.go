// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"net/url"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/internal/oidctest"
	"github.com/portalgate/portalgate/internal/testgate"
)

// TestWalkByGoogle is the way through an issuer on another origin, which asks
// nothing: the first time, when the mailbox is asked as well, for this is not
// Google, and the account comes to belong to the client; and the second, which is
// one press. Neither leaves anything of the issuer's in the portal's address.
func TestWalkByGoogle(t *testing.T) {
	t.Parallel()
	issuer := oidctest.New(t)
	issuer.Be(func(c *oidctest.Conduct) {
		c.Account = map[string]any{"sub": "sub-grace", "email": "grace@gmail.com", "email_verified": true}
	})
	g := testgate.Start(t, testgate.Options{
		Clients: "id,email,name\n7,grace@gmail.com,Grace Hopper\n",
		Gate: `sign_in magic_link
		sign_in google {
			client_id ` + oidctest.ClientID + `
			client_secret "` + oidctest.ClientSecret + `"
			issuer ` + issuer.URL + `
		}`,
	})
	b := newProfile(t).first
	for _, when := range []string{"first", "second"} {
		b.visit(g.URL + "/messages")
		b.sees("How would you like to sign in?")
		b.press("Continue with Google")
		if when == "first" {
			b.sees("Check your email once")
			b.visit(link(g.Mail("grace@gmail.com", 1)))
		}
		b.sees("Messages")
		b.arrivedClean(g.URL+"/messages", g)
		if got := must[string](b, "document.referrer"); strings.Contains(got, "code=") || strings.Contains(got, "state=") {
			t.Errorf("%s time: the portal is told where from: %s", when, got)
		}
		b.visit(g.URL + "/sign-in/sign-out")
		b.press("Sign out")
		b.sees("You are signed out")
	}
	issuer.Be(func(c *oidctest.Conduct) { c.Back = func(q url.Values) { q.Set("error", "access_denied") } })
	b.visit(g.URL + "/messages")
	b.press("Continue with Google")
	b.sees("You left Google before the end")
	if at := b.href(); strings.Contains(at, "code=") || strings.Contains(at, "state=") {
		t.Errorf("the answer stays in the address: %s", at)
	}
	if said := b.complaints(); len(said) > 0 {
		t.Errorf("the browser complains: %q", said)
	}
	for _, secret := range []string{"code=", "state=", oidctest.ClientSecret} {
		if strings.Contains(g.Log(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	if m := g.Mail("grace@gmail.com", 2); !strings.Contains(m.Text, "Google") && !strings.Contains(g.Mail("grace@gmail.com", 3).Text, "Google") {
		t.Error("the client is not told that Google lets them in now")
	}
}
