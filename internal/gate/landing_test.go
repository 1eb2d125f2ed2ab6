// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/ui"
)

// newClients gives the practice a page for people who are no clients yet.
func newClients(t *testing.T, address string) option {
	return func(c *Config, _ *HandlerOptions) {
		p := c.UI.Practice()
		p.NewClients = address
		pages, err := ui.New(p)
		if err != nil {
			t.Fatal(err)
		}
		c.UI = pages
	}
}

// TestS02_Landing: where the practice has a page for new clients, the landing
// page asks which one is, and keeps the page first asked for; where it has none,
// it goes straight to the choices.
func TestS02_Landing(t *testing.T) {
	w := newWorld(t, newClients(t, "https://willow.example/welcome?a=1&b=2"))
	b := w.browser()
	p := b.get("/files/42").is(200).says("landing.title").says("landing.existing").says("landing.new")
	if !strings.Contains(p.body, `href="https://willow.example/welcome?a=1&amp;b=2"`) {
		t.Error("the landing page does not lead new clients to their page")
	}
	if !strings.Contains(p.body, `href="/sign-in/magic-link?return_to=%2Ffiles%2F42"`) {
		t.Errorf("the landing page loses the page asked for:\n%s", p.body)
	}
	q := b.get("/sign-in/magic-link?return_to=%2Ffiles%2F42").is(200).says("email.title")
	b.send(q.form("/sign-in/magic-link"), "email", "ada@example.com")
	m := w.letters("ada@example.com", 1)[0]
	q = b.get(link(m))
	if got := b.send(q.form("/sign-in/link")).body; got != "portal /files/42 for c-ada" {
		t.Errorf("landed on %q", got)
	}

	newWorld(t).browser().get("/sign-in").is(200).says("email.title")
}

// TestS02_SignedIn: a client who is signed in is told so and can go on, sign out
// or sign in as someone else; without a name on file by a text of its own.
func TestS02_SignedIn(t *testing.T) {
	for _, opts := range [][]option{nil, {newClients(t, "https://willow.example/welcome")}} {
		w := newWorld(t, opts...)
		b := w.signIn("ada@example.com")
		p := b.get("/sign-in?return_to=%2Ffiles").is(200).says("here.lead", "first", "Ada").says("here.out").says("here.switch")
		if !strings.Contains(p.body, `href="/files"`) {
			t.Error("the page does not lead on to the page asked for")
		}
		b.send(p.form("/sign-in/sign-out"), "switch", "1").is(200).says("email.title")
		if got := b.once().get("/files").status; got != 303 {
			t.Errorf("still signed in after choosing to be someone else: %d", got)
		}
	}
}

// TestS03_Typo: a domain one slip away from a well-known one is asked back about
// before anything is counted or sent, for every address alike, and either answer
// goes on with everything that was chosen.
func TestS03_Typo(t *testing.T) {
	for _, mode := range [][]option{{}, {reveal}} {
		w := newWorld(t, mode...)
		for name, tc := range map[string]struct{ press, typed string }{
			"keep":   {"ada@gmial.com", "ada@gmial.com"},
			"change": {"ada@gmail.com", "ada@gmail.com"},
		} {
			b := w.browser()
			p := b.get("/files/42")
			before := w.cost()
			p = b.send(p.form("/sign-in/magic-link"), "email", "ada@gmial.com", "shared", "1").is(200)
			p.says("typo.title").says("typo.lead", "typed", "ada@gmial.com", "suggestion", "ada@gmail.com")
			if did := w.cost().since(before); did.allows+did.puts+did.updates != 0 {
				t.Errorf("asking back cost %+v", did)
			}
			var f *form
			for _, g := range p.forms() {
				if g.values.Get("email") == tc.press {
					f = &g
				}
			}
			if f == nil {
				t.Fatalf("%s: no button for it", name)
			}
			if f.values.Get("return_to") != "/files/42" || f.values.Get("shared") != "1" {
				t.Errorf("%s: what was chosen is lost: %v", name, f.values)
			}
			q := b.send(*f)
			if w.conf.Reveal {
				q.is(422).says("unknown.lead", "typed", tc.typed)
			} else {
				q.is(200).says("sent.conceal.lead", "typed", tc.typed)
			}
			w.clock.advance(15 * time.Minute)
		}
	}
}

// TestS03_WrongAddresses: what is no address is said to be none, with what was
// typed still there, and costs nothing.
func TestS03_WrongAddresses(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for typed, key := range map[string]string{
		"": "email.empty", "  ": "email.empty", "ada": "email.shape", "ada@example": "email.shape", "a@b@example.com": "email.shape",
		"ada@example.com,bob@example.com": "email.shape", "ådå@example.com": "email.signs",
	} {
		before := w.cost()
		p := b.ask(typed).is(422).says(key)
		if got := p.form("/sign-in/magic-link").values.Get("email"); got != typed {
			t.Errorf("%q was typed and %q is shown", typed, got)
		}
		if !strings.Contains(p.body, "<title>Error: ") {
			t.Errorf("%q: the title does not say that something is wrong", typed)
		}
		if did := w.cost().since(before); did != (cost{}) {
			t.Errorf("%q cost %+v", typed, did)
		}
	}
}

var buttonRE = regexp.MustCompile(`<a [^>]*href="[^"]*/sign-in/link\?t=[^"]*"[^>]*>.*?>Sign in<.*?</a>`)

// TestS03_TheMail: subject, button, code and sender are as promised, to the
// address on file byte for byte, whatever case was typed.
func TestS03_TheMail(t *testing.T) {
	w := newWorld(t)
	w.browser().ask("ADA@Example.COM").is(200).says("sent.conceal.lead", "typed", "ADA@Example.COM")
	m := w.letters("ada@example.com", 1)[0]
	if m.Subject != "Sign in to your Client Portal" {
		t.Errorf("subject %q", m.Subject)
	}
	if !buttonRE.MatchString(m.HTML) || link(m) == "" || code(m) == "" || stopOf(m) == "" {
		t.Error("the mail lacks its button, link, code or stop link")
	}
	if m.From != "Willow Creek Counseling <hello@willow.example>" {
		t.Errorf("from %q", m.From)
	}
}
