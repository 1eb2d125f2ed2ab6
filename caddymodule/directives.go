// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() {
	httpcaddyfile.RegisterDirective("portalgate", parseHandler)
	httpcaddyfile.RegisterDirectiveOrder("portalgate", httpcaddyfile.Before, "basic_auth")
	httpcaddyfile.RegisterDirective("portalgate_inbox", parseInbox)
	httpcaddyfile.RegisterDirectiveOrder("portalgate_inbox", httpcaddyfile.Before, "respond")
	httpcaddyfile.RegisterDirective("portalgate_staff", parseStaff)
	httpcaddyfile.RegisterDirectiveOrder("portalgate_staff", httpcaddyfile.Before, "respond") // after whatever authenticates
	httpcaddyfile.RegisterDirective("portalgate_jwks", parseJWKS)
	httpcaddyfile.RegisterDirectiveOrder("portalgate_jwks", httpcaddyfile.Before, "respond")
}

// parseHandler reads the handler. It takes no matcher. Syntax:
//
//	portalgate [<name>] {
//		public   <path>...
//		audience <name>
//	}
func parseHandler(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // consume directive name
	var handler Handler
	var err error
	if handler.Gate, err = gateArg(h, "a path it never sees is a path where a visitor's forged identity headers get through; put it in front of the whole site and list what needs no sign-in: public /assets/*"); err != nil {
		return nil, err
	}
	err = block(h.Dispenser, "portalgate", map[string]func() error{
		"public": func() error {
			paths := h.RemainingArgs()
			if len(paths) == 0 {
				return h.Err("public takes one path or more: public /assets/* /favicon.ico")
			}
			for _, p := range paths {
				if !strings.HasPrefix(p, "/") {
					return h.Errf("public path %q; write it from the slash on: public /assets/*", p)
				}
			}
			handler.Public = append(handler.Public, paths...)
			return nil
		},
		"audience": func() error { return one(h.Dispenser, &handler.Audience, "portal") },
	}, "public")
	if err != nil {
		return nil, err
	}
	return h.NewRoute(nil, &handler), nil
}

// parseInbox reads the inbox. It takes no matcher either: what is not the
// mailbox on its site is nothing. Syntax:
//
//	portalgate_inbox [<name>]
func parseInbox(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	var inbox Inbox
	var err error
	if inbox.Gate, err = onlyGate(h, "give the mailbox a site of its own: http://localhost:8025"); err != nil {
		return nil, err
	}
	return h.NewRoute(nil, &inbox), nil
}

// parseStaff reads the staff's desk. Syntax:
//
//	portalgate_staff [<name>] {
//		staff_gate  <name>
//		client_cert
//		allow       <id>...
//	}
func parseStaff(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // consume directive name
	var s Staff
	var err error
	if s.Gate, err = gateArg(h, "its addresses are relative to where it is mounted; put it into the block of handle_path /desk/*"); err != nil {
		return nil, err
	}
	err = block(h.Dispenser, "portalgate_staff", map[string]func() error{
		"staff_gate": func() error { return one(h.Dispenser, &s.StaffGate, "staff") },
		"client_cert": func() error {
			if h.NextArg() {
				return h.Errf("client_cert takes nothing; %q is too much", h.Val())
			}
			s.ClientCert = true
			return nil
		},
		"allow": func() error {
			ids := h.RemainingArgs()
			if len(ids) == 0 {
				return h.Err("allow takes one id or more: allow desk@willow.example")
			}
			s.Allow = append(s.Allow, ids...)
			return nil
		},
	}, "allow")
	if err != nil {
		return nil, err
	}
	gates, err := gatesOf(h)
	if err != nil {
		return nil, err
	}
	if err := s.check(gates); err != nil {
		return nil, h.WrapErr(err)
	}
	return h.NewRoute(nil, &s), nil
}

// parseJWKS reads the handler of the public keys. Syntax:
//
//	portalgate_jwks [<name>]
func parseJWKS(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	var jwks JWKS
	var err error
	if jwks.Gate, err = onlyGate(h, "give the keys a site of their own: http://127.0.0.1:8026"); err != nil {
		return nil, err
	}
	return h.NewRoute(nil, &jwks), nil
}

// onlyGate reads a directive that takes the name of a gate and nothing else.
func onlyGate(h httpcaddyfile.Helper, why string) (string, error) {
	h.Next() // consume directive name
	directive := h.Val()
	name, err := gateArg(h, why)
	if err == nil && h.NextBlock(0) {
		err = h.Errf("%s takes no block; remove it", directive)
	}
	return name, err
}

// gateArg reads the name of a gate, which the global options must have. why
// says why there is no matcher.
func gateArg(h httpcaddyfile.Helper, why string) (string, error) {
	directive := h.Val()
	args := h.RemainingArgs()
	name := strings.Join(args, " ")
	switch {
	case name != "" && strings.ContainsAny(name[:1], "/*@"):
		return "", h.Errf("%s takes no matcher (%s): %s", directive, args[0], why)
	case len(args) > 1:
		return "", h.Errf("%s takes the name of one gate at most; %q is too much", directive, args[1])
	}
	gates, err := gatesOf(h)
	if err != nil {
		return "", err
	}
	if want := cmp.Or(name, defaultGate); gates[want] == nil {
		return "", h.WrapErr(noGate(want, gates))
	}
	return name, nil
}

// gatesOf returns the gates of the global options.
func gatesOf(h httpcaddyfile.Helper) (map[string]*Gate, error) {
	var app App
	if o, ok := h.Option("portalgate").(httpcaddyfile.App); ok {
		if err := json.Unmarshal(o.Value, &app); err != nil {
			return nil, h.WrapErr(err)
		}
	}
	return app.Gates, nil
}
