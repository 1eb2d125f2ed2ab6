// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"context"
	"errors"
	"html"
	"net/url"
	"strings"
	"time"

	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/providers"
)

// program is a plugin as the gate sees it, without a process.
type program struct {
	about  providers.Description
	first  func(providers.Request) providers.Step
	answer func(providers.Request) (providers.Step, *providers.Claim, error)
	down   error
}

func (p *program) Describe() providers.Description {
	d := p.about
	d.Text = "plugin"
	return d
}

func (p *program) Start(_ context.Context, r providers.Request) (providers.Step, error) {
	return p.first(r), nil
}

func (p *program) Continue(_ context.Context, r providers.Request) (providers.Step, *providers.Claim, error) {
	return p.answer(r)
}

func (p *program) Available() error            { return p.down }
func (p *program) Ready(context.Context) error { return p.down }

func (p *program) Within() time.Duration { return 100 * time.Millisecond }
func (p *program) SharesPhone() bool     { return false }

// programs is what can become of a sign-in by a plugin.
func (c *catalogue) programs() {
	code := &providers.Ask{Title: "Enter the code", Lead: "If we know this address, we have sent a code to your phone.", Button: "Sign in", Fields: []providers.Field{
		{Name: "code", Kind: providers.Digits, Label: "The 6 digits of the text message"},
	}}
	text := &program{
		about: providers.Description{Label: "a text message", AfterAddress: code},
		first: func(providers.Request) providers.Step {
			return providers.Step{Ask: &providers.Ask{Title: "Sign in by text message", Button: "Text me a code", Fields: []providers.Field{
				{Name: "email", Kind: providers.Email, Label: "Your email address"},
			}}}
		},
		answer: func(r providers.Request) (providers.Step, *providers.Claim, error) {
			if r.State != nil {
				return providers.Step{}, nil, &providers.Denial{Text: "That is not the code.", Field: "code"}
			}
			return providers.Step{Ask: code, State: []byte("x")}, nil, nil
		},
	}
	var claim providers.Claim
	card := &program{
		about: providers.Description{Label: "your membership card"},
		first: func(providers.Request) providers.Step {
			return providers.Step{Ask: &providers.Ask{Title: "Sign in with your membership card", Button: "Sign in", Fields: []providers.Field{
				{Name: "card", Kind: providers.Text, Label: "Card number", Hint: "It is on the front."},
			}}}
		},
		answer: func(r providers.Request) (providers.Step, *providers.Claim, error) {
			if r.Fields["card"] != "17" {
				return providers.Step{}, nil, &providers.Denial{Text: "We do not know that card.", Field: "card"}
			}
			c := claim
			return providers.Step{}, &c, nil
		},
	}
	clinic := &program{
		about: providers.Description{Label: "the clinic", Away: true},
		first: func(r providers.Request) providers.Step {
			return providers.Step{Redirect: &providers.Redirect{
				URL: "https://id.example/?state=" + url.QueryEscape(r.Attempt), Origins: []string{"https://id.example"},
			}}
		},
		answer: func(providers.Request) (providers.Step, *providers.Claim, error) {
			return providers.Step{}, nil, &providers.Denial{Text: "The clinic has no such account."}
		},
	}
	h := openHouse(c.t, willow(), false)
	h.conf.Methods = append(h.conf.Methods, gate.Method{Name: "plugin:text", Authenticator: text},
		gate.Method{Name: "plugin:card", Authenticator: card}, gate.Method{Name: "plugin:clinic", Authenticator: clinic})
	h.onFile(clients + "c-grace,grace+clinic@gmail.com,Grace,yes\n")

	c.add("program-offered", h.visitor().get("/sign-in/magic-link"))
	v := h.visitor()
	p := c.add("program-address", v.get("/sign-in/m/text"))
	p = c.add("program-code", v.send(p, "/sign-in/m/text", "email", "ada@example.com"))
	c.add("program-no", v.send(p, "/sign-in/m/text", "code", "1234"))

	by := func(v *visitor, number string) *shown {
		return v.send(v.get("/sign-in/m/card"), "/sign-in/m/card", "card", number)
	}
	c.add("program-card", h.visitor().get("/sign-in/m/card"))
	c.add("program-card-denied", by(h.visitor(), "18"))
	claim = providers.Claim{Subject: "1", Email: "nobody@example.com", EmailVerified: true}
	c.add("program-nomatch", by(h.visitor(), "17"))
	claim.Email, claim.EmailVerified = "ada@example.com", false
	c.add("program-unproved", by(h.visitor(), "17"))
	claim.EmailVerified = true
	c.add("program-once", by(h.visitor(), "17"))
	grace := h.visitor()
	grace.signIn("grace+clinic@gmail.com", 1)
	grace.send(grace.get("/sign-in/sign-out"), "/sign-in/sign-out")
	claim.Email = "grace@gmail.com"
	c.add("program-plus", by(grace, "17"))

	claim.Email, claim.Authoritative = "bob@example.com", true
	if p := by(h.visitor(), "17"); p.body != h.portal {
		c.t.Fatalf("the card does not let Bob in: %s", p.body)
	}
	claim.Subject = "2"
	c.add("program-account", by(h.visitor(), "17"))
	h.advance(10 * time.Second) // what notices wait
	for _, m := range []int{1, 2} {
		n := h.notice("bob@example.com", m)
		if c.mailed(n); strings.Contains(n.Subject, "membership") {
			v := h.visitor()
			page := c.add("stop-program", v.get(stopOf(n)))
			c.add("stop-program-done", v.send(page, "/sign-in/stop", "email", "bob@example.com"))
		}
	}

	v = h.visitor()
	p = v.do("POST", "/sign-in/m/clinic", v.get("/sign-in/magic-link").forms["/sign-in/magic-link"])
	c.told += plain(p.body) // not shown: it would lead away
	_, state, _ := strings.Cut(html.UnescapeString(goesOn.FindStringSubmatch(p.body)[1]), "?")
	c.add("program-refused", v.get("/sign-in/m/clinic/callback?"+state))
	c.add("program-late", h.visitor().get("/sign-in/m/clinic/callback?"+state))

	card.down, clinic.down = errors.New("it has ended"), errors.New("it has ended")
	c.add("program-offered-down", h.visitor().get("/sign-in/magic-link"))
	c.add("program-down", h.visitor().get("/sign-in/m/card"))
}
