// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/portalgate/portalgate/internal/mail/outbox"
)

func init() { caddy.RegisterModule(Inbox{}) }

// Inbox shows the mails of a gate that has `mail outbox`, for trying things
// out. Whoever reads them can sign in as anybody, so it answers only requests
// from this machine that ask for this machine by name.
type Inbox struct {
	// The gate's name. Default: main.
	Gate string `json:"gate,omitempty"`

	mailbox http.Handler
}

// CaddyModule returns the Caddy module information.
func (Inbox) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.portalgate_inbox",
		New: func() caddy.Module { return new(Inbox) },
	}
}

// Provision finds the gate, and refuses one that real clients use.
func (i *Inbox) Provision(ctx caddy.Context) error {
	g, err := findGate(ctx, i.Gate)
	if err != nil {
		return err
	}
	if u := g.config.PublicURL; !isLoopback(u.Hostname()) {
		return fmt.Errorf("portalgate_inbox shows everybody's sign-in links, and %s is not a loopback address; remove portalgate_inbox", u)
	}
	i.mailbox = outbox.Loopback(g.runtime.Outbox().Handler())
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (i *Inbox) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	i.mailbox.ServeHTTP(w, r)
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Inbox)(nil)
	_ caddyhttp.MiddlewareHandler = (*Inbox)(nil)
)
