// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/mail/mailgun"
	"github.com/portalgate/portalgate/internal/mail/smtp"
)

// Mail is how mail leaves: one of these.
type Mail struct {
	// Keep mails in memory and show them in the portalgate_inbox handler, for
	// trying things out. Allowed with a loopback public_url only.
	Outbox bool `json:"outbox,omitempty"`

	// Hand mails to a mail server.
	SMTP *SMTP `json:"smtp,omitempty"`

	// Hand mails to Mailgun.
	Mailgun *Mailgun `json:"mailgun,omitempty"`
}

// SMTP is a mail server that takes the practice's mails. Its certificate is
// always checked.
type SMTP struct {
	// The server's name, and its port if it is not the usual one (587 for
	// starttls, 465 for implicit, 25 for none). Required.
	Host string `json:"host,omitempty"`

	// Who sends, for a server that asks. The password is meant to be a
	// placeholder, {env.NAME} or {file./path}.
	User     string `json:"user,omitempty"`
	Password string `json:"password,omitempty"`

	// How the connection is protected: "starttls", "implicit" (TLS from the
	// first byte), or "none" for a server on this machine. Default: starttls.
	TLS string `json:"tls,omitempty"`

	// The address that mails come from. Required.
	From string `json:"from,omitempty"`
}

// Mailgun is an account at Mailgun. Links and opened mails are never tracked,
// and mails are passed on over verified TLS only.
type Mailgun struct {
	// The sending domain, such as mg.willow.example. Required.
	Domain string `json:"domain,omitempty"`

	// The account's or the domain's sending key; meant to be a placeholder,
	// {env.NAME} or {file./path}. Required.
	APIKey string `json:"api_key,omitempty"`

	// The address that mails come from. Required.
	From string `json:"from,omitempty"`

	// Where the account is: "us" or "eu". Default: us.
	Region string `json:"region,omitempty"`

	// The URL of the API in place of the region's, up to its version.
	APIBase string `json:"api_base,omitempty"`

	// The key with which Mailgun signs its reports ("HTTP webhook signing
	// key"); meant to be a placeholder. With it, Mailgun may report what becomes
	// of mails to <public_url><path>/mailgun. Default: nothing is reported.
	WebhookKey string `json:"webhook_key,omitempty"`
}

// unmarshal reads what follows `mail`.
func (m *Mail) unmarshal(d *caddyfile.Dispenser) error {
	return kind(d, map[string]func(args []string) error{
		"outbox": func(args []string) error {
			if len(args) > 0 {
				return d.Errf("mail outbox takes nothing; %q is too much", args[0])
			}
			m.Outbox = true
			return nil
		},
		"smtp": func(args []string) error {
			m.SMTP = new(SMTP)
			return options(d, "mail smtp", args, m.SMTP.check, map[string]option{
				"host":     {&m.SMTP.Host, "smtp.example.com"},
				"user":     {&m.SMTP.User, "portal@willow.example"},
				"password": {&m.SMTP.Password, "{env.SMTP_PASSWORD}"},
				"tls":      {&m.SMTP.TLS, "starttls"},
				"from":     {&m.SMTP.From, "portal@willow.example"},
			})
		},
		"mailgun": func(args []string) error {
			m.Mailgun = new(Mailgun)
			return options(d, "mail mailgun", args, m.Mailgun.check, map[string]option{
				"domain":   {&m.Mailgun.Domain, "mg.willow.example"},
				"api_key":  {&m.Mailgun.APIKey, "{env.MAILGUN_API_KEY}"},
				"from":     {&m.Mailgun.From, "portal@mg.willow.example"},
				"region":   {&m.Mailgun.Region, "eu"},
				"api_base": {&m.Mailgun.APIBase, "https://api.eu.mailgun.net/v3"},

				"webhook_key": {&m.Mailgun.WebhookKey, "{env.MAILGUN_WEBHOOK_KEY}"},
			})
		},
	})
}

// option is one that takes a value, with an example of it.
type option struct {
	into    *string
	example string
}

// options reads a block in which every option takes one value.
func options(d *caddyfile.Dispenser, what string, args []string, check func() error, all map[string]option) error {
	start := *d
	if len(args) > 0 {
		return d.Errf("%s takes a block and no value", what) // the value may be a password
	}
	parse := make(map[string]func() error)
	for name, o := range all {
		parse[name] = func() error { return one(d, o.into, o.example) }
	}
	if err := block(d, what, parse); err != nil {
		return err
	}
	return at(&start, check())
}

// check reports what is wrong as far as it can be told without the values of
// placeholders.
func (m *Mail) check() error {
	ways := 0
	for _, set := range []bool{m.Outbox, m.SMTP != nil, m.Mailgun != nil} {
		if set {
			ways++
		}
	}
	switch {
	case ways == 0:
		return errors.New("mail is missing; say how mail leaves, mail smtp or mail mailgun with a block, or to try things out on localhost: mail outbox")
	case ways > 1:
		return errors.New("mail leaves in one way: keep one of outbox, smtp and mailgun")
	case m.SMTP != nil:
		return m.SMTP.check()
	case m.Mailgun != nil:
		return m.Mailgun.check()
	}
	return nil
}

func (s *SMTP) check() error {
	if s.Host == "" {
		return errors.New("mail smtp: host is missing; write the mail server's name: host smtp.example.com")
	}
	if err := checkFrom("smtp", s.From); err != nil {
		return err
	}
	if s.User != "" && s.Password == "" {
		return errors.New("mail smtp: there is a user without a password; write where it is kept: password {env.SMTP_PASSWORD}")
	}
	for _, v := range []string{s.Host, s.User, s.TLS} {
		if strings.Contains(v, "{") {
			return nil // known when it is resolved
		}
	}
	_, err := s.sender(s.Password)
	return err
}

func (s *SMTP) sender(password string) (mail.Sender, error) {
	sender, err := smtp.New(smtp.Options{Host: s.Host, User: s.User, Password: password, TLS: smtp.TLS(s.TLS)})
	if err != nil {
		return nil, fmt.Errorf("mail smtp: %v", err)
	}
	return sender, nil
}

func (m *Mailgun) check() error {
	switch {
	case m.Domain == "":
		return errors.New("mail mailgun: domain is missing; write the sending domain as Mailgun lists it: domain mg.willow.example")
	case m.APIKey == "":
		return errors.New("mail mailgun: api_key is missing; write where it is kept: api_key {env.MAILGUN_API_KEY}")
	}
	if err := checkFrom("mailgun", m.From); err != nil {
		return err
	}
	for _, v := range []string{m.Domain, m.Region, m.APIBase} {
		if strings.Contains(v, "{") {
			return nil
		}
	}
	_, err := m.sender(m.APIKey)
	return err
}

func (m *Mailgun) sender(key string) (mail.Sender, error) {
	sender, err := mailgun.New(mailgun.Options{Domain: m.Domain, Key: key, Region: m.Region, Base: m.APIBase})
	if err != nil {
		return nil, fmt.Errorf("mail mailgun: %v", err)
	}
	return sender, nil
}

func checkFrom(kind, from string) error {
	if from == "" {
		return fmt.Errorf("mail %s: from is missing; write the address that mails come from: from portal@willow.example", kind)
	}
	if strings.Contains(from, "{") {
		return nil
	}
	if a, err := address.Parse(from); err != nil || a.String() != from {
		return fmt.Errorf("mail %s: from is %q; write one address without a name, such as portal@willow.example", kind, from)
	}
	return nil
}

// resolved is what mail is sent with.
type resolved struct {
	sender  mail.Sender   // nil is the outbox
	reports mail.Reporter // nil if there are none
	from    string        // empty if nothing leaves
	// literal reports that a secret stands in the configuration itself.
	literal bool
}

// resolve fills in placeholders. m keeps them: it is what the admin API shows.
func (m *Mail) resolve() (r resolved, err error) {
	replacer := caddy.NewReplacer()
	fill := func(what string, v *string) {
		if err == nil && *v != "" {
			if *v, err = replacer.ReplaceOrErr(*v, true, true); err != nil {
				err = fmt.Errorf("%s: %v", what, err)
			}
		}
	}
	switch {
	case m.SMTP != nil:
		s := *m.SMTP
		for _, v := range []*string{&s.Host, &s.User, &s.Password, &s.TLS, &s.From} {
			fill("mail smtp", v)
		}
		s.Password = strings.TrimRight(s.Password, "\r\n") // a file ends with one
		if err == nil {
			err = s.check()
		}
		if err == nil {
			r.sender, err = s.sender(s.Password)
		}
		r.from, r.literal = s.From, s.Password != "" && s.Password == m.SMTP.Password
	case m.Mailgun != nil:
		g := *m.Mailgun
		for _, v := range []*string{&g.Domain, &g.APIKey, &g.From, &g.Region, &g.APIBase, &g.WebhookKey} {
			fill("mail mailgun", v)
		}
		g.APIKey, g.WebhookKey = strings.TrimSpace(g.APIKey), strings.TrimSpace(g.WebhookKey)
		if err == nil {
			err = g.check()
		}
		if err == nil {
			r.sender, err = g.sender(g.APIKey)
		}
		if err == nil && g.WebhookKey != "" {
			r.reports, err = mailgun.NewWebhook(g.WebhookKey)
		}
		r.from = g.From
		r.literal = g.APIKey == m.Mailgun.APIKey || g.WebhookKey != "" && g.WebhookKey == m.Mailgun.WebhookKey
	}
	return r, err
}
