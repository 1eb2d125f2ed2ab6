// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/session"
)

func init() { caddy.RegisterModule(Handler{}) }

// Handler puts a gate in front of the handlers after it: it serves the
// sign-in pages, and lets a request through only with an identity that it has
// established itself.
//
// For a signed-in request these placeholders are set:
//
// Placeholder | Description
// ------------|---------------
// `{http.auth.user.id}` | The client's id on file
// `{http.auth.user.email}` | The address on file
// `{http.auth.user.name}` | The name on file
// `{http.auth.user.method}` | How the client signed in
// `{http.auth.user.session}` | A hash that names the session
type Handler struct {
	// The gate's name. Default: main.
	Gate string `json:"gate,omitempty"`

	// Paths that need no sign-in, such as /assets/*. Where a rewrite comes before,
	// both the path as it came and as it is then must be among them. Identity
	// headers of the visitor's own making are removed there as everywhere.
	Public []string `json:"public,omitempty"`

	// The "aud" of the assertion that the upstream gets. Default: the gate's
	// public URL.
	Audience string `json:"audience,omitempty"`

	gate    *liveGate
	handler *gate.Handler
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.portalgate",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision finds the gate.
func (h *Handler) Provision(ctx caddy.Context) error {
	g, err := findGate(ctx, h.Gate)
	if err != nil {
		return err
	}
	h.gate = g
	h.handler, err = g.runtime.Handler(g.config, gate.HandlerOptions{Public: h.Public, Audience: h.Audience})
	if err != nil {
		return fmt.Errorf("portalgate: %w", err)
	}
	return nil
}

// findGate returns a gate of this configuration.
func findGate(ctx caddy.Context, name string) (*liveGate, error) {
	app, err := ctx.App("portalgate")
	if err != nil {
		return nil, err
	}
	return app.(*App).gate(cmp.Or(name, defaultGate))
}

// noGate says that a handler names a gate that is not there.
func noGate(name string, have map[string]*Gate) error {
	if len(have) == 0 {
		return errors.New("there is no gate; add one to the global options at the top of the file: portalgate { ... }")
	}
	return fmt.Errorf("there is no gate %q; there are: %s", name, strings.Join(slices.Sorted(maps.Keys(have)), ", "))
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if r.Header["X-Forwarded-For"] != nil {
		h.gate.reportForwarded(r)
	}
	return h.handler.ServeHTTP(w, r, front(r), next.ServeHTTP)
}

// front tells the gate what Caddy knows of a request.
func front(r *http.Request) gate.Front {
	return gate.Front{
		IP:       clientIP(r),
		Original: originalURL(r),
		HTTPS:    r.TLS != nil || forwardedHTTPS(r),
		SkipLog:  skipLog,
		SignedIn: signedIn,
	}
}

func skipLog(r *http.Request) { caddyhttp.SetVar(r.Context(), caddyhttp.LogSkipVar, true) }

// clientVar is set on a request that a gate has signed a client in for.
const clientVar = "portalgate.client"

// signedIn sets the placeholders.
func signedIn(r *http.Request, who *session.Visitor) {
	caddyhttp.SetVar(r.Context(), clientVar, true)
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return
	}
	repl.Set("http.auth.user.id", who.Client.ID) // the access log's user_id
	repl.Set("http.auth.user.email", who.Client.Email)
	repl.Set("http.auth.user.name", who.Client.Name)
	repl.Set("http.auth.user.method", who.Session.Method)
	repl.Set("http.auth.user.session", who.SID)
}

// clientIP is the address that Caddy's trusted_proxies let us believe, or none
// (on a unix socket).
func clientIP(r *http.Request) netip.Addr {
	s, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	ip, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap().WithZone("")
}

// originalURL is the URL before rewrite, uri and try_files, which run before
// us.
func originalURL(r *http.Request) *url.URL {
	if o, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && o.URL != nil {
		return o.URL
	}
	return r.URL
}

// forwardedHTTPS reports whether a proxy that the operator trusts says that it
// got the request over TLS. Anything but one plain "https" is a no.
func forwardedHTTPS(r *http.Request) bool {
	proto := r.Header.Values("X-Forwarded-Proto")
	return trusted(r) && len(proto) == 1 && proto[0] == "https"
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
