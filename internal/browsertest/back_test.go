// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"

	"github.com/portalgate/portalgate/internal/testgate"
)

// TestBackShowsNothing is the next person at a computer where somebody has
// signed out, who presses Back, or finds an address in the history. Not every
// portal says no-store, and a page that a browser keeps alive in memory to go
// back to takes no request at all (S12, A21).
func TestBackShowsNothing(t *testing.T) {
	t.Parallel()
	for name, control := range map[string]string{"said nothing": "", "said an hour": "private, max-age=3600", "said no-store": "no-store"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			site := newSite(t)
			site.control = control
			site.page("/messages", "<h1>Messages</h1>")
			site.page("/private", `<h1>Private</h1><p>File 4711</p><a href="/more">More</a>`)
			site.page("/more", `<h1>More</h1><p>File 4712</p><a href="/sign-in/sign-out">Sign out</a>`)
			g := testgate.Start(t, testgate.Options{Clients: person, Upstream: site.addr})
			owner, mailed, _ := askFor(t, g, "ada@example.com")
			b := owner.first
			b.watchShows()
			b.visit(mailed)
			b.sees("Messages")
			b.visit(g.URL + "/private")
			b.sees("Private")
			b.press("More")
			b.sees("More")

			// While signed in, Back is what a browser makes of it: a page from
			// memory, unless the portal said no-store.
			b.goBack()
			b.sees("Private")
			kept := must[bool](b, "kept")
			t.Logf("before the sign-out, Back came from memory: %v", kept)
			if !kept && control != "no-store" {
				t.Error("this browser keeps no page to go back to, so that this test could not fail")
			}
			b.press("More")
			b.sees("More")
			b.press("Sign out")
			b.sees("Sign out?")
			began := time.Now()
			b.press("Sign out")
			b.sees("You are signed out")
			t.Logf("signing out took %v", time.Since(began).Round(time.Millisecond))

			before := len(site.heard())
			for _, back := range []string{"the question", "more", "private"} {
				b.goBack()
				b.nothingOfThePortal("Back to " + back)
			}
			for n := range b.history().Entries {
				h := b.history()
				if int64(n) == h.CurrentIndex || !strings.HasPrefix(h.Entries[n].URL, "http") {
					continue
				}
				b.leave(func() error {
					return command(b.ctx, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: h.Entries[n].ID})
				})
				b.nothingOfThePortal("the history's entry for " + h.Entries[n].URL)
			}
			for _, path := range []string{"/private", "/more", "/messages"} {
				b.leave(func() error { return command(b.ctx, page.Navigate, page.NavigateParams{URL: g.URL + path}) })
				b.nothingOfThePortal("the address " + path)
			}
			if heard := site.heard()[before:]; len(heard) > 0 {
				t.Errorf("the portal was asked for %q after the sign-out", heard)
			}
		})
	}
}

// goBack presses Back and waits for the page before.
func (b *tab) goBack() {
	b.t.Helper()
	b.leave(func() error {
		_, err := eval[any](b, "history.back()")
		return err
	})
}

// watchShows lets every page note when it is shown, and whether it was kept in
// memory since it was shown before.
func (b *tab) watchShows() {
	b.t.Helper()
	const watch = `addEventListener("pageshow", e => { window.left = false; window.kept = e.persisted })`
	must[any](b, watch) // the page that is there already
	err := command(b.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watch})
	if err != nil {
		b.t.Fatal(err)
	}
}

// leave waits until another page is shown than the one that goes there.
func (b *tab) leave(going func() error) {
	b.t.Helper()
	must[any](b, "window.left = true")
	if err := going(); err != nil {
		b.t.Fatal(err)
	}
	b.until("another page", "window.left === false")
}

func (b *tab) history() page.GetNavigationHistoryResult {
	b.t.Helper()
	h, err := ask(b.ctx, page.GetNavigationHistory, cdp.Empty{})
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

// nothingOfThePortal fails the test if a page of the portal can be read.
func (b *tab) nothingOfThePortal(when string) {
	b.t.Helper()
	text := must[string](b, "location.pathname + ' ' + document.documentElement.innerText")
	if strings.Contains(text, "File 47") || strings.Contains(text, "Messages") || !strings.HasPrefix(text, "/sign-in") {
		b.t.Errorf("%s, after the sign-out: %s", when, text)
	}
}
