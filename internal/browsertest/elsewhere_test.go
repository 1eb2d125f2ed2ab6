// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/internal/testgate"
)

// TestAskedHereOpenedThere asks on one browser and opens the link on another:
// it takes the address, and leads to the page first asked for.
func TestAskedHereOpenedThere(t *testing.T) {
	t.Parallel()
	g := testgate.Start(t, testgate.Options{Clients: person})
	_, mailed, _ := askFor(t, g, "ada@example.com")
	b := newProfile(t).first
	b.visit(mailed)
	b.sees("One more step")
	b.press("Sign in") // without a word
	b.reads("Type your email address.")
	if title := must[string](b, "document.title"); !strings.HasPrefix(title, "Error: ") {
		t.Errorf("the title of a form with something wrong is %q", title)
	}
	b.fill("email", "Ada@Example.com ")
	b.press("Sign in")
	b.sees("Messages")
	b.arrivedClean(g.URL+"/messages", g)
}

// TestKnownBrowserTakesOnePress signs in where the client has before, with a
// link that another browser asked for.
func TestKnownBrowserTakesOnePress(t *testing.T) {
	t.Parallel()
	h := openHouse(t, willow(), false)
	b, other := newProfile(t).first, h.visitor()
	for n := range 2 {
		other.ask("ada@example.com")
		b.visit(link(h.letter("ada@example.com", n+1)))
		if n == 0 {
			b.sees("One more step")
			b.fill("email", "ada@example.com")
		} else {
			b.sees("Sign in to Willow Creek Counseling")
		}
		b.press("Sign in")
		b.reads("the portal")
		b.visit(h.url + "/sign-in/sign-out")
		b.press("Sign out")
		b.sees("You are signed out")
	}
}

// TestOpenInSafari is what a mail program's own browser does when told to open
// its page in the real one: that gets the address, fragment and all, and none
// of the cookies. The page hands the fragment over, once.
func TestOpenInSafari(t *testing.T) {
	t.Parallel()
	g := testgate.Start(t, testgate.Options{Clients: person})
	_, mailed, stop := askFor(t, g, "ada@example.com")
	for from, want := range map[string]string{mailed: "One more step", stop: "Switch this link off?"} {
		page, token, _ := strings.Cut(from, "?t=")
		b := newProfile(t).first
		b.visit(page + "#" + token)
		b.sees(want)
		if got := b.methods(); got != "GET POST GET" {
			t.Errorf("the browser sent %s, want one post of the fragment and the page", got)
		}
		if strings.Contains(b.href(), token) {
			t.Error("the fragment stays in the address bar")
		}
	}
}

func (b *tab) methods() string {
	var all []string
	for _, r := range b.sent() {
		all = append(all, r.method)
	}
	return strings.Join(all, " ")
}

// TestNoCookies is a browser that keeps none, as some apps' own do: it ends on
// a page that says what to do, in a few steps, whatever is opened. A loop
// would leave a person watching a page that reloads for ever (S1, S16).
func TestNoCookies(t *testing.T) {
	t.Parallel()
	g := testgate.Start(t, testgate.Options{Clients: person})
	_, mailed, stop := askFor(t, g, "ada@example.com")

	dir := t.TempDir()
	const refuse = `{"profile":{"default_content_setting_values":{"cookies":2}}}`
	err := os.MkdirAll(filepath.Join(dir, "Default"), 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "Default", "Preferences"), []byte(refuse), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	c, err := launch(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	p := c.profile(t)

	for _, from := range []string{mailed, stop} {
		b := p.tab()
		b.visit(from)
		b.sees("Open this in Safari or Chrome")
		if got := b.methods(); got != "GET GET POST GET" {
			t.Errorf("the browser sent %s, want the page, one post of the fragment, and the page that says so", got)
		}
	}
	b := p.tab()
	b.visit(g.URL + "/messages")
	b.sees("How would you like to sign in?")
	b.fill("email", "bob@example.com")
	b.press("Send link")
	b.sees("Press the button once more")
	b.press("Send link")
	b.sees("Open this in Safari or Chrome")
}
