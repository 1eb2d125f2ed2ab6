// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/portalgate/portalgate/identity"
)

// debugLog keeps what the gate tells upstreams out of the DEBUG log. At that
// level reverse_proxy logs each request as it went to the upstream, whole, and
// Caddy blanks only Cookie and Authorization in it: whoever reads the log could
// sign in as anybody who is active, for as long as an assertion lives. There
// is no hook for another header's name, so reverse_proxy's transport is put
// into one that shows the log a blanked copy. At INFO nothing of this is done.
//
// It does not reach everything: see the warning in watch.
type debugLog struct {
	http *caddyhttp.App // nil if there is nothing to do
	once sync.Once
}

// watch makes sure that cover has run before the first request of a
// configuration whose reverse_proxy logs at DEBUG. It is called when the
// routes are not all there yet, so it cannot do it itself.
func (d *debugLog) watch(ctx caddy.Context) {
	if d.http != nil || !ctx.Logger(reverseproxy.Handler{}).Core().Enabled(zap.DebugLevel) {
		return
	}
	for _, m := range ctx.Modules() {
		if app, ok := m.(*caddyhttp.App); ok {
			d.http = app
		}
	}
	if d.http == nil {
		return
	}
	ctx.Logger(App{}).Warn("at DEBUG the log holds requests whole; assertions, addresses and names are blanked where reverse_proxy logs them, but not by rewrite, uri or handle_path behind portalgate, by php_fastcgi, or by a reverse_proxy with active health checks: an assertion is valid for 60 s, so do not let others read such a log, or delete request>headers>Portalgate-Assertion in it with the filter format")
	for _, s := range d.http.Servers {
		if s == nil {
			continue
		}
		s.RegisterConnContext(func(ctx context.Context, _ net.Conn) context.Context {
			d.cover()
			return ctx
		})
	}
}

// cover puts every reverse_proxy's transport into a quiet one, once.
func (d *debugLog) cover() {
	d.once.Do(func() {
		if d.http == nil {
			return
		}
		for _, s := range d.http.Servers {
			coverRoutes(s.Routes)
			for _, r := range s.NamedRoutes {
				coverRoutes(caddyhttp.RouteList{*r})
			}
			if s.Errors != nil {
				coverRoutes(s.Errors.Routes)
			}
		}
	})
}

func coverRoutes(routes caddyhttp.RouteList) {
	for _, r := range routes {
		for _, h := range r.Handlers {
			switch h := h.(type) {
			case *caddyhttp.Subroute:
				coverRoutes(h.Routes)
				if h.Errors != nil {
					coverRoutes(h.Errors.Routes)
				}
			case *intercept.Intercept:
				coverResponses(h.HandleResponse)
			case *reverseproxy.Handler:
				coverResponses(h.HandleResponse)
				if _, done := h.Transport.(quiet); done || h.HealthChecks != nil && h.HealthChecks.Active != nil {
					continue // its health checker reads the field at any time
				}
				h.Transport = quiet{h.Transport}
			}
		}
	}
}

func coverResponses(all []caddyhttp.ResponseHandler) {
	for _, r := range all {
		coverRoutes(r.Routes)
	}
}

// quiet is a transport that leaves a request with the values blanked that do
// not belong in a log.
type quiet struct{ http.RoundTripper }

func (q quiet) RoundTrip(r *http.Request) (*http.Response, error) {
	// The transport may go on reading what it was given after it has returned,
	// so it gets r's header and r the copy.
	res, err := q.RoundTripper.RoundTrip(r.WithContext(r.Context()))
	blanked := r.Header.Clone()
	for _, name := range []string{identity.HeaderAssertion, identity.HeaderEmail, identity.HeaderName} {
		if blanked[name] != nil {
			blanked[name] = []string{"REDACTED"}
		}
	}
	r.Header = blanked
	return res, err
}

// What reverse_proxy asks of its transport while it runs.

// ProxyProtocolEnabled implements reverseproxy.ProxyProtocolTransport.
func (q quiet) ProxyProtocolEnabled() bool {
	t, ok := q.RoundTripper.(reverseproxy.ProxyProtocolTransport)
	return ok && t.ProxyProtocolEnabled()
}

// RequiresContentLength implements reverseproxy.ContentLengthRequiredTransport.
func (q quiet) RequiresContentLength() bool {
	t, ok := q.RoundTripper.(reverseproxy.ContentLengthRequiredTransport)
	return ok && t.RequiresContentLength()
}

// OverrideHealthCheckScheme implements
// reverseproxy.HealthCheckSchemeOverriderTransport.
func (q quiet) OverrideHealthCheckScheme(base *url.URL, port string) {
	if t, ok := q.RoundTripper.(reverseproxy.HealthCheckSchemeOverriderTransport); ok {
		t.OverrideHealthCheckScheme(base, port)
	}
}

// Interface guards
var (
	_ reverseproxy.ProxyProtocolTransport              = quiet{}
	_ reverseproxy.ContentLengthRequiredTransport      = quiet{}
	_ reverseproxy.HealthCheckSchemeOverriderTransport = quiet{}
)
