// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package google is sign-in by an account at Google, or at another issuer of
// OpenID Connect. It sends the browser there and checks the token that comes
// back; whether the account's address is on file, and which account belongs to
// whom, is the gate's.
//
// It asks for no more than the address, tells the issuer nothing about the
// person, and keeps no token.
package google

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/portalgate/portalgate/providers"
)

func init() {
	caddy.RegisterModule(Google{})
	caddy.RegisterModule(OIDC{})
}

// Client is what an issuer knows the portal by.
type Client struct {
	// Who signs the tokens: an https URL without a query (http on this machine
	// only). For Google the default is Google.
	Issuer string `json:"issuer,omitempty"`

	// The id that the issuer has given the portal.
	ClientID string `json:"client_id,omitempty"`

	// The secret that goes with it. Write a placeholder: {env.GOOGLE_SECRET} or
	// {file./etc/portalgate/google}.
	ClientSecret string `json:"client_secret,omitempty"`

	secret string
	issuer *issuer
}

// Google signs a client in by their Google account.
type Google struct{ Client }

// OIDC signs a client in by an account at another issuer. There may be several.
type OIDC struct {
	// Name tells issuers apart and stands in the URL: small letters, digits and
	// "-", at most 32. It must stay, for accounts are linked under it.
	Name string `json:"name,omitempty"`

	// What people call the issuer, on the button. Default: the name.
	Label string `json:"label,omitempty"`

	Client
}

// CaddyModule returns the Caddy module information.
func (Google) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "portalgate.sign_in.google", New: func() caddy.Module { return new(Google) }}
}

// CaddyModule returns the Caddy module information.
func (OIDC) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "portalgate.sign_in.oidc", New: func() caddy.Module { return new(OIDC) }}
}

// Provision reads the secret. The issuer is not asked yet.
func (g *Google) Provision(caddy.Context) error {
	if g.Issuer == "" {
		g.Issuer = googleIssuer
	}
	return g.provision("google")
}

// Provision reads the secret. The issuer is not asked yet.
func (o *OIDC) Provision(caddy.Context) error {
	if o.Label == "" {
		o.Label = o.Name
	}
	return o.provision("oidc " + o.Name)
}

func (c *Client) provision(what string) error {
	var err error
	if c.secret, err = caddy.NewReplacer().ReplaceOrErr(c.ClientSecret, true, true); err != nil {
		return fmt.Errorf("sign_in %s: client_secret: %v", what, err)
	}
	c.issuer = newIssuer(c.Issuer, c.ClientID)
	return nil
}

// Validate refuses what cannot work.
func (g *Google) Validate() error {
	if err := g.checkClient(); err != nil {
		return fmt.Errorf("sign_in google: %v", err)
	}
	return nil
}

// Validate refuses what cannot work.
func (o *OIDC) Validate() error {
	err := checkName(o.Name)
	switch {
	case err != nil:
	case o.Issuer == "":
		err = errors.New("issuer is missing; write: issuer https://accounts.example.com")
	case len(o.Label) > 60:
		err = errors.New("label is longer than 60 characters")
	default:
		err = o.checkClient()
	}
	if err != nil {
		return fmt.Errorf("sign_in oidc %s: %v", o.Name, err)
	}
	return nil
}

func (c *Client) checkClient() error {
	switch {
	case c.ClientID == "":
		return errors.New("client_id is missing; the issuer gives it to you")
	case c.ClientSecret == "":
		return errors.New("client_secret is missing; write a placeholder: client_secret {env.GOOGLE_SECRET}")
	case c.Issuer == "":
		return nil // Google
	}
	return checkIssuer(c.Issuer)
}

func checkIssuer(s string) error {
	if strings.ContainsAny(s, "?#") || safeURL(s) != nil {
		return fmt.Errorf("issuer is %q; write its https URL, without a query: issuer https://accounts.example.com", clip(s))
	}
	return nil
}

var goodName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

func checkName(s string) error {
	if !goodName.MatchString(s) {
		return fmt.Errorf("the name is %q; write small letters, digits and \"-\", at most 32, such as: sign_in oidc clinic { ... }", clip(s))
	}
	return nil
}

// Instance tells this issuer apart from the others.
func (o *OIDC) Instance() string { return o.Name }

// Describe says what its texts are.
func (g *Google) Describe() providers.Description {
	return providers.Description{Text: "google", Label: "Google", Away: true}
}

// Describe says what its texts are.
func (o *OIDC) Describe() providers.Description {
	return providers.Description{Text: "google", Label: o.Label, Away: true}
}

// Continue says who came back. Google gives out some addresses itself.
func (g *Google) Continue(ctx context.Context, req providers.Request) (providers.Step, *providers.Claim, error) {
	t, err := g.proceed(ctx, req)
	if err != nil {
		return providers.Step{}, nil, err
	}
	c := t.claim()
	c.Authoritative = t.ownsAddress()
	return providers.Step{}, c, nil
}

// Continue says who came back. Whose an address is the issuer need not know.
func (o *OIDC) Continue(ctx context.Context, req providers.Request) (providers.Step, *providers.Claim, error) {
	t, err := o.proceed(ctx, req)
	if err != nil {
		return providers.Step{}, nil, err
	}
	return providers.Step{}, t.claim(), nil
}

// Interface guards
var (
	_ caddy.Provisioner       = (*Google)(nil)
	_ caddy.Provisioner       = (*OIDC)(nil)
	_ caddy.Validator         = (*Google)(nil)
	_ caddy.Validator         = (*OIDC)(nil)
	_ providers.Authenticator = (*Google)(nil)
	_ providers.Authenticator = (*OIDC)(nil)
)
