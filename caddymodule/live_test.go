// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"golang.org/x/net/html"
)

// TestMain lets the test binary be the portalgate command, for tests that need
// a second process.
func TestMain(m *testing.M) {
	if os.Getenv("PORTALGATE_TEST_AS_COMMAND") != "" {
		caddycmd.Main()
		return
	}
	os.Exit(m.Run())
}

// live is a Caddy that runs in this process, with a gate, an inbox and an
// upstream. There is one Caddy per process, so these tests do not run in
// parallel.
type live struct {
	t        *testing.T
	dir      string
	portal   string // origin
	inbox    string
	upstream *httptest.Server

	mu   sync.Mutex
	seen []http.Header // guarded by mu; what reached the upstream
	hold chan struct{} // guarded by mu; /hold waits for it
	held chan struct{} // is sent to when something holds
}

// newLive prepares files and ports. Nothing runs before the first load.
func newLive(t *testing.T) *live {
	l := &live{t: t, dir: t.TempDir(), portal: "http://localhost:" + freePort(t), inbox: "http://localhost:" + freePort(t),
		hold: make(chan struct{}), held: make(chan struct{}, 1)}
	l.upstream = httptest.NewServer(http.HandlerFunc(l.serve))
	l.write("clients.csv", "id,email,name\nc-ada,ada@example.com,Ada Lovelace\nc-grace,grace+clinic@gmail.com,Grace Hopper\n")
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping: %v", err)
		}
		l.upstream.Close()
	})
	return l
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// serve is the upstream.
func (l *live) serve(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	l.seen = append(l.seen, r.Header.Clone())
	hold := l.hold
	l.mu.Unlock()
	if r.URL.Path == "/hold" {
		l.held <- struct{}{}
		<-hold
	}
	fmt.Fprintf(w, "portal for %s", r.Header.Get("Remote-User"))
}

func (l *live) write(name, content string) string {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return path
}

// caddyfile returns a configuration, with more in the gate's block and more
// global options.
func (l *live) caddyfile(more, global string) string {
	port := func(origin string) string { return origin[strings.LastIndex(origin, ":"):] }
	text := fmt.Sprintf(`{
	admin off
	auto_https off
	persist_config off
	grace_period 1s
	storage file_system %[1]s/storage
	%[7]s
	portalgate {
		public_url %[2]s
		practice "Willow Creek Counseling" {
			phone "+1 555 0100"
		}
		store embedded %[1]s/main.db
		clients file %[1]s/clients.csv
		mail outbox
		unknown_email reveal
		%[6]s
	}
}
http://%[3]s {
	bind 127.0.0.1
	header >X-Who "{http.auth.user.id}|{http.auth.user.email}|{http.auth.user.name}|{http.auth.user.method}|{http.auth.user.session}"
	portalgate {
		public /public/*
	}
	reverse_proxy %[5]s
}
http://%[4]s {
	bind 127.0.0.1
	portalgate_inbox
}
`, l.dir, l.portal, port(l.portal), port(l.inbox), strings.TrimPrefix(l.upstream.URL, "http://"), more, global)
	return string(caddyfile.Format([]byte(text)))
}

// load makes a Caddyfile the running configuration, or returns why not.
func (l *live) load(config string) error {
	l.t.Helper()
	out := adapt(l.t, config)
	if !json.Valid([]byte(out)) {
		return errors.New(out)
	}
	return caddy.Load([]byte(out), true)
}

func (l *live) mustLoad(config string) {
	l.t.Helper()
	if err := l.load(config); err != nil {
		l.t.Fatal(err)
	}
}

// runtime returns the main gate's runtime in the running configuration.
func (l *live) runtime() *pooledRuntime {
	l.t.Helper()
	app, err := caddy.ActiveContext().App("portalgate")
	if err != nil {
		l.t.Fatal(err)
	}
	return app.(*App).live["main"].runtime
}

// requests returns what reached the upstream so far.
func (l *live) requests() []http.Header {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]http.Header(nil), l.seen...)
}

// browser is one visitor with a cookie jar.
type browser struct {
	*live
	http.Client
}

func (l *live) browser() *browser {
	jar, _ := cookiejar.New(nil)
	// Connections are not kept: an old one would be served by an old server.
	return &browser{live: l, Client: http.Client{
		Jar: jar, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			r.Header.Del("Referer") // browsers do not name who redirected them; Go does
			if len(via) > 9 {
				return errors.New("redirected in a circle")
			}
			return nil
		},
	}}
}

// page is an answer, after redirects.
type page struct {
	status int
	url    *url.URL
	body   string
}

func (b *browser) do(req *http.Request) page {
	b.t.Helper()
	req.Header.Set("Accept", "text/html")
	var res *http.Response
	var err error
	// Caddy's servers share their listeners: one that is going away may take a
	// fresh connection with it. Browsers try again as well, and sending twice
	// is safe with the gate.
	for range 5 {
		again := req.Clone(b.t.Context()) // a used one has its cookies already
		if req.GetBody != nil {
			again.Body, _ = req.GetBody()
		}
		if res, err = b.Do(again); err == nil {
			break
		}
	}
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return page{res.StatusCode, res.Request.URL, string(body)}
}

func (b *browser) get(target string) page {
	b.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = b.portal + target
	}
	req, err := http.NewRequest("GET", target, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(req)
}

// send fills in the page's form with that action, and sends it.
func (b *browser) send(p page, action string, fields ...string) page {
	b.t.Helper()
	values := formValues(b.t, p, action)
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	req, err := http.NewRequest("POST", b.portal+action, strings.NewReader(values.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", b.portal)
	return b.do(req)
}

func formValues(t *testing.T, p page, action string) url.Values {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(p.body))
	if err != nil {
		t.Fatal(err)
	}
	attr := func(n *html.Node, name string) string {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
		return ""
	}
	for n := range doc.Descendants() {
		if n.Data != "form" || attr(n, "action") != action {
			continue
		}
		values := url.Values{}
		for in := range n.Descendants() {
			if in.Data == "input" && attr(in, "type") == "hidden" {
				values.Set(attr(in, "name"), attr(in, "value"))
			}
		}
		return values
	}
	t.Fatalf("%s (%d) has no form to %s", p.url.Path, p.status, action)
	return nil
}

// ask asks for a link, and returns it from the inbox.
func (b *browser) ask(address string) string {
	b.t.Helper()
	return b.mailed(func() { b.send(b.get("/sign-in/magic-link"), "/sign-in/magic-link", "email", address) })
}

// mailed returns the link of the mail that do has sent.
func (b *browser) mailed(do func()) string {
	b.t.Helper()
	before := len(b.links())
	do()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		if links := b.links(); len(links) > before {
			return links[0]
		}
		select {
		case <-tick.C:
		case <-deadline:
			b.t.Fatal("no mail came")
		}
	}
}

var signInLink = regexp.MustCompile(`http://localhost:\d+/sign-in/link\?t=[A-Za-z0-9._-]+`)

// links returns the sign-in links of the mails in the inbox, newest first.
func (b *browser) links() []string {
	b.t.Helper()
	p := b.get(b.inbox + "/messages.json")
	var mails []struct{ Text string }
	if err := json.Unmarshal([]byte(p.body), &mails); err != nil {
		b.t.Fatalf("inbox: %d: %v", p.status, err)
	}
	var links []string
	for _, m := range mails {
		if s := signInLink.FindString(m.Text); s != "" {
			links = append(links, s)
		}
	}
	return links
}

// The clients on file. Each can get one mail a minute.
const ada, grace = "ada@example.com", "grace+clinic@gmail.com"

// signIn signs the browser in.
func (b *browser) signIn(address string) {
	b.t.Helper()
	b.send(b.get(b.ask(address)), "/sign-in/link")
	b.isSignedIn()
}

func (b *browser) isSignedIn() {
	b.t.Helper()
	if p := b.get("/files"); p.status != http.StatusOK || !strings.HasPrefix(p.body, "portal for c-") {
		b.t.Fatalf("not signed in: %d at %s", p.status, p.url.Path)
	}
}
