// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// posts are the addresses that take a form.
func (w *world) posts() (paths []string) {
	for path, rt := range w.h.routes {
		if rt.post != nil {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// gets are all addresses of the gate's own.
func (w *world) gets() (paths []string) {
	for path := range w.h.routes {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// crossSite is what a request brings with it that another site's page sends.
var crossSite = []struct {
	name    string
	headers map[string]string
}{
	{"another origin", map[string]string{"Origin": "https://evil.example"}},
	{"a sandboxed frame", map[string]string{"Origin": "null"}},
	{"fetch metadata", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}},
	{"a sibling host", map[string]string{"Sec-Fetch-Site": "same-site"}},
	{"both", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}},
	{"our name with another port", map[string]string{"Origin": "http://127.0.0.1:1"}},
}

// TestW02_CrossSiteForms: another site's page posts to every form of the gate in
// the browser of somebody who is signed in and half-way through another
// sign-in, with and without a nonce that was stolen from that very browser. It
// is refused, nothing is sent, used or ended, and nobody is a step further.
func TestW02_CrossSiteForms(t *testing.T) {
	w := newWorld(t, wide)
	b := w.signIn("bob@example.com")
	p := b.ask("ada@example.com").is(200)
	m := w.letters("ada@example.com", 1)[0]
	p = b.get(link(m)).is(200) // its token lies in this browser's flow
	stolen := p.form("/sign-in/link").values
	full := url.Values{
		"email": {"ada@example.com"}, "code": {code(m)}, "switch": {"1"}, "all": {"1"}, "t": {""}, "confirmed": {"1"},
	}
	for _, tc := range crossSite {
		for k := range b.headers {
			delete(b.headers, k)
		}
		for k, v := range tc.headers {
			b.headers.Set(k, v)
		}
		for _, to := range w.posts() {
			for _, withNonce := range []bool{false, true} {
				form := url.Values{}
				for k, v := range full {
					form[k] = v
				}
				if to == "/sign-in/link" || to == "/sign-in/stop" {
					form.Del("t")
				}
				if withNonce {
					form.Set("flow", stolen.Get("flow"))
					form.Set("nonce", stolen.Get("nonce"))
				}
				before := w.cost()
				got := b.once().do("POST", to, form)
				if got.status != 403 {
					t.Errorf("%s to %s, nonce %v: %d, want 403", tc.name, to, withNonce, got.status)
				}
				if did := w.cost().since(before); did.updates+did.puts+did.commits != 0 {
					t.Errorf("%s to %s, nonce %v: it cost %+v", tc.name, to, withNonce, did)
				}
				for _, c := range (&http.Response{Header: got.header}).Cookies() {
					if c.Name == "portalgate-main" {
						t.Errorf("%s to %s: the session's cookie was touched", tc.name, to)
					}
				}
			}
		}
	}
	clear(b.headers)
	b.get("/").is(200)
	if got := b.get("/files").body; got != "portal /files for c-bob" {
		t.Errorf("after all that the portal says %q", got)
	}
	p = b.get("/sign-in/link").is(200)
	if got := b.send(p.form("/sign-in/link")).body; got != "portal / for c-ada" {
		t.Errorf("the link was used up by another site: %s", got)
	}
}

// TestW02_LoginCSRF: the browser's own words are missing (old ones send neither
// Origin nor Sec-Fetch-Site), so only the nonce stands between an attacker's
// form and this browser: none, a made-up one, one of the attacker's own flow,
// with that flow's cookie not here.
func TestW02_LoginCSRF(t *testing.T) {
	w := newWorld(t, wide)
	attacker := w.browser()
	p := attacker.ask("bob@example.com").is(200)
	m := w.letters("bob@example.com", 1)[0]
	theirs := attacker.get(link(m)).form("/sign-in/link").values
	victim := w.browser()
	own := victim.ask("ada@example.com").is(200).form("/sign-in/code").values
	w.letters("ada@example.com", 1)
	for name, form := range map[string]url.Values{
		"nothing":               {},
		"made up":               {"flow": {own.Get("flow")}, "nonce": {strings.Repeat("A", 22)}},
		"empty":                 {"flow": {own.Get("flow")}, "nonce": {""}},
		"the attacker's":        {"flow": {theirs.Get("flow")}, "nonce": {theirs.Get("nonce")}},
		"the attacker's, mixed": {"flow": {own.Get("flow")}, "nonce": {theirs.Get("nonce")}},
	} {
		form.Set("email", "bob@example.com")
		form.Set("code", code(m))
		for _, to := range []string{"/sign-in/magic-link", "/sign-in/code", "/sign-in/link", "/sign-in/stop", "/sign-in/link/again"} {
			before := w.cost()
			got := victim.once().do("POST", to, form)
			if did := w.cost().since(before); got.status != 403 || did.updates+did.puts+did.allows != 0 {
				t.Errorf("%s to %s: %d at a cost of %+v, want 403 for nothing", name, to, got.status, did)
			}
		}
	}
	victim.get("/").says("email.title") // signed in as nobody
	_ = p
}

// TestW02_CrossedFormIsKept: a form that could not be shown to be ours is shown
// again with what was typed, and sends from there; nothing sends itself. What
// another site filled in is left out: one press on our own page would else make
// this browser the one that asked for a link to the attacker's address, which
// would then complete here by itself.
func TestW02_CrossedFormIsKept(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	typed := url.Values{"email": {"ada@example.com"}, "return_to": {"/files/42"}, "shared": {"1"}}
	b.headers.Set("Origin", "https://evil.example")
	p := b.do("POST", "/sign-in/magic-link", typed).is(403).says("crossed.title").says("crossed.lead")
	if got := p.form("/sign-in/magic-link").values.Get("email"); got != "" {
		t.Errorf("the form holds what another site filled in: %q", got)
	}
	b.headers.Set("Origin", w.front)
	p = b.do("POST", "/sign-in/magic-link", typed).is(403).says("crossed.title").says("odd.lead")
	if strings.Contains(p.body, "data-auto") {
		t.Error("the page of a crossed form sends itself")
	}
	clear(b.headers)
	f := p.form("/sign-in/magic-link")
	if f.values.Get("email") != "ada@example.com" || f.values.Get("return_to") != "/files/42" || f.values.Get("shared") != "1" {
		t.Errorf("what was typed is lost: %v", f.values)
	}
	b.send(f).is(200).says("sent.title")
	w.letters("ada@example.com", 1)
}

// TestW02_OtherEncodings: a form of another type needs no preflight either, and
// would be read by a parser that guesses.
func TestW02_OtherEncodings(t *testing.T) {
	w := newWorld(t, wide)
	b := w.browser()
	f := b.get("/sign-in/magic-link").form("/sign-in/magic-link")
	f.values.Set("email", "ada@example.com")
	for _, kind := range []string{"", "text/plain", "multipart/form-data; boundary=x", "application/json", "application/x-www-form-urlencoded2", ";"} {
		b.headers.Set("Content-Type", kind)
		b.do("POST", f.action, f.values).is(400).says("odd.title")
	}
	clear(b.headers)
	for name, body := range map[string]url.Values{
		"a field twice": {"email": {"ada@example.com", "bob@example.com"}},
		"a NUL":         {"email": {"ada@example.com\x00"}},
		"no UTF-8":      {"email": {"\xff@example.com"}},
	} {
		for k, v := range f.values {
			if body[k] == nil {
				body[k] = v
			}
		}
		if p := b.do("POST", f.action, body); p.status != 400 {
			t.Errorf("%s: %d, want 400", name, p.status)
		}
	}
	if w.db.puts.Load() != 0 {
		t.Error("mail was queued")
	}
}

// TestW09_LogoutCSRF: an image or a frame elsewhere that asks for the sign-out
// page signs nobody out; neither does another site's form, with our cookies or,
// since those are SameSite, without.
func TestW09_LogoutCSRF(t *testing.T) {
	w := newWorld(t)
	b := w.signIn("ada@example.com")
	for _, to := range []string{"/sign-in/sign-out", "/sign-in/sign-out?all=1", "/sign-in/stop", "/sign-in/sessions/end"} {
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			b.once().do(method, to, nil)
		}
	}
	b.headers.Set("Sec-Fetch-Site", "cross-site")
	b.do("POST", "/sign-in/sign-out", url.Values{"all": {"1"}}).is(403)
	bare := w.browser().once()
	bare.headers.Set("Sec-Fetch-Site", "cross-site")
	p := bare.do("POST", "/sign-in/sign-out", url.Values{"all": {"1"}})
	for _, c := range p.header.Values("Set-Cookie") {
		if strings.HasPrefix(c, "portalgate-main=") {
			t.Errorf("the answer to a form without cookies takes the session's away: %s", c)
		}
	}
	clear(b.headers)
	if got := b.get("/files").body; got != "portal /files for c-ada" {
		t.Errorf("the client was signed out: %s", got)
	}
}

// TestW06_Clickjacking: no page of ours may stand in a frame, where a press
// meant for something else would fall on it. The rest of the headers that keep
// a page to itself stand with it.
func TestW06_Clickjacking(t *testing.T) {
	w := newWorld(t)
	in := w.signIn("ada@example.com")
	out := w.browser()
	asked := w.browser()
	asked.ask("bob@example.com")
	for _, b := range []*browser{in, out, asked} {
		for _, to := range append(w.gets(), "/sign-in/nothing", "/", "/sign-in/sign-out?all=1&shared=1") {
			p := b.get(to)
			if strings.HasPrefix(p.body, "portal ") || p.url.Path == "/sign-in/logo" {
				continue
			}
			h := p.header
			if got := h.Get("Cache-Control"); got != "no-store" && p.url.Path != jwksPath && p.url.Path != "/sign-in/session.js" {
				t.Errorf("%s: Cache-Control %q", to, got)
			}
			if h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s may be sniffed", to)
			}
			if !strings.HasPrefix(h.Get("Content-Type"), "text/html") {
				continue
			}
			csp := h.Get("Content-Security-Policy")
			for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"} {
				if !strings.Contains(csp, want) {
					t.Errorf("%s: the policy %q lacks %s", to, csp, want)
				}
			}
			if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") || strings.Count(csp, "script-src") > 1 {
				t.Errorf("%s: the policy %q allows too much", to, csp)
			}
			// W10: no other window sees which of our pages this is, or loads it.
			for name, want := range map[string]string{
				"X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin",
				"Cross-Origin-Resource-Policy": "same-origin", "Referrer-Policy": "same-origin",
			} {
				if h.Get(name) != want {
					t.Errorf("%s: %s is %q, want %q", to, name, h.Get(name), want)
				}
			}
		}
	}
}

// TestW10_XSLeaks: another site counts redirects or reads the status to learn
// whether this browser is signed in. The sign-in page is 200 without a redirect
// either way, and what tells the state keeps to this origin.
func TestW10_XSLeaks(t *testing.T) {
	w := newWorld(t)
	in, out := w.signIn("ada@example.com").once(), w.browser().once()
	for _, b := range []*browser{in, out} {
		b.headers.Set("Sec-Fetch-Site", "cross-site")
		for _, to := range []string{"/sign-in", "/sign-in/magic-link", "/sign-in/help", "/sign-in/sign-out", "/sign-in/link", "/sign-in/stop", "/sign-in/session"} {
			p := b.get(to).is(200)
			if p.header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
				t.Errorf("%s may be loaded by another site", to)
			}
			if p.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s may be read by another site", to)
			}
		}
	}
	w.clock.advance(time.Second)
}

// TestW07_RefererLeak: the page of a link has its token nowhere that a browser
// tells others: the first hop answers no-referrer, the address after it holds
// the token in the fragment at most, and the page loads and links to nothing
// elsewhere. Where it leads holds no token and ends the fragment.
func TestW07_RefererLeak(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.ask("ada@example.com")
	m := w.letters("ada@example.com", 1)[0]
	for name, first := range map[string]string{"link": link(m), "stop": stopOf(m)} {
		secret := token(first)
		p := b.once().get(first).is(303)
		if p.header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: Referrer-Policy is %q at the first hop", name, p.header.Get("Referrer-Policy"))
		}
		to, frag, _ := strings.Cut(p.header.Get("Location"), "#")
		if strings.Contains(to, "?") || strings.Contains(to, secret) || frag != secret {
			t.Errorf("%s: the first hop leads to another place than a bare path and a fragment", name)
		}
		if strings.Contains(p.body, secret) {
			t.Errorf("%s: the token stands in the first hop's body", name)
		}
		q := b.get(to).is(200)
		if strings.Contains(q.body, secret) || strings.Contains(q.body, secret[len(secret)-20:]) {
			t.Errorf("%s: the token stands on the page", name)
		}
		for _, bad := range []string{"http://", "https://", "//cdn", `src="//`, "<link", "<iframe", "url("} {
			if strings.Contains(q.body, bad) {
				t.Errorf("%s: the page has %q, which may be loaded from elsewhere", name, bad)
			}
		}
	}
	p := b.get(link(m))
	done := b.once().send(p.form("/sign-in/link")).is(303)
	if to := done.header.Get("Location"); to != "/#" {
		t.Errorf("redeeming leads to %q, want a bare fragment at its end", to)
	}
}

// TestW08_XSS: every parameter, field and header that a page might show is sent
// markup; it comes back as text or not at all.
func TestW08_XSS(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>{{.}}'`
	w := newWorld(t, wide)
	b := w.browser()
	for _, h := range []string{"Referer", "User-Agent", "Accept-Language", "X-Forwarded-Host", "X-Forwarded-For", "X-Original-Url"} {
		b.headers.Set(h, evil)
	}
	clean := func(p *page, what string) {
		t.Helper()
		for _, bad := range []string{"<script>alert", "<img src=x", `"><`, "onerror=alert(1)>"} {
			body := p.body
			if bad == `"><` {
				body = strings.ReplaceAll(body, "&#34;&gt;&lt;", "")
				if !strings.Contains(body, evil[:12]) {
					continue
				}
			}
			if strings.Contains(body, bad) {
				t.Errorf("%s: %q stands on the page", what, bad)
			}
		}
	}
	for _, name := range []string{"return_to", "t", "error", "error_description", "done", "all", "shared", "again", "opened", "flow", "nonce", "email"} {
		for _, path := range w.gets() {
			clean(b.get(path+"?"+name+"="+url.QueryEscape(evil)), path+" "+name)
			clean(b.get(path+"?"+name+"="+url.QueryEscape("/a"+evil)), path+" "+name)
		}
	}
	for _, path := range w.posts() {
		f := b.get("/sign-in/magic-link").form("/sign-in/magic-link")
		for _, name := range []string{"email", "code", "return_to", "shared", "switch", "id", "t", "confirmed", "once"} {
			f.values.Set(name, evil)
		}
		clean(b.do("POST", path, f.values), "POST "+path)
		f.values.Set("email", `a<b>"c@example.com`)
		clean(b.do("POST", path, f.values), "POST "+path)
		f.values.Set("nonce", evil)
		clean(b.do("POST", path, f.values), "POST "+path+" crossed")
		f.values.Set("flow", evil)
		clean(b.do("POST", path, f.values), "POST "+path+" no flow")
	}
	// A browser's name is kept and shown to the client: by a name of ours only.
	in := w.browser()
	in.headers.Set("User-Agent", "Chrome"+evil)
	in.ask("ada@example.com")
	p := in.get(link(w.letters("ada@example.com", 1)[0]))
	in.send(p.form("/sign-in/link"))
	clean(in.get("/sign-in/sessions").is(200), "sessions")
	clean(in.get("/sign-in").is(200), "landing")
}
