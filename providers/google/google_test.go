// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package google

import (
	"context"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"

	"github.com/portalgate/portalgate/internal/oidctest"
	"github.com/portalgate/portalgate/providers"
	"github.com/portalgate/portalgate/providers/internal/relyingparty"
	"github.com/portalgate/portalgate/providers/providertest"
)

const callback = "https://portal.example.com/sign-in/google/callback"

func party(i *oidctest.Issuer) relyingparty.Client {
	return relyingparty.Client{Issuer: i.URL, ClientID: oidctest.ClientID, ClientSecret: oidctest.ClientSecret}
}

// provisioned returns the method as the gate gets it.
func provisioned(t *testing.T, i *oidctest.Issuer) *Google {
	t.Helper()
	g := &Google{Client: party(i)}
	if err := errors.Join(g.Provision(caddy.Context{}), g.Validate()); err != nil {
		t.Fatal(err)
	}
	return g
}

// signIn goes to the issuer and comes back.
func signIn(t *testing.T, a providers.Authenticator) (*providers.Claim, error) {
	t.Helper()
	step, err := a.Start(context.Background(), providers.Request{Callback: callback, Attempt: "the-attempt"})
	if err != nil {
		t.Fatal(err)
	}
	_, c, err := a.Continue(context.Background(), providers.Request{
		Callback: callback, Fields: oidctest.Visit(t, step.Redirect.URL), State: step.State,
	})
	return c, err
}

func TestConformance(t *testing.T) {
	i := oidctest.New(t)
	providertest.Run(t, provisioned(t, i))
	o := &OIDC{Name: "clinic", Client: party(i)}
	if err := errors.Join(o.Provision(caddy.Context{}), o.Validate()); err != nil {
		t.Fatal(err)
	}
	providertest.Run(t, o)
}

// TestLiteral: a secret that is no placeholder is warned of.
func TestLiteral(t *testing.T) {
	t.Setenv("PORTALGATE_TEST_SECRET", "hunter2")
	for secret, want := range map[string]bool{"hunter2": true, "{env.PORTALGATE_TEST_SECRET}": false} {
		g := &Google{Client: relyingparty.Client{ClientID: "x", ClientSecret: secret}}
		if err := g.Provision(caddy.Context{}); err != nil || g.Literal() != want {
			t.Errorf("%s: %t, %v", secret, g.Literal(), err)
		}
	}
}

// TestGoogleIsKnown: for Google itself nobody has to be asked where it is.
func TestGoogleIsKnown(t *testing.T) {
	g := &Google{Client: relyingparty.Client{ClientID: "portal", ClientSecret: "secret"}}
	if err := errors.Join(g.Provision(caddy.Context{}), g.Validate()); err != nil {
		t.Fatal(err)
	}
	step, err := g.Start(context.Background(), providers.Request{Callback: callback, Attempt: "a"})
	if err != nil || !strings.HasPrefix(step.Redirect.URL, "https://accounts.google.com/o/oauth2/v2/auth?") ||
		step.Redirect.Origins[0] != issuer {
		t.Errorf("%+v, %v", step.Redirect, err)
	}
}

// TestAuthoritative: Google gives out some addresses itself, and nobody else in
// its place is believed to.
func TestAuthoritative(t *testing.T) {
	i := oidctest.New(t)
	another, real := provisioned(t, i), provisioned(t, i)
	real.owner = true // as for Google's own name
	for _, tc := range []struct {
		email, hd string
		want      bool
	}{
		{"ada@gmail.com", "", true},
		{"ada@Gmail.com", "", true},
		{"ada@example.com", "example.com", true},
		{"ada@Example.com", "EXAMPLE.com", true},
		{"ada@example.com", "", false},
		{"ada@example.com", "other.example", false},
		{"ada@evil.example@gmail.com", "", false},
		{"gmail.com", "", false},
		{"ada@", "", false},
	} {
		i.Be(func(c *oidctest.Conduct) {
			c.Account = map[string]any{"sub": "s", "email": tc.email, "email_verified": true, "hd": tc.hd}
		})
		c, err := signIn(t, real)
		if err != nil || c.Authoritative != tc.want {
			t.Errorf("%s of %q: authoritative %+v, %v; want %t", tc.email, tc.hd, c, err, tc.want)
		}
		if c, err := signIn(t, another); err != nil || c.Authoritative {
			t.Errorf("%s of %q at another issuer: %+v, %v", tc.email, tc.hd, c, err)
		}
	}
	if g := (&Google{}); g.Provision(caddy.Context{}) != nil || !g.owner {
		t.Error("Google itself is not believed")
	}
}

func TestValidate(t *testing.T) {
	for name, m := range map[string]caddy.Validator{
		"no id":           &Google{Client: relyingparty.Client{ClientSecret: "s"}},
		"no secret":       &Google{Client: relyingparty.Client{ClientID: "c"}},
		"http":            &Google{Client: relyingparty.Client{ClientID: "c", ClientSecret: "s", Issuer: "http://accounts.example.com"}},
		"query":           &Google{Client: relyingparty.Client{ClientID: "c", ClientSecret: "s", Issuer: "https://accounts.example.com?x"}},
		"user":            &Google{Client: relyingparty.Client{ClientID: "c", ClientSecret: "s", Issuer: "https://me@accounts.example.com"}},
		"no name":         &OIDC{Client: relyingparty.Client{ClientID: "c", ClientSecret: "s", Issuer: "https://a.example"}},
		"name of a path":  &OIDC{Name: "../x", Client: relyingparty.Client{ClientID: "c", ClientSecret: "s", Issuer: "https://a.example"}},
		"oidc, no issuer": &OIDC{Name: "x", Client: relyingparty.Client{ClientID: "c", ClientSecret: "s"}},
	} {
		if err := m.Validate(); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	for label, good := range map[string]bool{strings.Repeat("я", 60): true, strings.Repeat("я", 61): false} {
		o := &OIDC{Name: "x", Label: label, Client: relyingparty.Client{ClientID: "c", ClientSecret: "s", Issuer: "https://a.example"}}
		if err := o.Validate(); (err == nil) != good {
			t.Errorf("a label of %d letters: %v", utf8.RuneCountInString(label), err)
		}
	}
	g := &Google{Client: relyingparty.Client{ClientID: "c", ClientSecret: "{env.NO_SUCH_SECRET_HERE}"}}
	if err := g.Provision(caddy.Context{}); err == nil || strings.Contains(err.Error(), "panic") {
		t.Errorf("a secret that is not there: %v", err)
	}
}
