// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/access"
)

// Mail scanners, chat previews and safe-browsing proxies open every link they
// see, from many addresses, before its reader does.
func TestL01_OpeningIsReadOnly(t *testing.T) {
	w := newWorld(t)
	client := w.browser()
	m := client.mailed("ada@example.com")
	before := w.writes()
	agents := []string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) SafeLinks", "Mimecast-URLProtect/1.0", "BarracudaCentral/1.0",
		"Slackbot-LinkExpanding 1.0", "Mozilla/5.0 SkypeUriPreview Preview/0.5", "WhatsApp/2.23", "curl/8.5.0",
	}
	for i := range 50 {
		b := w.browser().from(fmt.Sprintf("198.51.100.%d", i%20+1))
		if i%2 == 0 {
			b.c.Jar = nil
		}
		b.headers.Set("User-Agent", agents[i%len(agents)])
		if i%5 == 0 {
			b.headers.Set("Sec-Purpose", "prefetch")
		}
		for _, method := range []string{"HEAD", "OPTIONS", "GET"} {
			if p := b.do(method, link(m), nil); p.status != 200 && p.status != 204 {
				t.Fatalf("%s answered %d", method, p.status)
			}
		}
	}
	if got := w.writes(); got != before {
		t.Errorf("opening a link wrote %d times", got-before)
	}
	if n := w.live("c-ada"); n != 0 {
		t.Fatalf("opening a link opened %d sessions", n)
	}
	p := client.get(link(m)).says("open.here.title")
	client.send(p.form("/sign-in/link")).isPortal("/", "c-ada")
}

// What HEAD says of a page is what GET says of it, without the page.
func TestL01_HeadIsLikeGet(t *testing.T) {
	w := newWorld(t)
	m := w.browser().mailed("ada@example.com")
	b := w.browser()
	b.get(link(m))
	for _, to := range []string{link(m), "/sign-in/link", stopOf(m)} {
		get, head := b.once().do("GET", to, nil), b.once().do("HEAD", to, nil)
		if head.body != "" || head.status != get.status {
			t.Errorf("HEAD answered %d with %d bytes, GET %d", head.status, len(head.body), get.status)
		}
		for _, p := range []*page{get, head} {
			p.header.Del("Date")
			p.header.Del("Set-Cookie")
			if p.header.Get("Content-Length") == "0" {
				p.header.Del("Content-Length") // net/http says it of no body at all
			}
		}
		if g, h := fmt.Sprint(get.header), fmt.Sprint(head.header); g != h {
			t.Errorf("HEAD and GET differ:\n%s\n%s", h, g)
		}
	}
}

// The client's own browser runs ahead of the client: it prefetches, prerenders
// or fetches the link for a preview, cookies and all.
func TestL04_SpeculativeLoad(t *testing.T) {
	headers := []struct{ name, value string }{
		{"Sec-Purpose", "prefetch"}, {"Sec-Purpose", "prefetch;prerender"}, {"Purpose", "prefetch"}, {"X-Moz", "prefetch"},
		{"Sec-Fetch-Dest", "image"}, {"Sec-Fetch-Dest", "iframe"}, {"Sec-Fetch-Dest", "empty"}, {"Sec-Fetch-Mode", "no-cors"}, {"Sec-Fetch-Mode", "cors"},
	}
	w := newWorld(t)
	b := w.browser()
	m := b.mailed("ada@example.com")
	p := b.copy().get(link(m)).says("open.here.title")
	opened := b.copy()
	p = opened.get(link(m))
	before := w.writes()
	for _, h := range headers {
		for _, to := range []string{link(m), "/sign-in/link", stopOf(m), "/sign-in/stop"} {
			c := opened.copy()
			c.headers.Set(h.name, h.value)
			if got := c.once().get(to).is(204); len(got.header["Set-Cookie"]) > 0 || got.body != "" {
				t.Errorf("%s: %s answered a speculative load with more than nothing", h.name, h.value)
			}
		}
		c := opened.copy()
		c.headers.Set(h.name, h.value)
		c.once().send(p.form("/sign-in/link")).is(204)
	}
	if w.writes() != before || w.live("c-ada") != 0 {
		t.Fatal("a speculative load was written down")
	}
	opened.send(p.form("/sign-in/link")).isPortal("/", "c-ada")
}

// The page that completes by itself does so in the browser that asked, hours
// later as well, and in no other.
func TestOpenHoursLater(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	p := b.get("/files/42?tab=a")
	b.send(p.form("/sign-in/magic-link"), "email", "ada@example.com").says("sent.title")
	m := w.letters("ada@example.com", 1)[0]
	w.clock.advance(3 * time.Hour)
	p = b.get(link(m)).is(200).says("open.here.title")
	if !p.auto() || !strings.Contains(p.body, "<script>") {
		t.Error("the browser that asked has to press")
	}
	b.send(p.form("/sign-in/link")).isPortal("/files/42?tab=a", "c-ada")
}

func TestOpenOnAnotherDevice(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	p := b.get("/files/42?tab=a")
	b.send(p.form("/sign-in/magic-link"), "email", "ada@example.com").says("sent.title")
	m := w.letters("ada@example.com", 1)[0]
	phone := w.browser()
	p = phone.get(link(m)).is(200).says("open.new.title")
	if p.auto() || strings.Contains(p.body, "<script>") || strings.Contains(p.text(), "a•") {
		t.Error("a page for a browser that has shown nothing acts by itself, or names the client")
	}
	phone.send(p.form("/sign-in/link"), "email", "Ada@Example.com").isPortal("/files/42?tab=a", "c-ada")
	b.get(link(m)).says("used.title")
}

// A forwarded link is opened by somebody else, who presses the button.
func TestL05_ForwardedLink(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	m := b.mailed("ada@example.com")
	other := w.browser()
	p := other.get(link(m))
	before := w.writes()
	for text, wrong := range map[string]string{"": "email.empty", "ada": "email.shape", "ada@@example.com": "email.shape"} {
		other.send(p.form("/sign-in/link"), "email", text).is(422).says(wrong)
	}
	if w.writes() != before {
		t.Error("an empty or malformed address was counted")
	}
	for range access.WrongAddresses - 1 {
		p = other.send(p.form("/sign-in/link"), "email", "bob@example.com").is(422).says("open.new.wrong")
	}
	other.send(p.form("/sign-in/link"), "email", "bob@example.com").says("open.off.title")
	// The right address is too late now, in this browser and in any other.
	other.send(p.form("/sign-in/link"), "email", "ada@example.com").says("open.off.title")
	w.browser().get(link(m)).is(200).says("open.off.title")
	if w.live("c-ada") != 0 {
		t.Fatal("a link was used after ten wrong addresses")
	}
	// Where it was asked for it still works, and so does its code.
	c := b.copy()
	c.send(c.get("/sign-in/code").form("/sign-in/code"), "code", code(m)).isPortal("/", "c-ada")
	b.get(link(m)).says("used.title")
}

// A browser that the client has signed in with is asked for one press, also
// after signing out there, and never for another client's link.
func TestKnownBrowser(t *testing.T) {
	w := newWorld(t)
	b := w.signIn("ada@example.com")
	b.send(b.get("/sign-in/sign-out").form("/sign-in/sign-out")).says("out.title")
	other := w.browser()

	p := b.get(link(other.mailed("bob@example.com")))
	if !p.asks() {
		t.Error("a browser known to one client is known to another")
	}
	m := other.mailed("ada@example.com")
	p = b.get(link(m)).says("open.known.title").says("open.known.lead", "masked", "a•••@example.com")
	if p.asks() || p.auto() {
		t.Error("a known browser takes more or less than one press")
	}
	b.send(p.form("/sign-in/link")).isPortal("/", "c-ada")

	w.clock.advance(179 * 24 * time.Hour)
	b.get(link(other.mailed("ada@example.com"))).says("open.known.title")
	w.clock.advance(2 * 24 * time.Hour)
	if !b.get(link(other.mailed("ada@example.com"))).asks() {
		t.Error("a browser is known for more than 180 days")
	}
}

// Signing out everywhere forgets the browsers, the copies of their cookies
// included.
func TestKnownBrowserForgotten(t *testing.T) {
	w := newWorld(t)
	b := w.signIn("ada@example.com")
	before := b.copy()
	b.send(b.get("/sign-in/sign-out").form("/sign-in/sign-out"), "all", "1").says("out.all")
	m := w.browser().mailed("ada@example.com")
	for _, b := range []*browser{b, before} {
		if !b.get(link(m)).asks() {
			t.Error("a browser is known after signing out everywhere")
		}
	}
}

// The attacker has the victim's browser use the attacker's own link, so that
// what the victim then enters is the attacker's to read.
func TestL06_LoginByTheAttackersLink(t *testing.T) {
	w := newWorld(t)
	m := w.browser().mailed("bob@example.com") // the attacker

	victim := w.signIn("ada@example.com")
	theirs := victim.copy()
	p := victim.get(link(m)).is(200).says("switch.title")
	f := p.form("/sign-in/link")
	for name, change := range map[string]func(*browser, url.Values){
		"from another site":    func(b *browser, _ url.Values) { b.headers.Set("Origin", "https://evil.example") },
		"cross-site":           func(b *browser, _ url.Values) { b.headers.Set("Sec-Fetch-Site", "cross-site") },
		"from a sibling site":  func(b *browser, _ url.Values) { b.headers.Set("Sec-Fetch-Site", "same-site") },
		"from a sandbox":       func(b *browser, _ url.Values) { b.headers.Set("Origin", "null") },
		"without a nonce":      func(_ *browser, f url.Values) { f.Del("nonce") },
		"with another's nonce": func(_ *browser, f url.Values) { f.Set("nonce", strings.Repeat("A", 22)) },
		"without a flow":       func(_ *browser, f url.Values) { f.Del("flow") },
	} {
		b := victim.copy()
		values := url.Values{}
		for k, v := range f.values {
			values[k] = v
		}
		values.Set("email", "bob@example.com")
		values.Set("switch", "1")
		change(b, values)
		if got := b.once().do("POST", "/sign-in/link", values); got.cookies()[""] != nil || w.live("c-bob") != 0 {
			t.Errorf("%s: the victim is signed in as somebody else", name)
		}
	}
	// Without the answer to "sign them out first" nothing happens either.
	f.values.Del("switch")
	victim.copy().send(f, "email", "bob@example.com").says("switch.title")
	if !theirs.signedIn() || w.live("c-ada") != 1 || w.live("c-bob") != 0 {
		t.Fatal("the victim's session did not survive")
	}

	// A victim who is nobody yet is asked for an address they have no reason to type.
	if p := w.browser().get(link(m)); p.auto() || !p.asks() {
		t.Error("the attacker's link signs a victim in with a press")
	}
	for name, want := range map[string]string{"X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin"} {
		if p.header.Get(name) != want {
			t.Errorf("%s is %q", name, p.header.Get(name))
		}
	}
}

// The link's secret leaves the URL at the first hop, and from then on every
// redirect has a fragment of its own: browsers carry one across redirects that
// have none. That all of them do is seen by every test; see world.serve.
func TestLinkLeavesTheURL(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	m := b.mailed("ada@example.com")
	p := b.once().get(link(m)).is(303)
	if got, want := p.header.Get("Location"), "/sign-in/link#"+token(link(m)); got != want {
		t.Error("the first hop leads elsewhere than to the link's page with the token in the fragment")
	}
	if got := p.header.Get("Referrer-Policy"); got != "no-referrer" {
		t.Errorf("the first hop has Referrer-Policy %q", got)
	}
	if got := b.once().get("/sign-in/link?t=rubbish").is(303).header.Get("Location"); got != "/sign-in/link#" {
		t.Errorf("what is no token is carried on: %q", got)
	}
	p = b.get(link(m))
	p = b.once().send(p.form("/sign-in/link")).is(303)
	if got := p.header.Get("Location"); got != "/#" {
		t.Errorf("signing in leads to %q", got)
	}
	// Used, where its client is signed in, it goes straight on; the fragment of
	// a mail program's page must not come along.
	p = b.once().get(link(m)).is(303)
	if got := p.header.Get("Location"); got != "/#" {
		t.Errorf("a used link leads its client to %q", got)
	}
	for _, to := range []string{"/sign-in/link/again", "/sign-in/link/", "/sign-in/link/x"} {
		if got := b.once().get(to).is(303).header.Get("Location"); !strings.HasSuffix(got, "#") {
			t.Errorf("GET %s leads to %q", to, got)
		}
	}
}

// "Open in Safari" from a mail program's own browser brings the fragment and
// no cookie: the page's script posts what it found, which uses nothing up.
func TestColdPage(t *testing.T) {
	w := newWorld(t)
	m := w.browser().mailed("ada@example.com")
	before := w.writes()
	b := w.browser()
	p := b.get("/sign-in/link").is(200).says("open.cold.title")
	f := p.form("/sign-in/link")
	if !f.values.Has("t") || !strings.Contains(p.body, "data-fragment") || !strings.Contains(p.body, "<script>") {
		t.Fatal("the cold page has nothing to take a fragment")
	}
	b.send(f, "t", "rubbish").is(200).says("nolink.title")
	p = b.send(f, "t", token(link(m))).is(200).says("open.new.title")
	if strings.Contains(p.url.String(), token(link(m))) {
		t.Error("the token stands in the URL again")
	}
	if w.writes() != before || w.live("c-ada") != 0 {
		t.Error("bringing a fragment along was written down")
	}
	evil := w.browser()
	evil.headers.Set("Origin", "https://evil.example")
	if got := evil.once().send(f, "t", token(link(m))).is(403); len(got.header["Set-Cookie"]) != 0 {
		t.Error("another site put a link before this browser")
	}
	b.send(p.form("/sign-in/link"), "email", "ada@example.com").isPortal("/", "c-ada")
}

// An app's browser that keeps no cookies ends on a page that says where to go,
// not in a loop.
func TestBrowserWithoutCookies(t *testing.T) {
	w := newWorld(t)
	m := w.browser().mailed("ada@example.com")
	b := w.browser()
	b.c.Jar = nil
	hops := 0
	b.c.CheckRedirect = func(_ *http.Request, via []*http.Request) error { hops = len(via); return nil }
	p := b.get(link(m)).is(200).says("open.cold.title")
	p = b.send(p.form("/sign-in/link"), "t", token(link(m))).says("open.nocookies.title")
	if len(p.forms()) != 0 || hops > 2 {
		t.Errorf("%d redirects, and %d forms to try again with", hops, len(p.forms()))
	}
	// The address form: the second answer says what is the matter.
	p = b.get("/sign-in/magic-link")
	p = b.send(p.form("/sign-in/magic-link"), "email", "ada@example.com").is(403).says("odd.lead")
	b.send(p.form("/sign-in/magic-link"), "email", "ada@example.com").is(403).says("open.nocookies.title")
}
