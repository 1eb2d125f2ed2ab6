// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"

	"github.com/portalgate/portalgate/internal/testgate"
)

// back presses the browser's Back button.
func (b *tab) back() {
	b.t.Helper()
	h, err := ask(b.ctx, page.GetNavigationHistory, cdp.Empty{})
	if err != nil || h.CurrentIndex == 0 {
		b.t.Fatalf("there is nowhere to go back to: %v", err)
	}
	err = command(b.ctx, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: h.Entries[h.CurrentIndex-1].ID})
	if err != nil {
		b.t.Fatal(err)
	}
}

// The attack: the next person at a computer presses Back. After a sign-out no
// page of the portal or of the gate may come back that says who was here; and
// after a sign-in Back sends nothing a second time.
func TestW05_BackButton(t *testing.T) {
	t.Parallel()
	g := testgate.Start(t, testgate.Options{Clients: person})
	owner, mailed, _ := askFor(t, g, "ada@example.com")
	b := owner.first
	b.visit(mailed)
	b.sees("Messages")
	posts := strings.Count(b.methods(), "POST")
	b.back()
	b.until("another page than the portal's", "location.pathname.startsWith('/sign-in')")
	b.visit(g.URL + "/messages")
	b.sees("Messages")
	if again := strings.Count(b.methods(), "POST"); again != posts {
		t.Errorf("Back sent %d forms again", again-posts)
	}

	b.visit(g.URL + "/")
	b.sees("Hello Ada Lovelace")
	b.visit(g.URL + "/sign-in/sessions")
	b.sees("Where you are signed in")
	b.visit(g.URL + "/sign-in/sign-out")
	b.press("Sign out")
	b.sees("You are signed out")
	for range 4 {
		b.back()
		b.until("a page", "location.origin == "+quote(g.URL))
		text := must[string](b, "document.body.innerText")
		if strings.Contains(text, "Ada") || strings.Contains(text, "Here, on this phone or computer") {
			t.Errorf("Back shows %s: %s", b.href(), text)
		}
	}
}

// The attack: another site shows our page in a frame under something that asks
// to be clicked. No page of ours is shown in a frame, not even in one of the
// portal's.
func TestW06_Clickjacking(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	g := testgate.Start(t, testgate.Options{Clients: person, Upstream: site.addr})
	site.page("/messages", "<h1>Messages</h1>")
	owner, mailed, stop := askFor(t, g, "ada@example.com")
	b := owner.first
	b.visit(mailed)
	b.sees("Messages")

	framed := []string{mailed, stop}
	for _, path := range []string{"", "/magic-link", "/code", "/link", "/stop", "/help", "/sessions", "/sign-out", "/session", "/link/again", "/nothing"} {
		framed = append(framed, g.URL+"/sign-in"+path)
	}
	var frames strings.Builder
	for _, src := range framed {
		fmt.Fprintf(&frames, `<iframe src="%s"></iframe>`, src)
	}
	site.page("/frames", "<h1>Frames</h1>"+frames.String()+`<iframe src="/plain"></iframe>`)
	site.page("/plain", "what can be framed")
	for _, origin := range []string{g.URL, "http://" + site.addr} {
		b := owner.tab()
		b.visit(origin + "/frames")
		b.sees("Frames")
		shown := strings.Join(b.framed(), " ")
		if strings.Contains(shown, "/sign-in") || !strings.Contains(shown, origin+"/plain") {
			t.Errorf("on %s the frames show %s", origin, shown)
		}
	}
}

// framed returns what the page's frames show. A frame that was refused shows
// an error of the browser's own.
func (b *tab) framed() (urls []string) {
	b.t.Helper()
	tree, err := ask(b.ctx, page.GetFrameTree, cdp.Empty{})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range tree.FrameTree.ChildFrames {
		urls = append(urls, f.Frame.URL)
	}
	return urls
}

// The attack: what is loaded by the page that a link leads to, the portal's
// own and other sites', is told in the Referer where the browser comes from.
func TestW07_RefererLeak(t *testing.T) {
	t.Parallel()
	portal, other := newSite(t), newSite(t)
	g := testgate.Start(t, testgate.Options{Clients: person, Upstream: portal.addr})
	portal.page("/messages", `<h1>Messages</h1><img src="/pixel"><img src="http://`+other.addr+`/pixel" referrerpolicy="unsafe-url">
		<a href="http://`+other.addr+`/elsewhere" referrerpolicy="unsafe-url">Elsewhere</a>`)
	other.page("/elsewhere", "<h1>Elsewhere</h1>")
	owner, mailed, _ := askFor(t, g, "ada@example.com")
	b := owner.first
	b.visit(mailed)
	b.sees("Messages")
	b.press("Elsewhere")
	b.sees("Elsewhere")
	_, token, _ := strings.Cut(mailed, "?t=")
	_, secret, _ := strings.Cut(token, ".")
	heard := strings.Join(append(portal.heard(), other.heard()...), "\n")
	if !strings.Contains(heard, "/pixel from "+g.URL+"/messages") || !strings.Contains(heard, "/elsewhere from "+g.URL) {
		t.Fatalf("the sites heard %s", heard)
	}
	if strings.Contains(heard, secret) || strings.Contains(heard, "t=") {
		t.Error("a Referer has the link's token")
	}
}
