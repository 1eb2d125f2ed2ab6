// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"html"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/portalgate/portalgate/internal/directory/file"
	"github.com/portalgate/portalgate/internal/oidctest"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/providers"
	"github.com/portalgate/portalgate/providers/google"
)

// provisioned returns a method as the gate gets it.
func provisioned[M interface {
	providers.Authenticator
	caddy.Provisioner
	caddy.Validator
}](m M) M {
	if err := errors.Join(m.Provision(caddy.Context{}), m.Validate()); err != nil {
		panic(err)
	}
	return m
}

// byGoogle is the method Google, which is i.
func byGoogle(i *oidctest.Issuer) Method {
	g := new(google.Google)
	g.Issuer, g.ClientID, g.ClientSecret = i.URL, oidctest.ClientID, oidctest.ClientSecret
	return Method{"google", i.Believed(provisioned(g))}
}

// googles adds it.
func googles(i *oidctest.Issuer) option {
	m := byGoogle(i)
	return func(c *Config, _ *HandlerOptions) { c.Methods = append(c.Methods, m) }
}

// others adds another issuer.
func others(name string, i *oidctest.Issuer) option {
	o := &google.OIDC{Name: name}
	o.Issuer, o.ClientID, o.ClientSecret = i.URL, oidctest.ClientID, oidctest.ClientSecret
	m := provisioned(o)
	return func(c *Config, _ *HandlerOptions) { c.Methods = append(c.Methods, Method{"oidc:" + name, m}) }
}

// account has everybody be the account with these claims.
func account(i *oidctest.Issuer, sub, email string, more ...any) {
	i.Be(func(c *oidctest.Conduct) {
		c.Account = map[string]any{"sub": sub, "email": email, "email_verified": true}
		for n := 0; n+1 < len(more); n += 2 {
			c.Account[more[n].(string)] = more[n+1]
		}
	})
}

var (
	refreshRE = regexp.MustCompile(`<meta http-equiv="refresh" content="0; url=([^"]*)">`)
	hrefRE    = regexp.MustCompile(`<a [^>]*href="(http[^"]*)"`)
)

// setOff presses the button of a method and returns where the browser is sent.
func (b *browser) setOff(path string, more ...string) string {
	b.w.t.Helper()
	p := b.get("/sign-in/magic-link?return_to=/files/7")
	f := p.form("/sign-in/magic-link")
	if !strings.Contains(p.body, `formaction="/sign-in/`+path+`"`) {
		b.w.t.Fatalf("the email form does not offer %s", path)
	}
	f.action = "/sign-in/" + path
	return b.sentTo(b.send(f, more...))
}

func (b *browser) sentTo(p *page) string {
	b.w.t.Helper()
	m := refreshRE.FindStringSubmatch(p.is(200).body)
	if m == nil || p.header.Get("Referrer-Policy") != "no-referrer" {
		b.w.t.Fatalf("not sent anywhere (Referrer-Policy %q): %s", p.header.Get("Referrer-Policy"), p.text())
	}
	to := html.UnescapeString(m[1])
	if m := hrefRE.FindStringSubmatch(p.body); m == nil || html.UnescapeString(m[1]) != to {
		b.w.t.Error("there is no plain link beside it")
	}
	return to
}

// comeBack has the issuer send the browser back and returns with what.
func (b *browser) comeBack(to string) string {
	b.w.t.Helper()
	p := b.once().get(to)
	if p.status != http.StatusFound {
		b.w.t.Fatalf("the issuer answers %d: %s", p.status, p.text())
	}
	return p.header.Get("Location")
}

// google signs in by Google, all the way.
func (b *browser) google(more ...string) *page {
	b.w.t.Helper()
	return b.get(b.comeBack(b.setOff("google", more...)))
}

func (p *page) in(client string) *page {
	p.w.t.Helper()
	if p.body != "portal /files/7 for "+client {
		p.w.t.Fatalf("not in as %s, but %d %s: %s", client, p.status, p.url.Path, p.text())
	}
	return p
}

func (p *page) out() *page {
	p.w.t.Helper()
	if strings.HasPrefix(p.body, "portal ") {
		p.w.t.Fatalf("let in: %s", p.body)
	}
	return p
}

func TestGoogle(t *testing.T) {
	i := oidctest.New(t)
	w := newWorld(t, googles(i), pins)
	b := w.browser()
	b.google().in("c-ada")
	if q := i.Asked()[0]; q.Get("redirect_uri") != w.front+"/sign-in/google/callback" || q.Has("prompt") || q.Has("login_hint") {
		t.Errorf("the issuer was asked with %v", q)
	}
	if got := w.upstream()[0].Header.Get("Portalgate-Assertion"); !strings.Contains(claims(t, got), `"amr":["google"]`) {
		t.Errorf("the assertion says %s", claims(t, got))
	}
	if got := w.upstream()[0].Header.Get("Referer"); strings.Contains(got, "code=") {
		t.Errorf("the portal is told %s", got)
	}
	w.notices("ada@example.com", 1)
	// A second browser, and the same account.
	w.browser().google().in("c-ada")
	// On a shared computer and after a sign-out the account is asked for.
	w.browser().google("shared", "1").in("c-ada")
	if q := i.Asked()[2]; q.Get("prompt") != "select_account" {
		t.Errorf("on a shared computer: %v", q)
	}
	p := b.get("/sign-in/sign-out")
	b.send(p.form("/sign-in/sign-out"))
	b.google().in("c-ada")
	if q := i.Asked()[3]; q.Get("prompt") != "select_account" {
		t.Errorf("after a sign-out: %v", q)
	}
	b.google().in("c-ada")
	if q := i.Asked()[4]; q.Has("prompt") {
		t.Errorf("a later sign-in takes more than a press: %v", q)
	}
	if log := w.logs.String(); strings.Contains(log, "code=") || strings.Contains(log, "sub-ada") {
		t.Error("the log holds what came back")
	}
}

// TestS16_GoogleAddresses: opened by a plain GET, no address of the method is a
// dead end.
func TestS16_GoogleAddresses(t *testing.T) {
	w := newWorld(t, googles(oidctest.New(t)))
	for _, path := range []string{"/sign-in/google", "/sign-in/google/callback", "/sign-in/google/callback?x=1", "/sign-in/google/callback?state=a&code=b"} {
		p := w.browser().get(path).is(200)
		if len(p.forms()) == 0 {
			t.Errorf("%s is a dead end: %s", path, p.text())
		}
	}
	if p := w.browser().once().get("/sign-in/google"); p.status != http.StatusSeeOther {
		t.Errorf("a plain GET is answered %d", p.status)
	}
}

// TestGoogleAlone: where there is no other way in, the front page is a button,
// and the address asked for is kept.
func TestGoogleAlone(t *testing.T) {
	i := oidctest.New(t)
	w := newWorld(t, func(c *Config, _ *HandlerOptions) { c.Methods = []Method{byGoogle(i)} })
	for _, path := range []string{"/sign-in", "/sign-in/google"} {
		b := w.browser()
		p := b.get(path + "?return_to=/files/7").is(200)
		b.get(b.comeBack(b.sentTo(b.send(p.form("/sign-in/google"), "shared", "1")))).in("c-ada")
		if seen := w.upstream(); seen[len(seen)-1].URL.Path != "/files/7" {
			t.Errorf("%s leads to %s", path, seen[len(seen)-1].URL)
		}
	}
	if q := i.Asked()[0]; q.Get("prompt") != "select_account" {
		t.Errorf("on a shared computer: %v", q)
	}
	if p := w.browser().get("/sign-in/help"); !strings.Contains(p.text(), "lasts 24 hours") {
		t.Errorf("of a link that staff send it says %s", p.text())
	}
}

// TestGoogleIsOffered: where one way in does not work there is another, and none
// is offered that the gate does not have.
func TestGoogleIsOffered(t *testing.T) {
	w := newWorld(t, googles(oidctest.New(t)), others("clinic", oidctest.New(t)), pins)
	b := w.browser()
	p := b.get("/sign-in/magic-link").says("google.offer", "method", "Google").says("google.offer", "method", "clinic").says("pin.offer")
	p.says("google.privacy", "method", "Google")
	b.get("/sign-in/help").says("help.google.head", "method", "Google / clinic")
	b.get("/sign-in/link?t=damaged").says("nolink.title").says("google.offer", "method", "Google").says("pin.offer")
	one := newWorld(t)
	if p := one.browser().get("/sign-in/magic-link"); p.has("Google") || p.has("PIN") {
		t.Error("what there is not is offered")
	}
}

// TestTwoTabs: somebody sets off in two tabs and comes back in either order.
func TestTwoTabs(t *testing.T) {
	for _, firstFirst := range []bool{true, false} {
		w := newWorld(t, googles(oidctest.New(t)))
		b := w.browser()
		one, two := b.comeBack(b.setOff("google")), b.comeBack(b.setOff("google"))
		if !firstFirst {
			one, two = two, one
		}
		b.get(one).in("c-ada")
		b.get(two).in("c-ada")
	}
}

// TestLostAnswer: the answer that signs in never arrives. The browser asks
// again and gets the same session; and once that has ended, nothing any more.
func TestLostAnswer(t *testing.T) {
	w := newWorld(t, googles(oidctest.New(t)))
	b := w.browser()
	back := b.comeBack(b.setOff("google"))
	p := b.once().get(back)
	next := p.header.Get("Location")
	if p.status != http.StatusSeeOther || !strings.HasPrefix(next, "/sign-in/google/callback?flow=") {
		t.Fatalf("coming back is answered %d %s", p.status, next)
	}
	lost := func() *page { // the same cookies each time, as if no answer came
		u, _ := url.Parse(w.front)
		twin := w.browser()
		twin.c.Jar.SetCookies(u, b.c.Jar.Cookies(u))
		return twin.once().get(next)
	}
	first, second := lost(), lost()
	if first.status != http.StatusSeeOther || cookie(first) == "" || cookie(first) != cookie(second) {
		t.Fatalf("%d %q, then %d %q", first.status, cookie(first), second.status, cookie(second))
	}
	// Reloaded with the query still there, it is no error either.
	b.get(back).in("c-ada")
	b.get(next).is(200).out()
	tag := w.rt.eng.Load().records.Tag("c-ada")
	r, err := w.rt.eng.Load().records.Get(t.Context(), tag)
	if err != nil || len(r.Sessions) != 1 {
		t.Fatalf("%d sessions, %v", len(r.Sessions), err)
	}
	p = b.get("/sign-in/sign-out")
	b.send(p.form("/sign-in/sign-out"))
	if p := lost(); cookie(p) != "" {
		t.Error("a session that ended was made again")
	}
}

func cookie(p *page) string {
	for _, line := range p.header["Set-Cookie"] {
		if v, ok := strings.CutPrefix(line, "portalgate-main="); ok {
			v, _, _ = strings.Cut(v, ";")
			return v
		}
	}
	return ""
}

// TestAnotherGateWhileAway: the browser sets off at one gate and comes back to
// another, which shares the store and the secret and nothing else.
func TestAnotherGateWhileAway(t *testing.T) {
	w := newWorld(t, googles(oidctest.New(t)))
	b := w.browser()
	back := b.comeBack(b.setOff("google"))
	rt := NewRuntime(Options{
		Gate: "main", Now: w.clock.now, Mark: &w.mark, Pause: -1, Secret: w.rt.o.Secret,
		Open: func(context.Context) (store.Backend, error) { return keptOpen{w.db}, nil },
	})
	t.Cleanup(func() { rt.Close() })
	h, err := rt.Handler(w.conf, HandlerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.h = h
	b.get(back).in("c-ada")
}

// keptOpen is a store that somebody else closes.
type keptOpen struct{ store.Backend }

func (keptOpen) Close() error { return nil }

// TestReloadWhileAway: the configuration is loaded anew while somebody is at
// the issuer.
func TestReloadWhileAway(t *testing.T) {
	i := oidctest.New(t)
	w := newWorld(t, googles(i))
	b := w.browser()
	back := b.comeBack(b.setOff("google"))
	c := *w.conf
	c.Methods = []Method{c.Methods[0], byGoogle(i)}
	var err error
	if w.h, err = w.rt.Handler(&c, HandlerOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.rt.Use(&c); err != nil {
		t.Fatal(err)
	}
	b.get(back).in("c-ada")
}

// TestSwitchByGoogle: somebody else is signed in in this browser. They are asked first.
func TestSwitchByGoogle(t *testing.T) {
	i := oidctest.New(t)
	w := newWorld(t, googles(i))
	b := w.signIn("bob@example.com")
	p := b.google().is(200).out().says("switch.title")
	if p := b.get("/x"); p.body != "portal /x for c-bob" {
		t.Errorf("Bob was signed out unasked: %s", p.text())
	}
	b.send(p.form("/sign-in/google")).in("c-ada")
}

// TestLinkedNotice: the client is told that an account was linked, and takes it
// away by a press. It signs in no more, and what it had opened is over.
func TestLinkedNotice(t *testing.T) {
	i := oidctest.New(t)
	w := newWorld(t, googles(i))
	b := w.browser()
	b.google().in("c-ada")
	var stop string
	for _, m := range w.notices("ada@example.com", 2) {
		if m.Subject == "You can now sign in with Google" {
			stop = stopOf(m)
		}
	}
	if stop == "" {
		t.Fatal("nobody is told that an account was linked")
	}
	other := w.browser()
	p := other.get(stop).says("stop.google.title", "method", "Google")
	p = other.send(p.form("/sign-in/stop"), "email", "bob@example.com").is(422)
	p = other.send(p.form("/sign-in/stop"), "email", "ada@example.com").is(200)
	p.says("stop.google.off", "method", "Google")
	b.get("/x").out()
	r, err := w.rt.eng.Load().records.Get(t.Context(), w.rt.eng.Load().records.Tag("c-ada"))
	if err != nil || len(r.Subjects) != 0 {
		t.Errorf("still linked: %d, %v", len(r.Subjects), err)
	}
	other.get(stop).says("stop.google.off", "method", "Google")
}

// rewrite puts another client file in the place of the old.
func rewrite(w *world, clients string) {
	w.t.Helper()
	writeFile(w.t, w.csv, clients)
	list, err := file.Open(w.csv)
	if err != nil {
		w.t.Fatal(err)
	}
	c := *w.conf
	c.Clients = list
	w.conf = &c
	if w.h, err = w.rt.Handler(&c, HandlerOptions{}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.rt.Use(&c); err != nil {
		w.t.Fatal(err)
	}
}

func changeAddress(w *world, from, to string) {
	rewrite(w, strings.ReplaceAll(sampleClients, from, to))
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
