// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/bolt"
)

// newTLSWorld is a gate with an https origin.
func newTLSWorld(t *testing.T, opts ...option) *world {
	t.Helper()
	w := newWorld(t, opts...)
	w.server.Close()
	if err := w.rt.Close(); err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewTLSServer(http.HandlerFunc(w.serve))
	w.front = w.server.URL
	w.open(opts...)
	return w
}

// held returns the cookies that a browser sends to the gate, by name.
func (b *browser) held() map[string]string {
	b.w.t.Helper()
	u, err := url.Parse(b.w.front)
	if err != nil {
		b.w.t.Fatal(err)
	}
	all := make(map[string]string)
	for _, c := range b.c.Jar.Cookies(u) {
		all[c.Name] = c.Value
	}
	return all
}

// gateCookie is a Set-Cookie of ours as it has to be written.
func gateCookie(prefix, secure string) *regexp.Regexp {
	return regexp.MustCompile(`^` + prefix + `portalgate-main(|-known|-flow-[a-z2-7]{8}|-asked-[a-z2-7]{8})=[A-Za-z0-9_.-]*; Path=/(; Max-Age=\d+)?; HttpOnly` + secure + `; SameSite=Lax$`)
}

// TestW03_CookieAttributes: every cookie of a whole walk is HttpOnly, Lax, for
// the whole host and no other (no Domain), and over https Secure and under the
// __Host- prefix, so that no other host can set it. On loopback over plain http
// it has neither, or the browser would drop it.
func TestW03_CookieAttributes(t *testing.T) {
	for _, tc := range []struct {
		name  string
		world *world
		want  *regexp.Regexp
	}{
		{"http", newWorld(t), gateCookie("", "")},
		{"https", newTLSWorld(t), gateCookie("__Host-", "; Secure")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := tc.world
			b := w.browser()
			kinds := map[string]bool{}
			look := func(p *page) *page {
				t.Helper()
				for _, c := range p.header.Values("Set-Cookie") {
					m := tc.want.FindStringSubmatch(c)
					if m == nil {
						t.Errorf("%s sets a cookie that is not as it has to be: %s", p.url.Path, nonceRE.ReplaceAllString(c, "=…"))
						continue
					}
					kind, _, _ := strings.Cut(strings.TrimPrefix(m[1], "-"), "-")
					kinds[kind] = true
					if kind == "flow" && m[2] != "" && !strings.Contains(c, "Max-Age=0") {
						t.Errorf("a flow outlives its browser: %s", m[2])
					}
				}
				return p
			}
			one := b.once()
			p := look(one.get("/sign-in/magic-link"))
			look(one.send(p.form("/sign-in/magic-link"), "email", "ada@example.com"))
			look(one.get(link(w.letters("ada@example.com", 1)[0])))
			p = look(one.get("/sign-in/link"))
			look(one.send(p.form("/sign-in/link")).is(303))
			for name, value := range b.held() {
				if !strings.Contains(strings.TrimPrefix(name, "__Host-"), "portalgate-main-") && len(value) >= 100 {
					t.Errorf("the session's cookie has %d bytes, want less than 100", len(value))
				}
			}
			p = look(one.get("/sign-in/sign-out"))
			look(one.send(p.form("/sign-in/sign-out"), "all", "1"))
			if len(b.held()) != 0 {
				t.Errorf("%d cookies are left after signing out everywhere", len(b.held()))
			}
			for _, kind := range []string{"", "flow", "asked", "known"} {
				if !kinds[kind] {
					t.Errorf("no cookie of kind %q was ever seen", kind)
				}
			}
		})
	}
}

var nonceRE = regexp.MustCompile(`=[^;]*`)

// TestW04_CookieSize: what a signed-in browser carries about stays small; and a
// browser that begins again and again carries 5 flows and 3 memories of asking.
func TestW04_CookieSize(t *testing.T) {
	w := newWorld(t, wide)
	b := w.signIn("ada@example.com")
	size := 0
	for name, value := range b.held() {
		size += len(name) + len(value) + 2
	}
	if size > 512 {
		t.Errorf("a signed-in browser carries %d bytes of ours, want at most 512", size)
	}
	long := "/?" + strings.Repeat("&", maxReturn-2) // which JSON for web pages makes six bytes each of
	for i := range 12 {
		b.ask(fmt.Sprintf("p%d@example.com", i), "return_to", long)
		b.get("/sign-in/link?t=" + strings.Repeat("x", 1000+i))
		b.get("/sign-in/stop?t=" + strings.Repeat("x", 1000+i))
		w.clock.advance(time.Minute)
	}
	flows, asked, size := 0, 0, 0
	for name, value := range b.held() {
		size += len(name) + len(value) + 2
		switch {
		case strings.Contains(name, "-flow-"):
			flows++
		case strings.Contains(name, "-asked-"):
			asked++
		}
	}
	if flows > maxFlows || asked != maxAsked || size > 6000 {
		t.Errorf("%d flows and %d asked-cookies in %d bytes", flows, asked, size)
	}
}

// TestW03_CookieTossing: a sibling host, or a page under another path, plants
// cookies under our names beside ours or in their place. A name that comes twice
// is taken for neither and cleared; odd names and values are nobody's; and the
// client can sign in in spite of them all.
func TestW03_CookieTossing(t *testing.T) {
	w := newWorld(t, wide)
	b := w.signIn("ada@example.com")
	mine := b.held()["portalgate-main"]
	other := w.signIn("bob@example.com").held()["portalgate-main"]
	for name, tc := range map[string]struct {
		cookie string
		who    string
	}{
		"alone":                   {"portalgate-main=" + mine, "c-ada"},
		"planted after":           {"portalgate-main=" + mine + "; portalgate-main=" + other, ""},
		"planted before":          {"portalgate-main=" + other + "; portalgate-main=" + mine, ""},
		"the same twice":          {"portalgate-main=" + mine + "; portalgate-main=" + mine, ""},
		"empty and ours":          {"portalgate-main=; portalgate-main=" + mine, ""},
		"$Version":                {`$Version=1; portalgate-main=` + mine, "c-ada"},
		"$Version only":           {`$Version=1; $portalgate-main=` + mine, ""},
		"U+2000 before the name":  {"\u2000portalgate-main=" + other + "; portalgate-main=" + mine, "c-ada"},
		"another case":            {"Portalgate-Main=" + other + "; portalgate-main=" + mine, "c-ada"},
		"another case only":       {"PORTALGATE-MAIN=" + other, ""},
		"the other scheme's name": {"__Host-portalgate-main=" + other, ""},
		"a longer name":           {"portalgate-main2=" + other + "; portalgate-main=" + mine, "c-ada"},
		"a tail":                  {"portalgate-main=" + mine + "x", ""},
		"another secret":          {"portalgate-main=" + mine[:17] + other[17:], ""},
		"another tag":             {"portalgate-main=" + other[:17] + mine[17:], ""},
		"a comma":                 {"portalgate-main=" + mine + ",portalgate-main=" + other, ""},
		"64 KB":                   {"portalgate-main=" + strings.Repeat("a", 64<<10), ""},
	} {
		c := w.browser().once()
		c.c.Jar = nil
		c.headers.Set("Cookie", tc.cookie)
		p := c.get("/files")
		got := strings.TrimPrefix(p.body, "portal /files for ")
		if p.status == 303 {
			got = ""
		}
		if got != tc.who || p.status != 303 && p.status != 200 {
			t.Errorf("%s: %d, signed in as %q, want %q", name, p.status, got, tc.who)
		}
		twice := strings.Count(" "+tc.cookie, " portalgate-main=") == 2
		cleared := false
		for _, s := range p.header.Values("Set-Cookie") {
			cleared = cleared || strings.HasPrefix(s, "portalgate-main=; Path=/; Max-Age=0")
		}
		if twice && !cleared {
			t.Errorf("%s: what was planted is not cleared", name)
		}
	}

	// A shadow under another path cannot be cleared by us: no loop, and a page.
	c := w.browser()
	c.headers.Set("Cookie", "portalgate-main="+mine+"; portalgate-main="+other)
	c.c.CheckRedirect = func(_ *http.Request, via []*http.Request) error {
		if len(via) > 1 {
			t.Error("more than one redirect without progress")
		}
		return nil
	}
	c.get("/files").is(200).says("email.title")
}

// TestW03_PlantedFlow: a flow or a known-cookie of an attacker's own browser,
// planted here, and one of ours under another name.
func TestW03_PlantedFlow(t *testing.T) {
	w := newWorld(t, wide)
	b := w.browser()
	p := b.get("/sign-in/magic-link")
	f := p.form("/sign-in/magic-link")
	value := b.held()["portalgate-main-flow-"+f.values.Get("flow")]
	c := w.browser().once()
	c.c.Jar = nil
	c.headers.Set("Cookie", "portalgate-main-flow-aaaaaaaa="+value+"; portalgate-main-asked-aaaaaaaa="+value+"; portalgate-main-known="+value)
	f.values.Set("flow", "aaaaaaaa")
	f.values.Set("email", "ada@example.com")
	c.send(f).is(403)
	c.get("/sign-in/code").is(303)
	if w.db.puts.Load() != 0 {
		t.Error("a flow was taken under another name")
	}
}

// TestW04_CookieOverflow: 200 cookies of an attacker's making fill the browser's
// jar. There is no loop, and what can be is swept away, so that signing in works.
func TestW04_CookieOverflow(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	u, _ := url.Parse(w.front)
	var junk []*http.Cookie
	for i := range 200 {
		junk = append(junk, &http.Cookie{Name: fmt.Sprintf("portalgate-main-flow-%08d", i), Value: strings.Repeat("A", 60), Path: "/"})
	}
	b.c.Jar.SetCookies(u, junk)
	hops := 0
	b.c.CheckRedirect = func(*http.Request, []*http.Request) error { hops++; return nil }
	p := b.get("/files").is(200).says("email.title")
	if hops > 1 {
		t.Errorf("%d redirects to the sign-in page", hops)
	}
	if n := len(b.held()); n > 1 {
		t.Errorf("%d cookies are left, want the flow's alone", n)
	}
	b.send(p.form("/sign-in/magic-link"), "email", "ada@example.com").is(200).says("sent.title")
	q := b.get(link(w.letters("ada@example.com", 1)[0]))
	if got := b.send(q.form("/sign-in/link")).body; got != "portal /files for c-ada" {
		t.Errorf("landed on %q", got)
	}
}

// TestS01_NoCookies: a browser that keeps no cookie is told so after the second
// press: no loop, no redirect to and fro.
func TestS01_NoCookies(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.c.Jar = nil
	hops := 0
	b.c.CheckRedirect = func(*http.Request, []*http.Request) error { hops++; return nil }
	p := b.get("/files").is(200).says("email.title")
	p = b.send(p.form("/sign-in/magic-link"), "email", "ada@example.com").is(403)
	p = b.send(p.form("/sign-in/magic-link")).is(403).says("open.nocookies.title").says("open.nocookies.lead")
	if hops > 1 || w.db.puts.Load() != 0 {
		t.Errorf("%d redirects, %d mails", hops, w.db.puts.Load())
	}
	// A link in such a browser: no loop either, and it stays good.
	good := w.browser()
	good.ask("ada@example.com")
	m := w.letters("ada@example.com", 1)[0]
	hops = 0
	p = b.get(link(m)).is(200).says("open.cold.title")
	b.send(p.form("/sign-in/link"), "t", token(link(m))).is(403).says("open.nocookies.title")
	if hops > 3 {
		t.Errorf("%d redirects", hops)
	}
	q := good.get(link(m))
	if got := good.send(q.form("/sign-in/link")).body; got != "portal / for c-ada" {
		t.Errorf("the link is spoilt: %q", got)
	}
}

// TestU06_StoreDown: while the store cannot tell, everybody is told so with 503
// and Retry-After, nothing is forwarded, and no cookie is touched: when it is
// back, who was signed in still is.
func TestU06_StoreDown(t *testing.T) {
	w := newWorld(t)
	b := w.signIn("ada@example.com")
	passed := len(w.upstream())
	if err := w.rt.Close(); err != nil {
		t.Fatal(err)
	}
	w.open() // it has no copy of the record now, which would do
	w.db.fail.Store(true)
	for _, to := range []string{"/files", "/sign-in", "/sign-in/sessions", "/sign-in/sign-out"} {
		got := b.once().get(to).is(503).says("down.in.title")
		if got.header.Get("Retry-After") == "" || len(got.header.Values("Set-Cookie")) != 0 {
			t.Errorf("%s: Retry-After %q, %d cookies set", to, got.header.Get("Retry-After"), len(got.header.Values("Set-Cookie")))
		}
	}
	api := b.once()
	api.headers.Set("Accept", "application/json")
	api.headers.Set("Sec-Fetch-Mode", "cors")
	got := api.get("/api").is(503)
	if !strings.HasPrefix(got.header.Get("Content-Type"), "application/problem+json") || got.header.Get("Retry-After") == "" {
		t.Errorf("a program is answered %s", got.header.Get("Content-Type"))
	}
	clear(b.headers)
	stranger := w.browser()
	stranger.get("/sign-in/help").is(200)
	f := stranger.get("/sign-in/magic-link").is(200).form("/sign-in/magic-link")
	for _, typed := range subjects {
		got := stranger.once().send(f, "email", typed).is(503).says("down.title")
		if got.header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
	}
	if n := len(w.upstream()); n != passed {
		t.Errorf("%d requests were forwarded without knowing whose", n-passed)
	}
	w.db.fail.Store(false)
	if got := b.get("/files").body; got != "portal /files for c-ada" {
		t.Errorf("the client was signed out by a store that was down: %s", got)
	}
}

// TestTwoGatesOnOneHost: cookies know no port, so two gates on one host get each
// other's. They sign in, out and sweep without touching the other's.
func TestTwoGatesOnOneHost(t *testing.T) {
	a, b := newWorld(t), newWorld(t)
	b.rename("office")
	user := a.signIn("ada@example.com")
	at := func(w *world) *browser { return &browser{w: w, c: user.c, headers: http.Header{}} }
	at(b).ask("bob@example.com").is(200).says("sent.title")
	if got := at(a).get("/files").body; got != "portal /files for c-ada" {
		t.Fatalf("asking at one gate: the other says %q", got)
	}
	p := at(b).get(link(b.letters("bob@example.com", 1)[0]))
	if got := at(b).send(p.form("/sign-in/link")).body; got != "portal / for c-bob" {
		t.Fatalf("signing in at the second gate: %q", got)
	}
	for range 3 {
		if x, y := at(a).get("/a").body, at(b).get("/b").body; x != "portal /a for c-ada" || y != "portal /b for c-bob" {
			t.Fatalf("side by side: %q and %q", x, y)
		}
		at(a).get("/sign-in").says("here.title")
		at(b).get("/sign-in").says("here.title")
	}
	out := at(b).get("/sign-in/sign-out")
	at(b).send(out.form("/sign-in/sign-out"), "all", "1").says("out.title")
	if x, y := at(a).get("/a").body, at(b).once().get("/b").status; x != "portal /a for c-ada" || y != 303 {
		t.Errorf("after signing out of one: %q and %d", x, y)
	}
}

// rename makes a world's gate one of another name, with a store of its own.
func (w *world) rename(name string) {
	w.t.Helper()
	w.rt.Close()
	conf := *w.conf
	conf.Name = name
	w.rt = NewRuntime(Options{
		Gate: name, Now: w.clock.now,
		Secret: func(context.Context) ([]byte, error) { return []byte("0123456789abcdef0123456789abcdef"), nil },
		Open: func(context.Context) (store.Backend, error) {
			db, err := bolt.Open(filepath.Join(filepath.Dir(w.path), name+".db"), bolt.Options{Now: w.clock.now})
			if err != nil {
				return nil, err
			}
			w.db = &counted{Backend: db}
			return w.db, nil
		},
	})
	conf.Sender = w.rt.Outbox()
	w.conf = &conf
	var err error
	if w.h, err = w.rt.Handler(w.conf, HandlerOptions{}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.rt.Use(w.conf); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.rt.open(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}
