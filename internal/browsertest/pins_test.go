// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"context"
	"strings"
	"time"

	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/mail/outbox"
)

// issue has staff make a PIN.
func (h *house) issue(client string) string {
	h.t.Helper()
	p, err := h.rt.IssuePIN(context.Background(), gate.PINOrder{Client: client, By: "desk", VerifiedBy: "called back"})
	if err != nil {
		h.t.Fatal(err)
	}
	return p.PIN
}

// invite has staff invite a client.
func (h *house) invite(client, words string) {
	h.t.Helper()
	h.order(gate.LinkOrder{Client: client, Invite: true, Words: words})
}

// send has a client sent a link by staff.
func (h *house) send(client, words string) {
	h.t.Helper()
	h.order(gate.LinkOrder{Client: client, Words: words})
}

func (h *house) order(o gate.LinkOrder) {
	h.t.Helper()
	o.By = "desk"
	if err := h.rt.QueueLink(context.Background(), o); err != nil {
		h.t.Fatal(err)
	}
}

// pins is signing in by a PIN, and stopping one.
func (c *catalogue) pins() {
	h := openHouse(c.t, willow(), false)
	v := h.visitor()
	form := c.add("pin", v.get("/sign-in/pin"))
	try := func(pin string) *shown {
		return v.send(form, "/sign-in/pin", "email", "ada@example.com", "pin", pin)
	}
	c.add("pin-shape", try("12 34"))
	c.add("pin-code", try("1234 5678"))
	h.issue("c-ada")
	c.add("pin-no", try("xxxxxx")) // never right
	for range 5 {
		try("xxxxxx")
	}
	c.add("pin-wait", try("xxxxxx"))
	c.add("code-pin", v.send(v.ask("ada@example.com"), "/sign-in/code", "code", "123 456"))

	here := h.visitor()
	here.signIn("bob@example.com", 1)
	c.add("pin-switch", here.send(here.get("/sign-in/pin"), "/sign-in/pin", "email", "cleo@example.com", "pin", "123456"))

	other := h.visitor()
	h.advance(10 * time.Second)
	issued := h.notice("ada@example.com", 1)
	c.mailed(issued)
	stop := c.add("stop-pin", other.get(stopOf(issued)))
	c.add("stop-pin-wrong", other.send(stop, "/sign-in/stop", "email", "bob@example.com"))
	c.add("stop-pin-done", other.send(stop, "/sign-in/stop", "email", "ada@example.com"))

	pin := h.issue("c-cleo")
	user := h.visitor()
	user.send(user.get("/sign-in/pin"), "/sign-in/pin", "email", "cleo@example.com", "pin", pin)
	h.advance(10 * time.Second)
	for n := range 2 {
		m := h.notice("cleo@example.com", n+1)
		c.mailed(m)
		if m.Subject == "A PIN was made for your Client Portal" {
			c.add("stop-pin-late", other.get(stopOf(m)))
		}
	}
}

// desk is what staff have mailed, and what comes of it.
func (c *catalogue) desk() {
	const words = "We look forward to seeing you. The form takes five minutes, and you can stop and go on later."
	h := openHouse(c.t, willow(), false)
	h.send("c-cleo", words)
	c.mailed(h.letter("cleo@example.com", 1))
	h.invite("c-bob", words)
	first := h.letter("bob@example.com", 1)
	c.mailed(first)
	h.advance(2 * time.Minute)
	h.invite("c-bob", "")
	h.letter("bob@example.com", 2)
	c.add("newer-practice", h.visitor().get(link(first)))

	for round := range 4 { // as many guesses as there may be in a day
		if round%2 == 0 {
			h.issue("c-ada")
		}
		v := h.visitor()
		form := v.get("/sign-in/pin")
		for range 5 {
			v.send(form, "/sign-in/pin", "email", "ada@example.com", "pin", "xxxxxx") // never right
		}
		h.advance(16 * time.Minute)
	}
	if err := h.rt.Unlock(context.Background(), "c-ada", "desk"); err != nil {
		c.t.Fatal(err)
	}
	c.mailed(h.mail("ada@example.com", 1, unasked))
	often := h.visitor()
	for range 6 { // one more than there may be in an hour
		often.ask("cleo@example.com")
		h.advance(61 * time.Second)
	}
	if err := h.rt.Unlock(context.Background(), "c-cleo", "desk"); err != nil {
		c.t.Fatal(err)
	}
	c.mailed(h.mail("cleo@example.com", 1, unasked))
	h.onFile(strings.Replace(clients, "c-bob,bob@example.com,Bob Stone,yes", "c-bob,bob@example.com,Bob Stone,no", 1))
	c.mailed(h.tidings("bob@example.com", 1))
}

// unasked is the text of a mail that tells of what staff have done: there is
// nothing to press in it.
func unasked(m outbox.Entry) string {
	if stopOf(m) == "" && link(m) == "" {
		return m.Text
	}
	return ""
}
