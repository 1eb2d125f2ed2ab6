// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/identity"
	"github.com/portalgate/portalgate/internal/assertion"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/ui"
)

// Handler is the gate at one place in a server's routes, for one
// configuration. It may be used concurrently.
type Handler struct {
	*Config
	rt       *Runtime
	public   []pattern
	audience string
	host     string // of the public URL, in lower case, without a default port
	routes   map[string]route
}

// Handler returns the gate for one place. It fails if a public path is not one.
func (rt *Runtime) Handler(c *Config, o HandlerOptions) (*Handler, error) {
	h := &Handler{Config: c, rt: rt, audience: o.Audience, host: hostOf(c.PublicURL.Host, c.PublicURL.Scheme)}
	if h.audience == "" {
		h.audience = origin(c.PublicURL)
	}
	for _, p := range o.Public {
		pat, err := parsePattern(p)
		if err != nil {
			return nil, err
		}
		h.public = append(h.public, pat)
	}
	h.routes = h.table()
	rt.conf.CompareAndSwap(nil, c) // requests may come before Use
	return h, nil
}

// ServeHTTP serves the gate's own pages and lets everything else through to
// next with an identity, or not at all. What it answers itself it answers
// whole and returns nil, since an error would put the request's URL, and with
// it a link's secret, into the server's error log.
//
// r must be the server's own copy (http.Request.WithContext makes one), not
// the request that net/http is still filling: its trailers are dropped.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, f Front, next Next) error {
	v := &visit{Handler: h, w: w, r: r, front: f, now: h.rt.o.Now()}
	original := f.Original
	if original == nil {
		original = r.URL
	}
	v.path, v.query = original.Path, original.Query()
	_, own := h.routes[v.path]
	own = own || v.path == h.Path || strings.HasPrefix(v.path, h.Path+"/")
	if f.SkipLog != nil && (own && v.carriesSecret(original) || v.refersToSecret()) {
		f.SkipLog() // the log would keep the URI, the Referer and the answer's Location
	}
	switch {
	case r.Method == http.MethodTrace || r.Method == "TRACK" || r.Method == http.MethodConnect && r.Header[":protocol"] == nil:
		w.Header().Set("Allow", "GET, HEAD, POST")
		v.problem(http.StatusMethodNotAllowed, "method", "This method is not served.")
		return nil
	case h.secure() && !f.HTTPS, hostOf(r.Host, h.PublicURL.Scheme) != h.host:
		v.elsewhere(original)
		return nil
	case own && (r.TLS != nil && !r.TLS.HandshakeComplete || r.Header.Get("Early-Data") == "1"):
		// Early data can be replayed, and its sender's address be forged; a
		// proxy in front that took it says so (RFC 8470).
		w.WriteHeader(http.StatusTooEarly)
		return nil
	}
	eng, err := h.rt.open(r.Context())
	if err == nil {
		v.eng = eng
		v.jar = openJar(r, h.Name, h.secure(), &eng.keys, v.now)
	}
	_, nocookie := r.Cookie(cookieBase(h.Name, h.secure()))
	v.hasSession = nocookie == nil
	assertion.Strip(r)
	if own {
		v.own()
		return nil
	}
	if err != nil {
		v.unknown(err)
		return nil
	}
	return v.pass(original, next)
}

// visit is one request on its way through the gate.
type visit struct {
	*Handler
	w     http.ResponseWriter
	r     *http.Request
	front Front
	now   time.Time
	path  string     // as asked for, decoded
	query url.Values // as asked for
	eng   *engine
	jar   *jar
	// hasSession reports that a session cookie came, whether or not anybody
	// can tell whose it is.
	hasSession bool
}

// pass lets a request through with an identity, or asks who it is.
func (v *visit) pass(original *url.URL, next Next) error {
	open := v.isPublic(original)
	who, err := v.who()
	switch {
	case err != nil:
		v.unknown(err)
		return nil
	case who.SignedIn():
		return v.forward(who, next)
	case open && ambiguous(original):
		v.problem(http.StatusBadRequest, "path", "This path can be read in two ways.")
		return nil
	case open:
		return v.forward(nil, next)
	case foreignSocket(v.r, v.host, v.PublicURL.Scheme):
		v.problem(http.StatusForbidden, "origin", "This page may not open a connection here.")
		return nil
	}
	if !pageVisit(v.r) {
		v.unauthorized(original)
		return nil
	}
	v.jar.sweep(v.w)
	v.redirect(v.Path + returnQuery(safeReturn(original.RequestURI(), v.Path)))
	return nil
}

// forward hands the request on with a signed statement of who is asking; nil
// is nobody.
func (v *visit) forward(who *session.Visitor, next Next) error {
	if foreignSocket(v.r, v.host, v.PublicURL.Scheme) {
		v.problem(http.StatusForbidden, "origin", "This page may not open a connection here.")
		return nil
	}
	claims := identity.Claims{Issuer: origin(v.PublicURL), Audience: v.audience, Anonymous: who == nil}
	if v.refersToSecret() {
		v.r.Header.Del("Referer")
	}
	version := ""
	if who != nil {
		id := sessionID(who.Session.Hash)
		claims.Subject, claims.Email, claims.Name = who.Client.ID, who.Client.Email, who.Client.Name
		claims.Session, claims.AMR = id, []string{who.Session.Method}
		claims.AuthTime = time.Unix(who.Session.Made, 0)
		version = id + "\x00" + who.Client.Email + "\x00" + who.Client.Name
	}
	token, err := v.eng.ring.For(claims, version, v.now)
	if err != nil {
		v.unknown(err)
		return nil
	}
	if who != nil {
		v.eng.records.Active(who, v.Session)
		if v.front.SignedIn != nil {
			v.front.SignedIn(Identity{
				ID: claims.Subject, Email: claims.Email, Name: claims.Name,
				Method: who.Session.Method, Session: claims.Session,
			})
		}
	}
	assertion.Attach(v.r.Header, token, claims, !v.AssertionOnly)
	return next(&cleaner{ResponseWriter: v.w}, v.r)
}

// who returns whose session the request's cookie is.
func (v *visit) who() (*session.Visitor, error) {
	if v.jar.session == "" {
		return nil, nil
	}
	return v.eng.records.Who(v.r.Context(), v.jar.session, v.Clients, v.Session)
}

// cleaner keeps an upstream from setting the gate's cookies and from answering
// under the names of the identity headers.
type cleaner struct {
	http.ResponseWriter
	done bool
}

func (c *cleaner) WriteHeader(status int) {
	if !c.done {
		assertion.CleanResponse(c.Header())
		c.done = status >= 200 || status == http.StatusSwitchingProtocols
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *cleaner) Write(p []byte) (int, error) {
	if !c.done {
		c.WriteHeader(http.StatusOK)
	}
	return c.ResponseWriter.Write(p)
}

// FlushError cleans what is sent by flushing before anything was written.
func (c *cleaner) FlushError() error {
	if !c.done {
		c.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(c.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController hijack and set deadlines.
func (c *cleaner) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// elsewhere answers what came to another host or without TLS: a visit is sent
// to the gate's one origin, anything else is not for this server.
func (v *visit) elsewhere(original *url.URL) {
	if v.r.Method != http.MethodGet && v.r.Method != http.MethodHead {
		v.show(ui.Page{
			Status: http.StatusMisdirectedRequest, Title: "plain.title", Body: []ui.Block{ui.Lead("plain.lead")},
		})
		return
	}
	to := original.RequestURI()
	if !strings.HasPrefix(to, "/") {
		to = "/" // "GET http:.evil.example" would go on with the name of our host
	}
	v.w.Header().Set("Location", origin(v.PublicURL)+to)
	v.w.Header().Set("Referrer-Policy", "no-referrer")
	v.w.WriteHeader(http.StatusPermanentRedirect)
}

// unknown answers when the gate cannot tell who is asking. It forwards nothing
// and touches no cookie: fail closed, and sign nobody out.
func (v *visit) unknown(err error) {
	if !errors.Is(err, context.Canceled) {
		v.Log.Error("cannot tell who is asking", zap.Error(err))
	}
	v.w.Header().Set("Retry-After", "2")
	if !forPerson(v.r) {
		v.problem(http.StatusServiceUnavailable, "unavailable", "The gate cannot tell who is asking. Try again.")
		return
	}
	page := ui.Page{Status: http.StatusServiceUnavailable, Title: "down.title", Body: []ui.Block{
		ui.Lead("down.lead"), ui.Text("down.next"), ui.Link{Key: "down.button", Href: v.Path, Weight: ui.Main},
	}}
	if v.hasSession {
		page.Title, page.Body = "down.in.title", []ui.Block{ui.Lead("down.in.lead")}
	}
	v.show(page)
}

// unauthorized tells a program that it is not signed in, and where to.
func (v *visit) unauthorized(original *url.URL) {
	v.w.Header().Set("WWW-Authenticate", "Portalgate")
	back := "/"
	if ref, err := url.Parse(v.r.Referer()); err == nil && hostOf(ref.Host, ref.Scheme) == v.host {
		back = safeReturn(ref.RequestURI(), v.Path)
	}
	v.problemWith(http.StatusUnauthorized, "sign-in", "You are not signed in.", map[string]any{
		"sign_in": origin(v.PublicURL) + v.Path + returnQuery(back),
	})
}

// problem answers a program (RFC 9457).
func (v *visit) problem(status int, kind, title string) { v.problemWith(status, kind, title, nil) }

func (v *visit) problemWith(status int, kind, title string, more map[string]any) {
	doc := map[string]any{"type": "urn:portalgate:problem:" + kind, "title": title, "status": status}
	for k, m := range more {
		doc[k] = m
	}
	v.json(status, "application/problem+json", doc)
}

func (v *visit) json(status int, kind string, doc any) {
	h := v.w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	v.w.WriteHeader(status)
	if v.r.Method != http.MethodHead {
		_ = json.NewEncoder(v.w).Encode(doc) // the client may be gone
	}
}

func (v *visit) show(p ui.Page) { v.UI.Render(v.w, v.r, p) }

// redirect answers 303. The Location is written as it is: net/http would drop
// the bare "#" that keeps a browser from carrying a link's fragment along.
func (v *visit) redirect(to string) {
	v.w.Header().Set("Location", to)
	v.w.Header().Set("Cache-Control", "no-store")
	v.w.WriteHeader(http.StatusSeeOther)
}

func (h *Handler) secure() bool { return h.PublicURL.Scheme == "https" }

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

// hostOf returns a host in the one form in which hosts are compared.
func hostOf(host, scheme string) string {
	host = strings.ToLower(host) // a non-ASCII host never matches anyway
	name, port, err := net.SplitHostPort(host)
	if err == nil && (scheme == "https" && port == "443" || scheme == "http" && port == "80") {
		host = name
	}
	return host
}

// pageVisit reports whether a person's browser asks for a page to show.
func pageVisit(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && forPerson(r)
}

// forPerson reports whether a person will see the answer: that to a page
// visit, or to a form that was sent.
func forPerson(r *http.Request) bool {
	if r.Header.Get("Upgrade") != "" {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// foreignSocket reports whether a page of another origin opens a WebSocket:
// cookies come along with those, and no preflight asks (THREATS H10).
func foreignSocket(r *http.Request, host, scheme string) bool {
	socket := r.Method == http.MethodConnect
	for _, u := range r.Header["Upgrade"] {
		socket = socket || strings.Contains(strings.ToLower(u), "websocket")
	}
	from := r.Header.Get("Origin")
	if !socket || from == "" {
		return false
	}
	u, err := url.Parse(from)
	return err != nil || u.Scheme != scheme || hostOf(u.Host, scheme) != host
}
