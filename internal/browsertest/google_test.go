// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"context"
	"errors"
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/mail/outbox"
	"github.com/portalgate/portalgate/internal/oidctest"
	"github.com/portalgate/portalgate/providers/google"
)

// openGoogle starts a gate that offers Google, which is the issuer returned.
func openGoogle(t testing.TB) (*house, *oidctest.Issuer) {
	t.Helper()
	i := oidctest.New(t)
	m := new(google.Google)
	m.Issuer, m.ClientID, m.ClientSecret = i.URL, oidctest.ClientID, oidctest.ClientSecret
	if err := errors.Join(m.Provision(caddy.Context{}), m.Validate()); err != nil {
		t.Fatal(err)
	}
	h := openHouse(t, willow(), false)
	h.conf.Methods = append(h.conf.Methods, gate.Method{Name: "google", Authenticator: i.Believed(m)})
	h.onFile(clients + "c-grace,grace+clinic@gmail.com,Grace,yes\n")
	return h, i
}

var goesOn = regexp.MustCompile(`http-equiv="refresh" content="0; url=([^"]*)"`)

// setOff presses the button and returns the page that leads away.
func (v *visitor) setOff() *shown {
	v.h.t.Helper()
	return v.do("POST", "/sign-in/google", v.get("/sign-in/magic-link").forms["/sign-in/magic-link"])
}

// google goes to Google and comes back.
func (v *visitor) google() *shown {
	v.h.t.Helper()
	to := goesOn.FindStringSubmatch(v.setOff().body)
	if to == nil {
		v.h.t.Fatal("not sent to Google")
	}
	return v.do("GET", html.UnescapeString(to[1]), nil)
}

// tidings lets time pass until there are n mails to an address with nothing to
// press, and returns the newest.
func (h *house) tidings(email string, n int) outbox.Entry {
	h.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < patience; <-tick.C {
		var found []outbox.Entry
		for _, m := range h.rt.Outbox().Messages() {
			if m.To == email && unasked(m) != "" {
				found = append(found, m)
			}
		}
		if len(found) >= n {
			return found[0]
		}
		h.advance(time.Second)
	}
	h.t.Fatal("nobody was told anything")
	return outbox.Entry{}
}

// google is what can become of a sign-in by Google.
func (c *catalogue) google() {
	h, i := openGoogle(c.t)
	say := func(claims ...any) {
		i.Be(func(b *oidctest.Conduct) {
			b.Account = map[string]any{"sub": "sub", "email_verified": true}
			for n := 0; n < len(claims); n += 2 {
				b.Account[claims[n].(string)] = claims[n+1]
			}
		})
	}
	c.add("google-offered", h.visitor().get("/sign-in/magic-link"))
	c.add("google-help", h.visitor().get("/sign-in/help"))
	c.told += plain(h.visitor().setOff().body) // not shown: it would lead away
	c.add("google-late", h.visitor().get("/sign-in/google/callback?state=old&code=x"))

	say("email", "nobody@gmail.com")
	c.add("google-nomatch", h.visitor().google())
	say("email", "ada@example.com", "email_verified", false)
	c.add("google-unproved", h.visitor().google())
	say("email", "ada@example.com")
	c.add("google-once", h.visitor().google())

	say("email", "bob@example.com", "hd", "example.com")
	if p := h.visitor().google(); p.body != h.portal {
		c.t.Fatalf("Google does not let Bob in: %s", p.body)
	}
	h.advance(10 * time.Second) // what notices wait
	for _, m := range []int{1, 2} {
		n := h.notice("bob@example.com", m)
		if c.mailed(n); strings.Contains(n.Subject, "Google") {
			v := h.visitor()
			page := c.add("stop-google", v.get(stopOf(n)))
			say("sub", "another", "email", "bob@example.com", "hd", "example.com")
			c.add("google-account", h.visitor().google())
			c.add("stop-google-done", v.send(page, "/sign-in/stop", "email", "bob@example.com"))
		}
	}

	say("email", "bob@example.com", "hd", "example.com")
	if p := h.visitor().google(); p.body != h.portal {
		c.t.Fatalf("Google does not let Bob in again: %s", p.body)
	}
	if err := h.rt.Unlink(context.Background(), "c-bob", "desk"); err != nil {
		c.t.Fatal(err)
	}
	c.mailed(h.mail("bob@example.com", 1, unasked))

	h.onFile(strings.ReplaceAll(clients, "bob@", "robert@") + "c-grace,grace+clinic@gmail.com,Grace,yes\n")
	for to, n := range map[string]int{"bob@example.com": 2, "robert@example.com": 1} {
		c.mailed(h.tidings(to, n))
	}

	grace := h.visitor()
	grace.signIn("grace+clinic@gmail.com", 1)
	grace.send(grace.get("/sign-in/sign-out"), "/sign-in/sign-out")
	say("email", "grace@gmail.com")
	c.add("google-plus", grace.google())

	i.Be(func(b *oidctest.Conduct) { b.Back = func(q url.Values) { q.Set("error", "access_denied") } })
	c.add("google-cancel", h.visitor().google())
	i.Be(func(b *oidctest.Conduct) { b.Back = nil })
	i.Instead(oidctest.Token, oidctest.Fails)
	c.add("google-down", h.visitor().google())
	busy := h.visitor()
	for range 31 {
		busy.setOff()
	}
	h.advance(time.Second)
	c.add("google-wait", busy.setOff())
	asked := h.visitor()
	c.add("google-wait-links", asked.send(asked.ask("ada@example.com"), "/sign-in/magic-link"))

	h.conf.Methods = h.conf.Methods[len(h.conf.Methods)-1:] // as the staff's own gate may be
	h.onFile(clients)
	v := h.visitor()
	page := c.add("google-alone", v.get("/sign-in/google"))
	to := goesOn.FindStringSubmatch(v.do("POST", "/sign-in/google", page.forms["/sign-in/google"]).body)
	if to == nil {
		c.t.Fatal("not sent to Google")
	}
	c.add("google-alone-down", v.do("GET", html.UnescapeString(to[1]), nil))
}
