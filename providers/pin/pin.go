// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package pin is sign-in by a PIN that staff read out over the phone: ask for an
// address and digits, have them checked. What a PIN is, how often it may be
// guessed and what the answer tells is the gate's.
//
// It issues nothing, knows no PIN and keeps nothing.
package pin

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/portalgate/portalgate/providers"
)

func init() { caddy.RegisterModule(PIN{}) }

// A PIN must last as long as it takes to write it down and find the phone; one
// that lasts longer than a day is a password on a piece of paper.
const (
	shortest = 5 * time.Minute
	longest  = 24 * time.Hour

	usualDigits = 6
	codeDigits  = 8 // of the code in a mail, which a PIN must not be taken for
)

// PIN signs a client in by a PIN that staff have issued.
type PIN struct {
	// How long a PIN works, from 5m to 24h. Default: 24h.
	Expires caddy.Duration `json:"expires,omitempty"`

	// How many digits a PIN has: 6, 7, 9 or 10. Eight is the code from a mail.
	// Default: 6.
	Digits int `json:"digits,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (PIN) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "portalgate.sign_in.pin",
		New: func() caddy.Module { return new(PIN) },
	}
}

// Provision sets the defaults.
func (p *PIN) Provision(caddy.Context) error {
	if p.Expires == 0 {
		p.Expires = caddy.Duration(longest)
	}
	if p.Digits == 0 {
		p.Digits = usualDigits
	}
	return nil
}

// Validate refuses what is out of bounds.
func (p *PIN) Validate() error {
	if d := time.Duration(p.Expires); d < shortest || d > longest {
		return fmt.Errorf("sign_in pin: expires is %v; write a duration from 5m to 24h", d)
	}
	if err := checkDigits(p.Digits); err != nil {
		return fmt.Errorf("sign_in pin: %v", err)
	}
	return nil
}

func checkDigits(n int) error {
	switch n {
	case 6, 7, 9, 10:
		return nil
	case codeDigits:
		return fmt.Errorf("digits is 8, as many as the code in a mail has; clients would mistake one for the other; write 6, 7, 9 or 10")
	}
	return fmt.Errorf("digits is %d; write 6, 7, 9 or 10", n)
}

// UnmarshalCaddyfile reads the method's block. Syntax:
//
//	sign_in pin {
//		expires <duration>
//		digits  <number>
//	}
func (p *PIN) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume method name
	if d.NextArg() {
		return d.Errf("pin takes no value, but has %q; its options stand in a block", d.Val())
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option, value := d.Val(), ""
		switch option {
		case "expires":
			if p.Expires != 0 {
				return d.Err("expires is already specified; keep one of them")
			}
			if !d.AllArgs(&value) {
				return d.Err("expires takes one duration, such as: expires 24h")
			}
			life, err := caddy.ParseDuration(value)
			if err != nil || life < shortest || life > longest {
				return d.Errf("expires is %q; write a duration from 5m to 24h", value)
			}
			p.Expires = caddy.Duration(life)
		case "digits":
			if p.Digits != 0 {
				return d.Err("digits is already specified; keep one of them")
			}
			if !d.AllArgs(&value) {
				return d.Err("digits takes one number, such as: digits 6")
			}
			n, err := strconv.Atoi(value)
			if err != nil {
				return d.Errf("digits is %q; write 6, 7, 9 or 10", value)
			}
			if err := checkDigits(n); err != nil {
				return d.Err(err.Error())
			}
			p.Digits = n
		default:
			return d.Errf("unrecognized pin option %q; there are: expires, digits", option)
		}
	}
	return nil
}

// Describe says what its texts are, and what its PINs are like.
func (p *PIN) Describe() providers.Description {
	return providers.Description{Text: "pin", Life: time.Duration(p.Expires), Digits: p.Digits}
}

// Start asks for the address and the PIN.
func (p *PIN) Start(context.Context, providers.Request) (providers.Step, error) {
	return providers.Step{Ask: &providers.Ask{Fields: []providers.Field{
		{Name: "email", Kind: providers.Email},
		{Name: "pin", Kind: providers.Digits},
	}}}, nil
}

// separators are what people and phones put between digits.
var separators = strings.NewReplacer(" ", "", "-", "", "\u00a0", "", "\t", "", "\r", "", "\n", "")

// Continue has the PIN checked, if it can be one. What cannot costs no try.
func (p *PIN) Continue(_ context.Context, req providers.Request) (providers.Step, *providers.Claim, error) {
	email, secret := strings.TrimSpace(req.Fields["email"]), separators.Replace(req.Fields["pin"])
	digits := secret != "" && strings.Trim(secret, "0123456789") == ""
	switch {
	case email == "":
		return providers.Step{}, nil, &providers.Denial{Reason: "email.empty", Field: "email"}
	case digits && len(secret) == codeDigits:
		return providers.Step{}, nil, &providers.Denial{Reason: "pin.code", Field: "pin"}
	case !digits || len(secret) != p.Digits:
		return providers.Step{}, nil, &providers.Denial{Reason: "pin.shape", Field: "pin"}
	}
	return providers.Step{CheckSecret: &providers.CheckSecret{Address: email, Secret: secret}}, nil, nil
}

// Interface guards
var (
	_ caddy.Provisioner       = (*PIN)(nil)
	_ caddy.Validator         = (*PIN)(nil)
	_ caddyfile.Unmarshaler   = (*PIN)(nil)
	_ providers.Authenticator = (*PIN)(nil)
)
