// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"strings"
	"testing"
)

func TestWalk(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	p := b.get("/files/42?tab=a").is(200).says("email.title")
	if p.url.Path != "/sign-in" {
		t.Fatalf("a visitor was sent to %s", p.url.Path)
	}
	p = b.send(p.form("/sign-in/magic-link"), "email", "ada@example.com")
	p.is(200).says("sent.conceal.lead", "typed", "ada@example.com")
	m := w.letters("ada@example.com", 1)[0]
	p = b.get(link(m)).is(200).says("open.here.title")
	p = b.send(p.form("/sign-in/link"))
	if p.is(200).body != "portal /files/42?tab=a for c-ada" {
		t.Fatalf("landed on %s: %s", p.url.Path, p.body)
	}
	if strings.Contains(p.url.String(), token(link(m))) {
		t.Fatalf("the link's token stands in the portal's URL")
	}
	b.get("/sign-in").is(200).says("here.lead", "first", "Ada")
	b.get(link(m)).is(200)
	p = b.get("/sign-in/sign-out").is(200).says("out.ask.title")
	p = b.send(p.form("/sign-in/sign-out")).is(200).says("out.title")
	b.get("/files/42").says("email.title")
}
