// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() { httpcaddyfile.RegisterGlobalOption("portalgate", parseGate) }

// defaultGate is the name of the gate that has none.
const defaultGate = "main"

// methods is the namespace of the sign-in methods.
const methods = "portalgate.sign_in"

// parseGate reads one gate from the global options and adds it to those
// before. Syntax:
//
//	portalgate [<name>] {
//		public_url <url>
//		secret     <placeholder>
//		path       <path>
//		practice <name> {
//			phone       <number>
//			email       <address>
//			new_clients <url>
//			logo        <file>
//			accent      <colour>
//			time_zone   <name>
//		}
//		store   embedded [<file>]
//		store   redis <url> {
//			replicas <count>
//			ca       <file>
//			cert     <certificate> <key>
//			sentinel <name> <address>...
//			cluster  [<address>...]
//		}
//		clients managed
//		clients file <csv>
//		clients http <url> {
//			token <placeholder>
//		}
//		mail    outbox
//		mail    smtp {
//			host     <name>[:<port>]
//			user     <name>
//			password <placeholder>
//			tls      starttls|implicit|none
//			from     <address>
//		}
//		mail    mailgun {
//			domain      <name>
//			api_key     <placeholder>
//			from        <address>
//			region      us|eu
//			api_base    <url>
//			webhook_key <placeholder>
//		}
//		templates <folder>
//		sign_in <method> {
//			...
//		}
//		unknown_email conceal|reveal
//		session {
//			idle     <duration>
//			absolute <duration>
//			shared   <idle> <absolute>
//			passive  <path>...
//		}
//		limits {
//			requests <count> <duration>
//			unknown  <count> <duration>
//			mails    <count> <duration>
//		}
//		headers off
//		health
//		audit <dir> [<keep>]
//	}
func parseGate(d *caddyfile.Dispenser, existing any) (any, error) {
	var app App
	if before, ok := existing.(httpcaddyfile.App); ok {
		if err := json.Unmarshal(before.Value, &app); err != nil {
			return nil, d.WrapErr(err)
		}
	}
	d.Next() // consume option name
	start := *d

	name := defaultGate
	if d.NextArg() {
		name = d.Val()
	}
	if d.NextArg() {
		return nil, d.Errf("portalgate takes one name at most; %q is too much", d.Val())
	}
	if err := checkGateName(name); err != nil {
		return nil, start.WrapErr(err)
	}
	if app.Gates[name] != nil {
		return nil, start.Errf("gate %q is already specified; give this one a name of its own: portalgate <name> { ... }", name)
	}

	g := new(Gate)
	if err := g.unmarshal(d); err != nil {
		return nil, err
	}
	if err := g.check(); err != nil {
		return nil, start.WrapErr(err)
	}
	if app.Gates == nil {
		app.Gates = make(map[string]*Gate)
	}
	app.Gates[name] = g
	if err := app.checkStores(); err != nil {
		return nil, start.WrapErr(err)
	}
	return httpcaddyfile.App{Name: "portalgate", Value: caddyconfig.JSON(&app, nil)}, nil
}

func (g *Gate) unmarshal(d *caddyfile.Dispenser) error {
	return block(d, "portalgate", map[string]func() error{
		"public_url": func() error {
			if err := one(d, &g.PublicURL, "https://portal.example.com"); err != nil {
				return err
			}
			_, err := parsePublicURL(g.PublicURL)
			return at(d, err)
		},
		"secret": func() error { return one(d, &g.Secret, "{file./etc/portalgate/secret}") },
		"path": func() error {
			if err := one(d, &g.Path, "/sign-in"); err != nil {
				return err
			}
			return at(d, checkPath(g.Path))
		},
		"practice": func() error { return g.Practice.unmarshal(d) },
		"store": func() error {
			return kind(d, map[string]func(args []string) error{
				"embedded": func(args []string) error {
					if len(args) > 1 {
						return d.Errf("store embedded takes one file at most; %q is too much", args[1])
					}
					g.Store.File = strings.Join(args, "")
					return nil
				},
				"redis": func(args []string) error {
					g.Store.Redis = new(Redis)
					return g.Store.Redis.unmarshal(d, args)
				},
			})
		},
		"clients":   func() error { return g.Clients.unmarshal(d) },
		"mail":      func() error { return g.Mail.unmarshal(d) },
		"templates": func() error { return one(d, &g.Templates, "./mail") },
		"sign_in":   func() error { return g.unmarshalMethod(d) },
		"unknown_email": func() error {
			if err := one(d, &g.UnknownEmail, "conceal"); err != nil {
				return err
			}
			return at(d, checkUnknownEmail(g.UnknownEmail))
		},
		"headers": func() error {
			if err := one(d, &g.Headers, "off"); err != nil {
				return err
			}
			return at(d, checkHeaders(g.Headers))
		},
		"health": func() error {
			if d.NextArg() {
				return d.Errf("health takes nothing; %q is too much", d.Val())
			}
			g.Health = true
			return nil
		},
		"session": func() error { return g.Session.unmarshal(d) },
		"limits":  func() error { return g.Limits.unmarshal(d) },
		"audit":   func() error { return g.Audit.unmarshal(d) },
	}, "sign_in")
}

func (p *Practice) unmarshal(d *caddyfile.Dispenser) error {
	start := *d
	if err := one(d, &p.Name, `"Willow Creek Counseling"`); err != nil {
		return err
	}
	if err := at(d, checkName(p.Name)); err != nil {
		return err
	}
	option := func(into *string, example string, check func(string) error) func() error {
		return func() error {
			if err := one(d, into, example); err != nil {
				return err
			}
			return at(d, check(*into))
		}
	}
	err := block(d, "practice", map[string]func() error{
		"phone":       option(&p.Phone, `"+1 555 0100"`, checkPhone),
		"email":       option(&p.Email, "hello@willow.example", checkEmail),
		"new_clients": option(&p.NewClients, "https://willow.example/welcome", checkNewClients),
		"logo":        option(&p.Logo, "./logo.svg", func(string) error { return nil }),
		// An unquoted # begins a comment, and the colour would be gone.
		"accent":    option(&p.Accent, `"#2f6f5e" (in quotes, because # begins a comment)`, checkAccent),
		"time_zone": option(&p.TimeZone, "America/Chicago", checkTimeZone),
	})
	if err != nil {
		return err
	}
	return at(&start, p.check())
}

func (g *Gate) unmarshalMethod(d *caddyfile.Dispenser) error {
	known := make([]string, 0)
	for _, m := range caddy.GetModules(methods) {
		known = append(known, m.ID.Name())
	}
	if !d.NextArg() {
		return d.Errf("sign_in takes the name of a method; there are: %s", strings.Join(known, ", "))
	}
	name := d.Val()
	if !slices.Contains(known, name) {
		return d.Errf("unrecognized sign_in method %q; there are: %s", name, strings.Join(known, ", "))
	}
	start := *d
	m, err := caddyfile.UnmarshalModule(d, methods+"."+name)
	if err != nil {
		return err
	}
	raw := caddyconfig.JSONModuleObject(m, "method", name, nil)
	for _, other := range g.SignInRaw {
		if writtenAs(other) == writtenAs(raw) {
			return start.Errf("sign_in %s is already specified; keep one of them", writtenAs(raw))
		}
	}
	g.SignInRaw = append(g.SignInRaw, raw)
	return nil
}

// writtenAs returns what follows sign_in: the method, and which of its kind.
func writtenAs(raw json.RawMessage) string {
	var m struct{ Method, Name string }
	_ = json.Unmarshal(raw, &m) // we have written it ourselves
	return strings.TrimSuffix(m.Method+" "+m.Name, " ")
}

func (s *Session) unmarshal(d *caddyfile.Dispenser) error {
	start := *d
	if err := noArgs(d); err != nil {
		return err
	}
	err := block(d, "session", map[string]func() error{
		"idle":     func() error { return durations(d, "idle 30m", &s.Idle) },
		"absolute": func() error { return durations(d, "absolute 12h", &s.Absolute) },
		"shared":   func() error { return durations(d, "shared 10m 1h", &s.SharedIdle, &s.SharedAbsolute) },
		"passive": func() error {
			paths := d.RemainingArgs()
			if len(paths) == 0 {
				return d.Err("passive takes one path or more: passive /poll/*")
			}
			s.Passive = append(s.Passive, paths...)
			return at(d, s.checkPassive())
		},
	}, "passive")
	if err != nil {
		return err
	}
	_, err = s.lifetimes()
	return at(&start, err)
}

func (l *Limits) unmarshal(d *caddyfile.Dispenser) error {
	if err := noArgs(d); err != nil {
		return err
	}
	rate := func(into **Rate, example string) func() error {
		return func() error {
			args := d.RemainingArgs()
			if len(args) != 2 {
				return d.Errf("a limit is a number and a duration: %s", example)
			}
			count, err := strconv.Atoi(args[0])
			if err != nil || count < 1 {
				return d.Errf("%q is no number of events; write: %s", args[0], example)
			}
			per, err := caddy.ParseDuration(args[1])
			if err != nil || per <= 0 {
				return d.Errf("%q is no duration; write: %s", args[1], example)
			}
			*into = &Rate{Count: count, Per: caddy.Duration(per)}
			return nil
		}
	}
	return block(d, "limits", map[string]func() error{
		"requests": rate(&l.Requests, "requests 60 10m"),
		"unknown":  rate(&l.Unknown, "unknown 5 15m"),
		"mails":    rate(&l.Mails, "mails 10 24h"),
	})
}

// block reads a block's options, each by the function under its name. An
// option may stand once, unless it is among those named as repeated.
func block(d *caddyfile.Dispenser, what string, options map[string]func() error, repeated ...string) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		parse, ok := options[name]
		switch {
		case name == "{":
			return d.Errf("unexpected block; the options of %s take none here", what)
		case !ok:
			return d.Errf("unrecognized %s option %q; there are: %s", what, name,
				strings.Join(slices.Sorted(maps.Keys(options)), ", "))
		case seen[name] && !slices.Contains(repeated, name):
			return d.Errf("%s is already specified; keep one of them", name)
		}
		seen[name] = true
		if err := parse(); err != nil {
			return err
		}
	}
	return nil
}

// one reads an option's only value.
func one(d *caddyfile.Dispenser, into *string, example string) error {
	name := d.Val()
	args := d.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return d.Errf("%s takes one value: %s %s", name, name, example)
	}
	*into = args[0]
	return nil
}

// kind reads an option whose first value says which kind is meant.
func kind(d *caddyfile.Dispenser, kinds map[string]func(args []string) error) error {
	name := d.Val()
	args := d.RemainingArgs()
	if len(args) == 0 || kinds[args[0]] == nil {
		given := "" // and not what follows, which may hold a password
		if len(args) > 0 {
			given = args[0]
		}
		known := slices.Sorted(maps.Keys(kinds))
		return d.Errf("unrecognized %s %q; there is: %s %s", name, given, name, strings.Join(known, ", "))
	}
	return kinds[args[0]](args[1:])
}

// durations reads as many durations as there are places for them.
func durations(d *caddyfile.Dispenser, example string, into ...*caddy.Duration) error {
	args := d.RemainingArgs()
	if len(args) != len(into) {
		return d.Errf("write: %s", example)
	}
	for i, arg := range args {
		v, err := caddy.ParseDuration(arg)
		if err != nil || v <= 0 {
			return d.Errf("%q is no duration; write: %s", arg, example)
		}
		*into[i] = caddy.Duration(v)
	}
	return nil
}

func noArgs(d *caddyfile.Dispenser) error {
	if name := d.Val(); d.NextArg() {
		return d.Errf("%s takes a block, not the value %q", name, d.Val())
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
