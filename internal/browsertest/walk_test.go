// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp/kb"

	"github.com/portalgate/portalgate/internal/testgate"
)

const person = `id,email,name
1,ada@example.com,Ada Lovelace
2,bob@example.com,Bob Stone
3,zoe@example.com,Zoë Ångström
`

// TestWalk is a client's whole way, in a browser, with the mouse: from the
// portal's address to the portal's greeting.
func TestWalk(t *testing.T) {
	t.Parallel()
	g := testgate.Start(t, testgate.Options{Clients: person, Gate: "unknown_email reveal"})
	b := newProfile(t).first
	b.visit(g.URL + "/messages")
	b.sees("How would you like to sign in?")
	b.fill("email", "ada@example.com")
	b.press("Send link")
	b.sees("Check your email")
	b.reads("We sent a sign-in link to ada@example.com.")

	g.Mail("ada@example.com", 1)
	inbox := b.profile.tab()
	inbox.visit(g.Inbox)
	inbox.sees("Mailbox")
	inbox.look(look{1280, 1000, false, 16})
	inbox.reads("Sign in to your Client Portal") // the newest mail stands open
	portal := inbox.popup(func() { inbox.pressInMail("Sign in") })
	portal.sees("Messages")
	portal.arrivedClean(g.URL+"/messages", g)
	portal.press("Home")
	portal.sees("Hello Ada Lovelace")
	portal.arrivedClean(g.URL+"/", g)

	// The tab that asked is signed in too, and nothing on the way broke a
	// page's Content-Security-Policy.
	b.visit(g.URL + "/sign-in")
	b.sees("You are signed in")
	for _, tab := range []*tab{b, inbox, portal} {
		if said := tab.complaints(); len(said) > 0 {
			t.Errorf("the browser complains: %q", said)
		}
	}
}

// arrivedClean fails the test unless the tab is at url to the letter: no token
// in the query, none in the fragment, none in the way back.
func (b *tab) arrivedClean(url string, g *testgate.Gate) {
	b.t.Helper()
	// A bare "#" is what a redirect ends in that drops the fragment.
	if got := strings.TrimSuffix(b.href(), "#"); got != url {
		b.t.Errorf("location.href is %s, want %s", got, url)
	}
	if from := must[string](b, "document.referrer"); strings.Contains(from, "t=") || strings.Contains(from, "#") {
		b.t.Error("document.referrer has the link's token")
	}
	for _, m := range g.Messages() {
		_, token, _ := strings.Cut(link(m), "?t=")
		if token == "" || strings.Contains(must[string](b, "document.documentElement.outerHTML"), token) {
			b.t.Error("the portal's page has the link's token")
		}
	}
}

// TestWalkWithoutScript is the way with JavaScript switched off, where the
// link takes one press.
func TestWalkWithoutScript(t *testing.T) {
	t.Parallel()
	g := testgate.Start(t, testgate.Options{Clients: person})
	b := newProfile(t).first
	err := command(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	if err != nil {
		t.Fatal(err)
	}
	b.visit(g.URL + "/form")
	b.sees("How would you like to sign in?")
	b.fill("email", "bob@example.com")
	b.press("Send link")
	b.sees("Check your email")
	b.visit(link(g.Mail("bob@example.com", 1)))
	b.sees("Signing you in")
	b.press("Sign in")
	b.sees("Ask for a visit")
	b.arrivedClean(g.URL+"/form", g)
}

// TestWalkWithTheKeyboard is the way with Tab and Enter alone, the mail in the
// mailbox included.
func TestWalkWithTheKeyboard(t *testing.T) {
	t.Parallel()
	g := testgate.Start(t, testgate.Options{Clients: person})
	b := newProfile(t).first
	b.visit(g.URL + "/")
	b.sees("How would you like to sign in?")
	b.tabTo("INPUT", "")
	b.typeText("zoe@example.com")
	b.tabTo("BUTTON", "Send link")
	b.key(kb.Enter)
	b.sees("Check your email")

	m := g.Mail("zoe@example.com", 1)
	inbox := b.profile.tab()
	inbox.visit(g.Inbox + "/m/" + m.ID + "/html")
	inbox.until("the mail", named+"('Sign in')")
	inbox.tabTo("A", "Sign in")
	portal := inbox.popup(func() { inbox.key(kb.Enter) })
	portal.sees("Hello Zoë Ångström")
	portal.arrivedClean(g.URL+"/", g)

	portal.tabTo("A", "Sign out")
	portal.key(kb.Enter)
	portal.sees("Sign out?")
	portal.tabTo("BUTTON", "Sign out")
	portal.key(kb.Enter)
	portal.sees("You are signed out")
}

// tabTo presses Tab until what has the focus is a tag with these words, and
// checks that one can see where the focus is.
func (b *tab) tabTo(tag, words string) {
	b.t.Helper()
	for range 20 {
		b.key(kb.Tab)
		at := must[struct {
			Tag, Words string
			Seen       bool
		}](b, `(e => ({ Tag: e.tagName, Words: e.innerText.trim(), Seen: parseFloat(getComputedStyle(e).outlineWidth) >= 1 }))(document.activeElement)`)
		if !at.Seen && at.Tag != "BODY" {
			b.t.Errorf("the focus on %s %q cannot be seen", at.Tag, at.Words)
		}
		if at.Tag == tag && at.Words == words {
			return
		}
	}
	b.t.Fatalf("Tab does not lead to %s %q", tag, words)
}
