// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/staff"
)

func init() { caddy.RegisterModule(Staff{}) }

// Staff is the desk at which the people of a practice help their clients. It
// serves whoever an authenticator in front of it has vouched for, Caddy's
// basic_auth for one, or a certificate, or a gate of the staff's own; everybody
// else gets the same 403, a client who is signed in included.
//
// All addresses are relative to where it is mounted: at the root of a site of
// its own, or below a prefix that `handle_path` takes away.
type Staff struct {
	// The name of the gate that is looked after. Default: main.
	Gate string `json:"gate,omitempty"`

	// The name of the gate in front, whose clients are the staff. Every page then
	// has a link to sign out of it. Without it nobody who came through a gate is
	// staff.
	StaffGate string `json:"staff_gate,omitempty"`

	// Whether a staff member is who a verified client certificate says: the
	// common name of its subject. Nothing else counts then.
	ClientCert bool `json:"client_cert,omitempty"`

	// The ids that are staff. Default: every id that was vouched for.
	Allow []string `json:"allow,omitempty"`

	desk *staff.Desk
}

// CaddyModule returns the Caddy module information.
func (Staff) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.portalgate_staff",
		New: func() caddy.Module { return new(Staff) },
	}
}

// Provision finds the gates, and refuses what would make clients staff.
func (s *Staff) Provision(ctx caddy.Context) error {
	g, err := findGate(ctx, s.Gate)
	if err != nil {
		return err
	}
	app, err := ctx.App("portalgate")
	if err != nil {
		return err
	}
	if err := s.check(app.(*App).Gates); err != nil {
		return fmt.Errorf("portalgate_staff: %w", err)
	}
	o := staff.Options{
		Gate: g.runtime, UI: g.config.UI, Log: g.config.Log,
		Rule: staff.Rule{Gate: s.StaffGate, ClientCert: s.ClientCert, Allow: s.Allow},
	}
	if s.StaffGate != "" {
		front, err := findGate(ctx, s.StaffGate)
		if err != nil {
			return err
		}
		o.SignOut = front.config.UI.Practice().Path + "/sign-out"
	}
	s.desk = staff.New(o)
	return nil
}

// check returns what is wrong with a desk, if these are the gates.
func (s *Staff) check(gates map[string]*Gate) error {
	if slices.Contains(s.Allow, "") {
		return errors.New("allow has an empty id, which would be nobody's; write the ids of the staff")
	}
	name := cmp.Or(s.Gate, defaultGate)
	switch {
	case s.StaffGate == "":
		return nil
	case s.StaffGate == name:
		return fmt.Errorf("staff_gate is %q, the gate that is looked after, and its clients would be staff; give the staff a gate of their own: portalgate staff { ... }", name)
	case gates[s.StaffGate] == nil:
		return fmt.Errorf("staff_gate: %w", noGate(s.StaffGate, gates))
	}
	if g := gates[name]; g != nil && g.Clients.same(&gates[s.StaffGate].Clients) {
		return fmt.Errorf("staff_gate %q has the list of clients of gate %q, and all of them would be staff; give it a list of the staff: clients file ./staff.csv", s.StaffGate, name)
	}
	return nil
}

// sameList reports whether two lists of clients are one file.
func sameList(a, b string) bool {
	a, errA := filepath.Abs(a)
	b, errB := filepath.Abs(b)
	return errA == nil && errB == nil && a == b
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (s *Staff) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	f := staff.Front{IP: clientIP(r), HTTPS: r.TLS != nil || forwardedHTTPS(r)}
	f.TLS = r.TLS
	f.Passages = gate.Passages(r.Context())
	// Caddy hands the request to its error routes as it was before any handler
	// had put something into its context, and with all placeholders.
	f.Afterwards = r.Context().Value(caddyhttp.ErrorCtxKey) != nil ||
		// So does a handler that answers in the place of another (intercept).
		len(f.Passages) == 0 && caddyhttp.GetVar(r.Context(), clientVar) != nil
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		f.User, _ = repl.GetString("http.auth.user.id")
	}
	if r.URL.RawQuery != "" {
		skipLog(r) // somebody's name or address was searched for; the audit log has the request
	}
	s.desk.ServeHTTP(w, r, f)
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Staff)(nil)
	_ caddyhttp.MiddlewareHandler = (*Staff)(nil)
)
