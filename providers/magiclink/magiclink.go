// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package magiclink is sign-in by an emailed link: ask for an address, mail a
// link to it. That is all there is to it, because the rest is the gate's: what
// an address looks like, whether it is on file, how often mail may be asked
// for, and who may use the link where.
//
// It sends nothing, knows no client and keeps nothing.
package magiclink

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/portalgate/portalgate/providers"
)

func init() { caddy.RegisterModule(MagicLink{}) }

// A link that is gone before the mail has arrived helps nobody; one that lives
// longer than a day is a password in a mailbox.
const (
	shortest = 5 * time.Minute
	longest  = 24 * time.Hour
)

// MagicLink signs a client in by a single-use link mailed to the address on
// file.
type MagicLink struct {
	// How long a link works, from 5m to 24h. Default: 24h.
	Expires caddy.Duration `json:"expires,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (MagicLink) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "portalgate.sign_in.magic_link",
		New: func() caddy.Module { return new(MagicLink) },
	}
}

// Provision sets the default.
func (m *MagicLink) Provision(caddy.Context) error {
	if m.Expires == 0 {
		m.Expires = caddy.Duration(longest)
	}
	return nil
}

// Validate refuses a lifetime out of bounds.
func (m *MagicLink) Validate() error {
	if d := time.Duration(m.Expires); d < shortest || d > longest {
		return fmt.Errorf("sign_in magic_link: expires is %v; write a duration from 5m to 24h", d)
	}
	return nil
}

// UnmarshalCaddyfile reads the method's block. Syntax:
//
//	sign_in magic_link {
//		expires <duration>
//	}
func (m *MagicLink) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume method name
	if d.NextArg() {
		return d.Errf("magic_link takes no value, but has %q; its options stand in a block", d.Val())
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		switch {
		case d.Val() != "expires":
			return d.Errf("unrecognized magic_link option %q; there is: expires", d.Val())
		case m.Expires != 0:
			return d.Err("expires is already specified; keep one of them")
		}
		var value string
		if !d.AllArgs(&value) {
			return d.Err("expires takes one duration, such as: expires 24h")
		}
		life, err := caddy.ParseDuration(value)
		if err != nil || life < shortest || life > longest {
			return d.Errf("expires is %q; write a duration from 5m to 24h", value)
		}
		m.Expires = caddy.Duration(life)
	}
	return nil
}

// Describe says what its texts are, and how long its links work.
func (m *MagicLink) Describe() providers.Description {
	return providers.Description{Text: "email", Life: time.Duration(m.Expires)}
}

// Start asks for the address.
func (m *MagicLink) Start(context.Context, providers.Request) (providers.Step, error) {
	return providers.Step{Ask: &providers.Ask{
		Fields: []providers.Field{{Name: "email", Kind: providers.Email}},
	}}, nil
}

// Continue has a link mailed to the address.
func (m *MagicLink) Continue(_ context.Context, req providers.Request) (providers.Step, *providers.Claim, error) {
	address := strings.TrimSpace(req.Fields["email"])
	if address == "" {
		return providers.Step{}, nil, &providers.Denial{Reason: "email.empty"}
	}
	return providers.Step{SendLink: &providers.SendLink{
		Address: address,
		Life:    time.Duration(m.Expires),
	}}, nil, nil
}

// Interface guards
var (
	_ caddy.Provisioner       = (*MagicLink)(nil)
	_ caddy.Validator         = (*MagicLink)(nil)
	_ caddyfile.Unmarshaler   = (*MagicLink)(nil)
	_ providers.Authenticator = (*MagicLink)(nil)
)
