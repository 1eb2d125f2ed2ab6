// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/access"
)

// Somebody else asked; the mailbox's owner switches the link off.
func TestStopALink(t *testing.T) {
	w := newWorld(t)
	asker := w.browser()
	m := asker.mailed("ada@example.com")
	owner := w.browser()
	if got, want := owner.once().get(stopOf(m)).is(303).header.Get("Location"), "/sign-in/stop#"+token(stopOf(m)); got != want {
		t.Error("the first hop does not lead to the page with the token in the fragment")
	}
	p := owner.get(stopOf(m)).is(200).says("stop.title")
	if p.auto() || !p.asks() {
		t.Fatal("a browser that has shown nothing switches a link off with a press")
	}
	before := w.writes()
	owner.send(p.form("/sign-in/stop")).is(422).says("email.empty")
	if w.writes() != before {
		t.Error("an empty address was counted")
	}
	p = owner.send(p.form("/sign-in/stop"), "email", "bob@example.com").is(422).says("open.new.wrong")
	w.browser().get(link(m)).says("open.new.title") // still on
	owner.send(p.form("/sign-in/stop"), "email", "ada@example.com").is(200).says("stop.done.title")
	asker.get(link(m)).says("stopped.title").says("stopped.client")
	owner.get(stopOf(m)).says("stop.done.title")
	if w.live("c-ada") != 0 {
		t.Error("switching a link off opened a session")
	}
}

// Where the client is known, and where the link was asked for, one press does;
// nothing happens without it.
func TestStopInAKnownBrowser(t *testing.T) {
	w := newWorld(t)
	b := w.signIn("ada@example.com")
	other := w.browser()
	for name, who := range map[string]*browser{"known": b, "asker": other} {
		m := other.mailed("ada@example.com")
		p := who.get(stopOf(m)).says("stop.title")
		if p.auto() || p.asks() || strings.Contains(p.body, "<script>") {
			t.Errorf("%s: takes more or less than one press", name)
		}
		w.browser().get(link(m)).says("open.new.title")
		who.send(p.form("/sign-in/stop")).says("stop.done.title")
		w.browser().get(link(m)).says("stopped.title")
	}
	if !b.signedIn() {
		t.Error("switching a link off that nobody used ended a session")
	}
}

// Too late: the link was used. Then it can sign out everywhere, and forget
// the browsers.
func TestStopAUsedLink(t *testing.T) {
	w := newWorld(t)
	thief := w.browser()
	m := thief.mailed("ada@example.com")
	thief.send(thief.get(link(m)).form("/sign-in/link")).isPortal("/", "c-ada")
	pending := w.browser().mailed("ada@example.com")

	owner := w.browser()
	p := owner.get(stopOf(m)).is(200).says("stop.late.title")
	// Without the button's value a press, as of a page shown before it was
	// used, does not sign out.
	p = owner.send(p.form("/sign-in/stop"), "email", "ada@example.com").says("stop.late.title")
	if !thief.signedIn() {
		t.Fatal("a press meant for the link alone signed the client out")
	}
	if p.asks() {
		t.Error("the address that was proved is asked for again")
	}
	owner.send(p.form("/sign-in/stop"), "all", "1").says("out.all")
	if thief.signedIn() || w.live("c-ada") != 0 {
		t.Fatal("signing out everywhere left a session")
	}
	w.browser().get(link(pending)).says("stopped.client")
	m = w.browser().mailed("ada@example.com")
	if !thief.get(link(m)).asks() {
		t.Error("the thief's browser is still known")
	}
}

// A stop link takes away and does nothing else; it outlives its link by 30
// days and opens nobody's page but its own.
func TestStopLinkOpensNothing(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	m := b.mailed("ada@example.com")
	b.get("/sign-in/link?t=" + token(stopOf(m))).says("nolink.title")
	b.get("/sign-in/stop?t=" + token(link(m))).says("nolink.title")
	c := w.browser()
	f := c.get(stopOf(m)).form("/sign-in/stop")
	for _, to := range []string{"/sign-in/link", "/sign-in/link/again"} {
		c.send(form{to, f.values}, "email", "ada@example.com").is(403)
	}
	if w.live("c-ada") != 0 {
		t.Fatal("a stop link signed in")
	}
	// And a link's page cannot switch it off.
	f = c.get(link(m)).form("/sign-in/link")
	c.send(form{"/sign-in/stop", f.values}, "email", "ada@example.com").is(403)
	w.browser().get(link(m)).says("open.new.title")

	w.clock.advance(24*time.Hour + 29*24*time.Hour)
	w.browser().get(stopOf(m)).says("stop.done.title")
	w.clock.advance(2 * 24 * time.Hour)
	w.browser().get(stopOf(m)).says("nolink.title")
}

// Whoever has the mail's text but not its address has ten tries for both pages
// together, and then none; the link goes on working where it was asked for.
func TestStopTooManyWrongAddresses(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	m := b.mailed("ada@example.com")
	other := w.browser()
	f := other.get(stopOf(m)).form("/sign-in/stop")
	for range access.WrongAddresses {
		other.send(f, "email", "bob@example.com").is(422).says("open.new.wrong")
	}
	other.send(f, "email", "ada@example.com").is(422).says("open.new.wrong")
	b.send(b.get(link(m)).form("/sign-in/link")).isPortal("/", "c-ada")
}

// Somebody who was sent a stop link, and has a network of addresses as everybody
// has of IPv6, goes on guessing from each of them. What is written down ends where
// the limit does; the page says the same before and after.
func TestStopFillsNoLog(t *testing.T) {
	w := newWorld(t)
	m := w.browser().mailed("ada@example.com")
	b := w.browser()
	f := b.get(stopOf(m)).form("/sign-in/stop")
	for i := range 3 * access.WrongAddresses {
		b.from(fmt.Sprintf("2001:db8::%x", i+1)).send(f, "email", "bob@example.com").is(422).says("open.new.wrong")
	}
	if n := of(w.events(), "c-ada")["link_stopped"]; n != 1 { // of one network, within a second
		t.Errorf("%d events of wrong addresses, want one", n)
	}
	if n := strings.Count(w.logs.String(), `"link_wrong_address"`); n != access.WrongAddresses {
		t.Errorf("%d lines in the log, want %d", n, access.WrongAddresses)
	}
}

// Another site's page, or one without the form's nonce, switches nothing off.
func TestStopFromAnotherSite(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	m := b.mailed("ada@example.com")
	f := b.get(stopOf(m)).form("/sign-in/stop")
	evil := b.copy()
	evil.headers.Set("Origin", "https://evil.example")
	evil.send(f).is(403).says("crossed.title")
	b.do("POST", "/sign-in/stop", url.Values{}).is(403)
	w.browser().get(link(m)).says("open.new.title")
}

// "Open in Safari" brings a stop link's fragment along like a link's.
func TestStopColdPage(t *testing.T) {
	w := newWorld(t)
	m := w.browser().mailed("ada@example.com")
	b := w.browser()
	p := b.get("/sign-in/stop").is(200).says("open.cold.title")
	p = b.send(p.form("/sign-in/stop"), "t", token(stopOf(m))).says("stop.title")
	b.send(p.form("/sign-in/stop"), "email", "ada@example.com").says("stop.done.title")
}

// The audit log must not tell of a link switched off that was already used: it
// is what somebody reads to find out who was in.
func TestStopTellsOnlyWhatItDid(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	m := b.mailed("ada@example.com")
	b.send(b.get(link(m)).form("/sign-in/link"))
	b.send(b.get(stopOf(m)).form("/sign-in/stop")).says("stop.late.title")
	if strings.Contains(w.logs.String(), `"link_stopped"`) {
		t.Error("the log tells of a link that was switched off, and none was")
	}
	m = w.browser().mailed("bob@example.com")
	c := w.browser()
	c.send(c.get(stopOf(m)).form("/sign-in/stop"), "email", "bob@example.com").says("stop.done.title")
	if !strings.Contains(w.logs.String(), `"link_stopped"`) {
		t.Error("the log does not tell of the link that was switched off")
	}
}
