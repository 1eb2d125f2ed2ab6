// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package google is sign-in by an account at Google, or at another issuer of
// OpenID Connect. The round trip and the checks are package relyingparty's;
// whether the account's address is on file, and which account belongs to whom, is
// the gate's. What is left is Google's: where it is, and which addresses it gives
// out itself.
package google

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/portalgate/portalgate/providers"
	"github.com/portalgate/portalgate/providers/internal/relyingparty"
)

func init() {
	caddy.RegisterModule(Google{})
	caddy.RegisterModule(OIDC{})
}

// issuer is Google's name in its tokens.
const issuer = "https://accounts.google.com"

// endpoints are where Google is, so that it need not be asked.
var endpoints = relyingparty.Known{
	Auth:  "https://accounts.google.com/o/oauth2/v2/auth",
	Token: "https://oauth2.googleapis.com/token",
	Keys:  "https://www.googleapis.com/oauth2/v3/certs",
}

// Google signs a client in by their Google account. Another issuer in Google's
// place is believed about no address: it is checked once by mail.
type Google struct {
	relyingparty.Client

	owner bool // of gmail.com and of the domains of organisations
}

// OIDC signs a client in by an account at another issuer. There may be several.
type OIDC struct {
	// Name tells issuers apart and stands in the URL: small letters, digits and
	// "-", at most 32. It must stay, for accounts are linked under it.
	Name string `json:"name,omitempty"`

	// What people call the issuer, on the button. Default: the name.
	Label string `json:"label,omitempty"`

	relyingparty.Client
}

// CaddyModule returns the Caddy module information.
func (Google) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "portalgate.sign_in.google", New: func() caddy.Module { return new(Google) }}
}

// CaddyModule returns the Caddy module information.
func (OIDC) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "portalgate.sign_in.oidc", New: func() caddy.Module { return new(OIDC) }}
}

// Provision reads the secret. Google is not asked yet.
func (g *Google) Provision(caddy.Context) error {
	if g.Issuer == "" {
		g.Issuer = issuer
	}
	if g.owner = g.Issuer == issuer; g.owner {
		return open(&g.Client, "google", &endpoints)
	}
	return open(&g.Client, "google", nil)
}

// Provision reads the secret. The issuer is not asked yet.
func (o *OIDC) Provision(caddy.Context) error {
	if o.Label == "" {
		o.Label = o.Name
	}
	return open(&o.Client, "oidc "+o.Name, nil)
}

func open(c *relyingparty.Client, what string, known *relyingparty.Known) error {
	secret, err := caddy.NewReplacer().ReplaceOrErr(c.ClientSecret, true, true)
	if err != nil {
		return of(what, fmt.Errorf("client_secret: %v", err))
	}
	c.Open(secret, known)
	return nil
}

// of adds the method to an error, if it is one.
func of(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sign_in %s: %v", what, err)
}

// Validate refuses what cannot work.
func (g *Google) Validate() error { return of("google", g.Check()) }

// Validate refuses what cannot work.
func (o *OIDC) Validate() error {
	err := checkName(o.Name)
	switch {
	case err != nil:
	case o.Issuer == "":
		err = errors.New("issuer is missing; write: issuer https://accounts.example.com")
	case utf8.RuneCountInString(o.Label) > 60:
		err = errors.New("label is longer than 60 characters")
	default:
		err = o.Check()
	}
	return of("oidc "+o.Name, err)
}

var goodName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

func checkName(s string) error {
	if !goodName.MatchString(s) {
		return fmt.Errorf("the name is %.200q; write small letters, digits and \"-\", at most 32, such as: sign_in oidc clinic { ... }", s)
	}
	return nil
}

// UnmarshalCaddyfile reads the method's block. Syntax:
//
//	sign_in google {
//		client_id     <id>
//		client_secret <placeholder>
//		issuer        <url>
//	}
func (g *Google) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume method name
	start := *d
	if d.NextArg() {
		return d.Errf("google takes no value, but has %q; its options stand in a block", d.Val())
	}
	if err := unmarshal(d, &g.Client, "google", nil); err != nil {
		return err
	}
	return at(&start, g.Check())
}

// UnmarshalCaddyfile reads the method's name and block. Syntax:
//
//	sign_in oidc <name> {
//		issuer        <url>
//		client_id     <id>
//		client_secret <placeholder>
//		label         <text>
//	}
func (o *OIDC) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume method name
	start := *d
	if !d.AllArgs(&o.Name) {
		return d.Err("oidc takes one name, such as: sign_in oidc clinic { ... }")
	}
	if err := at(d, checkName(o.Name)); err != nil {
		return err
	}
	if err := unmarshal(d, &o.Client, "oidc", map[string]*string{"label": &o.Label}); err != nil {
		return err
	}
	return at(&start, o.Validate())
}

// unmarshal reads options of one value each.
func unmarshal(d *caddyfile.Dispenser, c *relyingparty.Client, what string, more map[string]*string) error {
	into := map[string]*string{"client_id": &c.ClientID, "client_secret": &c.ClientSecret, "issuer": &c.Issuer}
	maps.Copy(into, more)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		place, known := into[option]
		switch {
		case !known:
			return d.Errf("unrecognized %s option %q; there are: %s", what, option, strings.Join(slices.Sorted(maps.Keys(into)), ", "))
		case *place != "":
			return d.Errf("%s is already specified; keep one of them", option)
		}
		if !d.AllArgs(place) || *place == "" {
			return d.Errf("%s takes one value", option)
		}
		if option == "issuer" {
			if err := at(d, relyingparty.CheckIssuer(*place)); err != nil {
				return err
			}
		}
	}
	return nil
}

// at adds file and line to an error, if it is one.
func at(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// Instance tells this issuer apart from the others.
func (o *OIDC) Instance() string { return o.Name }

// Describe says what its texts are.
func (g *Google) Describe() providers.Description { return relyingparty.Describe("Google") }

// Describe says what its texts are.
func (o *OIDC) Describe() providers.Description { return relyingparty.Describe(o.Label) }

// Continue says who came back. Google gives out some addresses itself: those at
// gmail.com, and those at the domain of the organisation an account belongs to.
func (g *Google) Continue(ctx context.Context, req providers.Request) (providers.Step, *providers.Claim, error) {
	t, err := g.Finish(ctx, req)
	if err != nil {
		return providers.Step{}, nil, err
	}
	c := t.Claim()
	_, domain, _ := strings.Cut(strings.ToLower(t.Email), "@")
	c.Authoritative = g.owner && domain != "" && (domain == "gmail.com" || domain == strings.ToLower(t.Domain))
	return providers.Step{}, c, nil
}

// Interface guards
var (
	_ caddy.Provisioner       = (*Google)(nil)
	_ caddy.Provisioner       = (*OIDC)(nil)
	_ caddy.Validator         = (*Google)(nil)
	_ caddy.Validator         = (*OIDC)(nil)
	_ caddyfile.Unmarshaler   = (*Google)(nil)
	_ caddyfile.Unmarshaler   = (*OIDC)(nil)
	_ providers.Authenticator = (*Google)(nil)
	_ providers.Authenticator = (*OIDC)(nil)
)
