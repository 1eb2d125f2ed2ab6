// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile reads the plugin's name and block, and looks at its file.
// Syntax:
//
//	sign_in plugin <name> {
//		command   <file>
//		args      <argument>...
//		sha256    <hex>
//		env       <name> <value>
//		user      <name>
//		config {
//			<name> <value>...
//			<name> {
//				...
//			}
//		}
//		share     phone
//		redirects <origin>...
//		amr       <name>...
//		timeout   <duration>
//		mtls      off
//		reattach  <placeholder>
//	}
//
// In config, one value is a text, several are a list, and numbers, true and
// false without quotes are what they are in JSON.
func (p *Plugin) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume method name
	start := *d
	if !d.AllArgs(&p.Name) {
		return d.Err("plugin takes one name, such as: sign_in plugin text-message { ... }")
	}
	if err := at(d, checkName(p.Name)); err != nil {
		return err
	}
	command := start
	options := map[string]func() error{
		"command": func() error {
			command = *d
			return one(d, &p.Command, "/usr/local/lib/portalgate/text-message", checkCommand)
		},
		"args":   func() error { return some(d, &p.Args, "--verbose", nil) },
		"sha256": func() error { return one(d, &p.SHA256, digestExample, checkDigest) },
		"env":    func() error { return p.unmarshalEnv(d) },
		"config": func() (err error) {
			if d.NextArg() {
				return d.Errf("config takes a block, not the value %q; each setting is a line of it, such as: token {env.SMS_TOKEN}", d.Val())
			}
			p.Config, err = settings(d)
			return err
		},
		"share":     func() error { return some(d, &p.Share, "phone", checkShare) },
		"redirects": func() error { return some(d, &p.Redirects, "https://accounts.example.com", checkRedirects) },
		"amr":       func() error { return some(d, &p.AMR, "sms otp", checkAMR) },
		"timeout":   func() error { return p.unmarshalTimeout(d) },
		"user":      func() error { return one(d, &p.User, "portalgate-plugins", checkUser) },
		"reattach":  func() error { return one(d, &p.Reattach, "{env.PORTALGATE_REATTACH}", nil) },
		"mtls":      func() error { return one(d, &p.MTLS, "off", checkMTLS) },
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		read, known := options[option]
		switch {
		case !known:
			return d.Errf("unrecognized plugin option %q; there are: %s", option, strings.Join(slices.Sorted(maps.Keys(options)), ", "))
		case seen[option] && option != "env":
			return d.Errf("%s is already specified; keep one of them", option)
		}
		seen[option] = true
		if err := read(); err != nil {
			return err
		}
	}
	if err := at(&start, p.Validate()); err != nil {
		return err
	}
	return at(&command, p.checkFile())
}

func (p *Plugin) unmarshalEnv(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Err("env takes a name and a value: env TZ America/Chicago")
	}
	if err := at(d, checkEnv(args[0])); err != nil {
		return err
	}
	if _, twice := p.Env[args[0]]; twice {
		return d.Errf("env %s is already specified; keep one of them", args[0])
	}
	if p.Env == nil {
		p.Env = make(map[string]string)
	}
	p.Env[args[0]] = args[1]
	return nil
}

func (p *Plugin) unmarshalTimeout(d *caddyfile.Dispenser) error {
	var value string
	if err := one(d, &value, "2s", nil); err != nil {
		return err
	}
	v, err := caddy.ParseDuration(value)
	if err != nil {
		return d.Errf("%q is no duration; write: timeout 2s", value)
	}
	p.Timeout = caddy.Duration(v)
	return at(d, checkTimeout(v))
}

// settings reads a block as a JSON object.
func settings(d *caddyfile.Dispenser) (map[string]any, error) {
	all := make(map[string]any)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		if _, twice := all[name]; twice {
			return nil, d.Errf("config: %s is already specified; several values stand in one line", name)
		}
		var values []any
		for d.NextArg() {
			values = append(values, scalar(d))
		}
		switch len(values) {
		case 0:
			block, err := settings(d)
			if err != nil {
				return nil, err
			}
			if len(block) == 0 {
				return nil, d.Errf("config: %s has no value", name)
			}
			all[name] = block
		case 1:
			all[name] = values[0]
		default:
			all[name] = values
		}
	}
	return all, nil
}

// scalar is the present token as JSON has it.
func scalar(d *caddyfile.Dispenser) any {
	s := d.Val()
	if !d.Token().Quoted() && (s == "true" || s == "false" || strings.ContainsAny(s[:min(len(s), 1)], "-0123456789") && json.Valid([]byte(s))) {
		return json.RawMessage(s)
	}
	return s
}

// one reads an option's only value.
func one(d *caddyfile.Dispenser, into *string, example string, check func(string) error) error {
	option := d.Val()
	if !d.AllArgs(into) || *into == "" {
		return d.Errf("%s takes one value: %s %s", option, option, example)
	}
	if check == nil {
		return nil
	}
	return at(d, check(*into))
}

// some reads an option's values.
func some(d *caddyfile.Dispenser, into *[]string, example string, check func([]string) error) error {
	option := d.Val()
	if *into = d.RemainingArgs(); len(*into) == 0 {
		return d.Errf("%s takes one value or more: %s %s", option, option, example)
	}
	if check == nil {
		return nil
	}
	return at(d, check(*into))
}

// at adds file and line to an error, if it is one.
func at(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Plugin)(nil)
