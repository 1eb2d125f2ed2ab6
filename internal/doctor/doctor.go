// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package doctor looks at a gate as it runs, from inside and from where its
// clients are, and says what to change before they find out.
//
// It changes nothing and needs nothing of the application behind the gate. What
// it goes by is given to it: the configuration that runs, what the gate knows of
// itself ([Condition]), and a way to ask DNS and HTTP ([World]). It finds what
// it was taught to look for; that it finds nothing is no proof of health.
package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/portalgate/portalgate/internal/mail/policy"
)

// Level says how bad a finding is.
type Level string

// The levels of a finding.
const (
	OK    Level = "ok"
	Look  Level = "look" // it may be meant so
	Wrong Level = "no"
)

// Finding is what is so with one thing, and what to change if it is not right.
type Finding struct {
	Name  string `json:"name"`
	Level Level  `json:"level"`
	Says  string `json:"says"`
}

// Condition is what only the running gate knows of itself.
type Condition struct {
	// Literal reports that the secret is written out in the configuration.
	// SecretFile is the file it is in, if that is so, and SecretMode its mode.
	Literal    bool        `json:"literal"`
	SecretFile string      `json:"secret_file,omitempty"`
	SecretMode fs.FileMode `json:"secret_mode,omitempty"`
	// Trouble is why nobody can sign in; empty if they can. Warnings are
	// sentences about the store.
	Trouble  string   `json:"trouble,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	// Skew is how far the store's clock is ahead.
	Skew time.Duration `json:"skew,omitempty"`
	// Disk is the kind of network drive that the store's file is on; empty if it
	// is on none.
	Disk string `json:"disk,omitempty"`
	// Begin is the path of the page with which signing in begins.
	Begin string `json:"begin"`
	// From is the address that mails come from.
	From string `json:"from,omitempty"`
	// Forwarded is a peer that is not trusted and sends X-Forwarded-For.
	Forwarded bool `json:"forwarded,omitempty"`
}

// World is what the doctor sees the gate through.
type World struct {
	DNS interface {
		policy.Resolver
		LookupHost(ctx context.Context, host string) ([]string, error)
	}
	HTTP http.RoundTripper
	Now  func() time.Time
	// Selector is that of the DKIM key; empty is to try the usual ones.
	Selector string
	// Echo takes what reaches the application's place, while the doctor stands
	// there for it; nil is that it does not.
	Echo net.Listener
}

// Examine looks at a gate in a configuration of Caddy's, as its admin API gives
// it out. An error says that it cannot be looked at.
func Examine(ctx context.Context, config []byte, gate string, c Condition, w World) ([]Finding, error) {
	p, err := read(config, gate)
	if err != nil {
		return nil, err
	}
	e := &exam{patient: p, Condition: c, World: w}
	e.address(ctx)
	e.secret()
	e.store()
	e.mail(ctx)
	e.proxies()
	e.headers(ctx)
	e.reveal()
	e.plugins()
	e.desks()
	return e.found, nil
}

// exam is one examination.
type exam struct {
	*patient
	Condition
	World
	found []Finding
}

func (e *exam) say(l Level, name, format string, args ...any) {
	e.found = append(e.found, Finding{name, l, fmt.Sprintf(format, args...)})
}

func (e *exam) secret() {
	switch shared := len(e.gate.Store.Redis) > 0; {
	case e.Literal:
		e.say(Wrong, "secret", "it is written out in the configuration, which the admin API shows and Caddy saves to disk; write {file./etc/portalgate/secret} or {env.NAME}")
	case e.gate.Secret == "" && shared:
		e.say(Wrong, "secret", "it was made in Caddy's storage and serves this one gate, but the store is one that several share; make one with `caddy portalgate secret` and give it to all of them")
	case e.SecretMode.Perm()&0o077 != 0:
		e.say(Wrong, "secret", "%s can be read by others than its owner (%04o); chmod 600 it", e.SecretFile, e.SecretMode.Perm())
	case e.gate.Secret == "":
		e.say(OK, "secret", "it is in Caddy's storage; keep a copy of that where you keep other keys")
	default:
		e.say(OK, "secret", "it is where only the server can read it, as far as can be seen")
	}
}

func (e *exam) store() {
	if e.Trouble != "" {
		e.say(Wrong, "store", "nobody can sign in: %s", e.Trouble)
	}
	if e.Disk != "" {
		e.say(Wrong, "store", "its file is on a network drive (%s), where a lock may not hold; put it on a disk of this machine: store embedded <file>", e.Disk)
	}
	for _, warning := range e.Warnings {
		e.say(Wrong, "store", "%s", warning)
	}
	if e.Skew.Abs() > maxSkew {
		e.say(Wrong, "clock", "the store's is %s apart from the gate's; let both follow a time server", e.Skew.Abs().Round(time.Second))
	}
	if e.Trouble == "" && e.Disk == "" && len(e.Warnings) == 0 {
		e.say(OK, "store", "it answers")
	}
}

func (e *exam) mail(ctx context.Context) {
	if e.gate.Mail.Outbox {
		e.say(Wrong, "mail", "no mail leaves the outbox; name a mail server: mail smtp { ... }, or mail mailgun { ... }")
		return
	}
	_, domain, _ := strings.Cut(e.From, "@")
	for _, f := range policy.Look(ctx, e.DNS, domain, e.Selector) {
		level := Wrong
		if f.Good {
			level = OK
		}
		e.say(level, f.Name, "%s", f.Says)
	}
}

func (e *exam) reveal() {
	if e.gate.UnknownEmail == "reveal" && !loopback(e.url) {
		e.say(Look, "unknown_email", "reveal tells anybody who asks whether a person is a client; leave the line out where that matters")
	}
}

func (e *exam) plugins() {
	for _, m := range e.gate.SignIn {
		if m.Reattach != "" {
			e.say(Wrong, "plugin "+m.Name, "reattach is for whoever writes the plugin: the gate neither starts it nor knows what runs there; take the line out")
		}
		if m.MTLS == "off" {
			e.say(Look, "plugin "+m.Name, "with mtls off any program of this user can answer in the plugin's place; take the line out if the plugin can do mutual TLS")
		}
	}
}

func (e *exam) desks() {
	for _, d := range e.seen.desks {
		switch {
		case d.StaffGate != "" && !d.gates[d.StaffGate]:
			e.say(Wrong, "staff", "portalgate_staff on %s has staff_gate %s, and that gate is not in front of it, so that all are refused; write `portalgate %[2]s` before it", d.at, d.StaffGate)
		case d.StaffGate == "" && !d.ClientCert && !d.auth:
			e.say(Wrong, "staff", "portalgate_staff on %s has nothing in front that says who is staff; add client_cert, staff_gate, or basic_auth before it", d.at)
		case len(d.Allow) == 0 && d.StaffGate == "":
			e.say(Look, "staff", "portalgate_staff on %s takes everybody whom the authenticator knows; name the staff: allow <id>...", d.at)
		default:
			e.say(OK, "staff", "on %s it is known who is staff", d.at)
		}
	}
}

func loopback(u *url.URL) bool {
	name := u.Hostname()
	ip := net.ParseIP(name)
	return ip.IsLoopback() || name == "localhost" || strings.HasSuffix(name, ".localhost")
}
