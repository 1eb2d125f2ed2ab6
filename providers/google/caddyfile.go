// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package google

import (
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

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
	if err := g.unmarshal(d, "google", nil); err != nil {
		return err
	}
	return at(&start, g.checkClient())
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
	if err := o.unmarshal(d, "oidc", map[string]*string{"label": &o.Label}); err != nil {
		return err
	}
	return at(&start, o.Validate())
}

// unmarshal reads options of one value each.
func (c *Client) unmarshal(d *caddyfile.Dispenser, what string, more map[string]*string) error {
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
			if err := at(d, checkIssuer(*place)); err != nil {
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

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*Google)(nil)
	_ caddyfile.Unmarshaler = (*OIDC)(nil)
)
