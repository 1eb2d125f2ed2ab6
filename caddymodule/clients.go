// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/directory/file"
	directoryhttp "github.com/portalgate/portalgate/internal/directory/http"
)

// Clients is the list of who is on file: one of these. Default: managed.
type Clients struct {
	// Keep the list in the gate's store, where staff and `caddy portalgate
	// clients` change it.
	Managed bool `json:"managed,omitempty"`

	// A CSV file with the columns id, email and name, and optionally phone,
	// language, portal_access and email_ok. It is read again when it changes.
	File string `json:"file,omitempty"`

	// The practice's own system, which is asked.
	HTTP *ClientsHTTP `json:"http,omitempty"`
}

// ClientsHTTP is a system of the practice that says who is on file. An outage of
// it, or an answer that makes no sense, keeps people from signing in until it is
// over, and signs nobody out.
type ClientsHTTP struct {
	// Where it answers: https, or http on a loopback address. Required.
	URL string `json:"url,omitempty"`

	// What it knows the gate by; meant to be a placeholder, {env.NAME} or
	// {file./path}. Required.
	Token string `json:"token,omitempty"`
}

// unmarshal reads what follows `clients`.
func (c *Clients) unmarshal(d *caddyfile.Dispenser) error {
	return kind(d, map[string]func(args []string) error{
		"managed": func(args []string) error {
			if len(args) > 0 {
				return d.Errf("clients managed takes nothing; %q is too much", args[0])
			}
			c.Managed = true
			return nil
		},
		"file": func(args []string) error {
			if len(args) != 1 || args[0] == "" {
				return d.Err("clients file takes one CSV file: clients file ./clients.csv")
			}
			c.File = args[0]
			return nil
		},
		"http": func(args []string) error {
			c.HTTP = new(ClientsHTTP)
			if len(args) != 1 {
				return d.Err("clients http takes one address and a block: clients http https://office.example.com/portalgate { ... }")
			}
			c.HTTP.URL = args[0]
			return options(d, "clients http", nil, c.HTTP.check, map[string]option{
				"token": {&c.HTTP.Token, "{env.OFFICE_TOKEN}"},
			})
		},
	})
}

// check reports what is wrong as far as it can be told without the values of
// placeholders.
func (c *Clients) check() error {
	ways := 0
	for _, set := range []bool{c.Managed, c.File != "", c.HTTP != nil} {
		if set {
			ways++
		}
	}
	if ways > 1 {
		return errors.New("clients are on one list: keep one of managed, file and http")
	}
	if c.HTTP != nil {
		return c.HTTP.check()
	}
	return nil
}

func (h *ClientsHTTP) check() error {
	if h.Token == "" {
		return errors.New("clients http: token is missing; write where it is kept: token {env.OFFICE_TOKEN}")
	}
	if strings.Contains(h.URL, "{") {
		return nil // known when it is resolved
	}
	if err := directoryhttp.CheckURL(h.URL); err != nil {
		return fmt.Errorf("clients http: %v", err)
	}
	return nil
}

// resolve returns the list, nil for the one that the gate keeps. literal reports
// that the token stands in the configuration itself.
func (c *Clients) resolve() (list directory.Directory, literal bool, err error) {
	switch {
	case c.File != "":
		path, err := filepath.Abs(c.File)
		if err != nil {
			return nil, false, fmt.Errorf("clients: %v", err)
		}
		f, err := file.Open(path)
		if err != nil {
			return nil, false, fmt.Errorf("clients: %v", err)
		}
		return f, false, nil
	case c.HTTP != nil:
		var o directoryhttp.Options
		replacer := caddy.NewReplacer()
		if o.URL, err = replacer.ReplaceOrErr(c.HTTP.URL, true, true); err == nil {
			o.Token, err = replacer.ReplaceOrErr(c.HTTP.Token, true, true)
		}
		if err != nil {
			return nil, false, fmt.Errorf("clients http: %v", err)
		}
		o.Token = strings.TrimRight(o.Token, "\r\n") // a file ends with one
		d, err := directoryhttp.New(o)
		if err != nil {
			return nil, false, fmt.Errorf("clients http: %v", err)
		}
		return d, o.Token == c.HTTP.Token, nil
	}
	return nil, false, nil
}

// same reports whether two gates have one list of clients. What each keeps itself
// is never one.
func (c *Clients) same(other *Clients) bool {
	if c.HTTP != nil && other.HTTP != nil {
		return c.HTTP.URL == other.HTTP.URL
	}
	return c.File != "" && other.File != "" && sameList(c.File, other.File)
}
