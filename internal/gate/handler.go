// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

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
	passive  []pattern
	issuer   string // the public URL
	audience string
	host     string // of the public URL, in lower case, without a default port
	cookie   string // the session's name
	routes   map[string]route
}

// Handler returns the gate for one place. It fails if a public or passive path
// is not one.
func (rt *Runtime) Handler(c *Config, o HandlerOptions) (h *Handler, err error) {
	h = &Handler{
		Config: c, rt: rt, issuer: origin(c.PublicURL), audience: o.Audience,
		host: hostOf(c.PublicURL.Host, c.PublicURL.Scheme),
	}
	h.cookie = cookieBase(c.Name, h.secure())
	if h.audience == "" {
		h.audience = h.issuer
	}
	if h.public, err = parsePatterns("public", o.Public); err != nil {
		return nil, err
	}
	if h.passive, err = parsePatterns("passive", c.Passive); err != nil {
		return nil, err
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
	v := &visit{Handler: h, w: w, r: r, front: f, now: h.rt.now()}
	v.original = f.Original
	if v.original == nil {
		v.original = r.URL
	}
	v.path = v.original.Path
	defer v.settle(wasRefused) // unless it was settled before
	_, own := h.routes[v.path]
	own = own || v.path == h.Path || strings.HasPrefix(v.path, h.Path+"/")
	if own {
		v.query = v.original.Query()
	}
	if f.SkipLog != nil && (own && v.carriesSecret() || v.refersToSecret()) {
		f.SkipLog(r) // the log would keep the URI, the Referer and the answer's Location
	}
	switch {
	case v.asksHealth():
		v.settle(wasOwn)
		v.health()
		return nil
	case r.Method == http.MethodTrace || r.Method == "TRACK" || r.Method == http.MethodConnect && r.Header[":protocol"] == nil:
		w.Header().Set("Allow", "GET, HEAD, POST")
		v.problem(http.StatusMethodNotAllowed, "method", "This method is not served.")
		return nil
	case h.secure() && !f.HTTPS, r.Host != h.host && hostOf(r.Host, h.PublicURL.Scheme) != h.host:
		v.settle(wasElsewhere)
		v.elsewhere()
		return nil
	case own && (r.TLS != nil && !r.TLS.HandshakeComplete || r.Header.Get("Early-Data") == "1"):
		// Early data can be replayed, and its sender's address be forged; a
		// proxy in front that took it says so (RFC 8470).
		w.WriteHeader(http.StatusTooEarly)
		return nil
	}
	v.begin()
	var err error
	v.eng, err = h.rt.open(r.Context())
	v.cookies = r.Header["Cookie"]
	v.session, v.hasSession = oneCookie(v.cookies, h.cookie)
	if own && err == nil {
		v.openJar()
	}
	assertion.Strip(v.r)
	if own {
		v.own()
		v.settle(wasOwn)
		return nil
	}
	if err != nil {
		v.unknown(err)
		return nil
	}
	return v.pass(next)
}

// visit is one request on its way through the gate.
type visit struct {
	*Handler
	w        http.ResponseWriter
	r        *http.Request
	front    Front
	now      time.Time
	original *url.URL   // as asked for
	path     string     // of that, decoded
	query    url.Values // of that, for the gate's own addresses
	eng      *engine
	cookies  []string // as they came, where the jar is opened late
	jar      *jar     // for the gate's own addresses
	// session is the value of the session cookie. hasSession reports that one
	// came, whether or not anybody can tell whose it is.
	session    string
	hasSession bool
	decision
}

// pass lets a request through with an identity, or asks who it is.
func (v *visit) pass(next Next) error {
	open := v.isPublic()
	who, err := v.who()
	switch {
	case err != nil:
		v.unknown(err)
		return nil
	case who.SignedIn():
		return v.forward(who, next)
	case open && (ambiguous(v.original) || ambiguous(v.r.URL)):
		v.problem(http.StatusBadRequest, "path", "This path can be read in two ways.")
		return nil
	case open:
		return v.forward(nil, next)
	case foreignSocket(v.r, v.host, v.PublicURL.Scheme):
		v.problem(http.StatusForbidden, "origin", "This page may not open a connection here.")
		return nil
	}
	v.settle(wasNotSignedIn)
	switch {
	case pageVisit(v.r):
		v.sweep()
		v.redirect(v.Path + returnQuery(safeReturn(v.original.RequestURI(), v.Path)))
	case v.r.Method == http.MethodPost && forPerson(v.r):
		v.lateForm()
	default:
		v.unauthorized()
	}
	return nil
}

// forward hands the request on with a signed statement of who is asking; nil
// is nobody.
func (v *visit) forward(who *session.Visitor, next Next) error {
	if foreignSocket(v.r, v.host, v.PublicURL.Scheme) {
		v.problem(http.StatusForbidden, "origin", "This page may not open a connection here.")
		return nil
	}
	if v.refersToSecret() {
		v.r.Header.Del("Referer")
	}
	claims := identity.Claims{Issuer: v.issuer, Audience: v.audience, Anonymous: who == nil}
	if who != nil {
		claims.Subject, claims.Email, claims.Name = who.Client.ID, who.Client.Email, who.Client.Name
		claims.Session, claims.AMR = who.SID, who.AMR
		claims.AuthTime = time.Unix(who.Session.Made, 0)
	}
	// By this machine's clock: the upstream's is nearer to it than to the store's.
	token, err := v.eng.ring.For(claims, v.rt.o.Now())
	if err != nil {
		v.unknown(err)
		return nil
	}
	assertion.Attach(v.r.Header, token, claims, !v.AssertionOnly)
	if who == nil {
		v.settle(wasPublic)
		ctx := withPassage(v.r.Context(), Passage{Gate: v.Name})
		return next(&cleaner{ResponseWriter: v.w}, v.r.WithContext(ctx))
	}
	long := staysOpen(v.r)
	if !long && !matchesAny(v.passive, v.path) {
		v.eng.records.Active(who, v.Session)
	}
	if v.front.SignedIn != nil {
		v.front.SignedIn(v.r, who)
	}
	v.settle(wasSignedIn)
	ctx, stream := v.eng.records.Follow(v.r.Context(), who, long)
	defer stream.Close()
	if v.r.ContentLength != 0 { // the server may have wrapped an empty body
		defer stopReading(ctx, v.w)()
	}
	return next(&cleaner{ResponseWriter: v.w, session: ctx}, v.r.WithContext(withPassage(ctx, Passage{Gate: v.Name, SignedIn: true})))
}

// stopReading stops the reading of a request's body when ctx is done. Whoever
// reads it would go on until the client sends more, and so would net/http,
// which reads on after the handler before it lets the client know.
func stopReading(ctx context.Context, w http.ResponseWriter) (stop func()) {
	done := make(chan struct{})
	off := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) // a server that has no such thing reads on
	})
	return func() {
		if off() {
			return
		}
		<-done // w is not to be used after the handler
		// Nor is the connection: what has failed once to be read would fail every
		// request that comes on it.
		w.Header().Set("Connection", "close")
	}
}

// staysOpen reports whether a request is for a connection that stays open by
// itself. Such a one is no activity, or a page that reconnects would keep its
// client signed in for ever.
func staysOpen(r *http.Request) bool {
	return r.Method == http.MethodConnect || r.Header["Upgrade"] != nil ||
		strings.HasPrefix(r.Header.Get("Accept"), "text/event-stream")
}

// who returns whose session the request's cookie is.
func (v *visit) who() (*session.Visitor, error) {
	if v.session == "" {
		return nil, nil
	}
	return v.eng.records.Who(v.r.Context(), v.session, v.Clients, v.Session)
}

// cleaner keeps an upstream from setting the gate's cookies and from answering
// under the names of the identity headers.
type cleaner struct {
	http.ResponseWriter
	done bool
	// session ends with the session, nil if there is none. Not every handler
	// looks at its request's context: a file that is being sent stops here.
	session context.Context
}

func (c *cleaner) WriteHeader(status int) {
	if !c.done {
		assertion.CleanResponse(c.Header())
		c.done = status >= 200 || status == http.StatusSwitchingProtocols
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *cleaner) Write(p []byte) (int, error) {
	if c.session != nil && c.session.Err() != nil {
		return 0, c.session.Err()
	}
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
