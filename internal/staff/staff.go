// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package staff is the front desk: what the people of a practice do for their
// clients, as pages (the console) and as a JSON API. A [Rule] says who they are,
// and a [Desk] serves them.
//
// It refuses everything to everybody else, alike and before it looks at what
// was asked for. It writes down who asks for what before it does it, looking
// included, and does nothing that cannot be written down. It decides nothing
// about clients: that is done by the gate it is the desk of.
//
// Every address is one line of [Desk.Routes], and pages and API are two ways to
// ask the same [Gate] for the same things.
package staff

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/reply"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/ui"
)

// Options is what a Desk needs.
type Options struct {
	Gate Gate
	Rule Rule
	// SignOut is where those sign out who came through the gate of Rule, as a path
	// of the site that the desk is on; empty if there is no such gate.
	SignOut string
	// UI has the texts, and knows whose they are.
	UI  *ui.UI
	Log *zap.Logger
}

// Desk serves the staff of one gate. It may be used concurrently.
type Desk struct {
	Options
	routes []route
	mux    *http.ServeMux
}

// New returns the desk of a gate.
func New(o Options) *Desk {
	d := &Desk{Options: o, mux: http.NewServeMux()}
	d.routes = d.table()
	for _, rt := range d.routes {
		d.mux.HandleFunc(rt.method+" "+rt.path, func(w http.ResponseWriter, r *http.Request) {
			v := &visit{Desk: d, w: w.(*noted), r: r, page: rt.page}
			v.w.route = rt.method + " " + rt.path
			v.do(rt)
		})
	}
	return d
}

// route serves what the path and the method name, if there is such a route.
func (d *Desk) route(w *noted, r *http.Request) {
	if _, pattern := d.mux.Handler(r); pattern != "" {
		d.mux.ServeHTTP(w, r)
		return
	}
	var allowed []string
	for _, method := range []string{"DELETE", "GET", "PATCH", "POST"} {
		other := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := d.mux.Handler(other); pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if allowed == nil {
		d.nothing(w, r)
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	v := &visit{Desk: d, w: w, r: r, page: isPage(r)}
	v.failed(&trouble{status: http.StatusMethodNotAllowed, kind: "method"})
}

// isPage reports whether a person asks, by what is asked for.
func isPage(r *http.Request) bool { return !strings.HasPrefix(r.URL.Path, "/api/") }

// nothing answers that there is nothing at an address.
func (d *Desk) nothing(w *noted, r *http.Request) {
	v := &visit{Desk: d, w: w, r: r, page: isPage(r)}
	v.failed(&trouble{status: http.StatusNotFound, kind: "address"})
}

// Routes lists every route as method and path, below the place where the desk
// is mounted.
func (d *Desk) Routes() []string {
	var all []string
	for _, rt := range d.routes {
		all = append(all, rt.method+" "+rt.path)
	}
	return all
}

// Front is what the server in front knows of a request.
type Front struct {
	Claim
	// IP is where it comes from, proxies the operator trusts taken into account.
	IP netip.Addr
	// HTTPS reports whether it came over TLS, to here or to such a proxy.
	HTTPS bool
}

var crossOrigin = http.NewCrossOriginProtection()

// do does what a route is for, once it is written down that it was asked for. It
// is the one way to it: what nobody could find out about later is not done.
func (v *visit) do(rt route) {
	if id := v.r.PathValue("id"); clientID.MatchString(id) {
		v.w.client = id
	}
	what := rt.what
	if rt.tried != "" && v.r.URL.Query().Has("dry_run") {
		what = rt.tried
	}
	err := v.Gate.Note(v.r.Context(), audit.Event{What: what, Client: v.w.client, By: v.w.by, From: v.w.from})
	if err != nil {
		v.failed(fmt.Errorf("writing down who asks: %w (%w)", err, store.ErrUnknown))
		return
	}
	v.r = v.r.WithContext(gate.Acting(v.r.Context(), v.w.by, v.w.from))
	rt.serve(v)
	if v.w.status < http.StatusBadRequest {
		return
	}
	// That it was asked for is written down; that it was refused may be missing.
	err = v.Gate.Note(v.r.Context(), audit.Event{
		What: what, Client: v.w.client, By: v.w.by, From: v.w.from, Outcome: cmp.Or(v.w.refused, "status-"+strconv.Itoa(v.w.status)),
	})
	if err != nil {
		v.Log.Warn("writing down that the desk has refused something", zap.Error(err))
	}
}

// ServeHTTP serves one of the staff, and refuses everybody else. The path of r
// is relative to where the desk is mounted.
func (d *Desk) ServeHTTP(w http.ResponseWriter, r *http.Request, f Front) {
	out := &noted{ResponseWriter: w}
	switch {
	case r.TLS != nil && !r.TLS.HandshakeComplete || r.Header.Get("Early-Data") == "1":
		// What can be replayed, by whoever has seen it, is not taken.
		out.WriteHeader(http.StatusTooEarly)
		return
	case !f.HTTPS && !loopback(r.Host):
		// Another site's name can be made to point here, and its page is then of
		// the same origin as the desk (DNS rebinding). Over TLS the certificate
		// has kept it out; without, only this machine is served, by name.
		reply.Problem(out, r, http.StatusMisdirectedRequest, "host", "Without TLS the desk can be reached as localhost only.", nil)
		return
	}
	id, because := d.Rule.Who(f.Claim)
	if id == "" {
		d.Gate.Audit("staff_refused", zap.String("because", because), zap.String("claims", claims(f.Claim)),
			zap.String("method", r.Method), zap.String("from", f.IP.String()))
		reply.Problem(out, r, http.StatusForbidden, "not-staff", "This is for staff.", nil)
		return
	}
	out.by, out.from, out.through = id, f.IP.String(), len(f.Passages) > 0
	defer func() {
		d.Gate.Audit("staff_request", zap.String("by", id), zap.String("route", out.route), zap.String("client", out.client),
			zap.Int("status", out.status), zap.String("from", out.from))
	}()
	if err := crossOrigin.Check(r); err != nil {
		reply.Problem(out, r, http.StatusForbidden, "origin", "Another website sent this.", nil)
		return
	}
	if p := r.URL.Path; p == "" || path.Clean(p) != p && path.Clean(p)+"/" != p { // the mux would redirect, and not know where to
		d.nothing(out, r)
		return
	}
	d.route(out, r)
}

// claims is whom a refused request is from, as far as anybody has said so, cut
// to a length that a log can bear.
func claims(c Claim) string {
	id := c.User
	if id == "" {
		id = certified(c.TLS)
	}
	return id[:min(len(id), maxID)]
}

// noted is an answer of which is noted what it was, for the audit log.
type noted struct {
	http.ResponseWriter
	by, from      string // who asks, and from where
	through       bool   // whether who asks came through the gate of the rule
	route, client string
	status        int
	refused       string // the kind of trouble why it was
}

func (n *noted) WriteHeader(status int) {
	n.status = status
	n.ResponseWriter.WriteHeader(status)
}
