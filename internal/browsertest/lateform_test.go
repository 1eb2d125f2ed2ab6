// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"

	"github.com/portalgate/portalgate/internal/testgate"
)

// answers is what Ada writes into the sample portal's form of 20 fields.
var answers = map[string]string{
	"name": "Ada Lovelace", "called": "Ada", "born": "1975-12-10", "phone": "+44 20 7946 0018",
	"street": "12 St James’s Square", "town": "Zürich", "postcode": "SW1Y 4JH", "language": "Ελληνικά, 日本語",
	"work": "Computing & \"engines\" <analytical>", "contact": "Łukasz Ångström", "contact_phone": "+48 22 555 01 00",
	"doctor": "Dr. O'Neill", "medicines": "Levothyroxine 50 µg, 1×1\nIbuprofen 400 mg – if need be\n\n(none at night)",
	"allergies": "Penicillin; 100% sure + nuts", "day": "Thursday", "time": "Evening", "where": "By video", "stairs": "Yes",
	"found": "https://example.com/?q=a+b&c=d#e",
	"note":  "Dear all,\n\nI cannot sleep. It began in spring 🙂\n\tand it is getting worse…\n\nThank you,\nАда",
}

// TestLateForm is what somebody does who takes an hour over a form: the session
// ends under it, on its own, and sending it is answered by a page that says how
// to sign in next door and send it again. Everything typed has to arrive (S1).
//
// It is the one test that lets a real minute pass, the shortest idle time that
// there is, for it is the whole way: the real gate, the real portal, and a form
// that the browser itself keeps and sends again.
func TestLateForm(t *testing.T) {
	t.Parallel()
	g := testgate.Start(t, testgate.Options{Clients: person, Gate: "session {\nidle 1m\n}"})
	owner, mailed, _ := askFor(t, g, "ada@example.com")
	b := owner.first
	// Not every portal includes the script that would have warned.
	if err := command(b.ctx, network.SetBlockedURLs, network.SetBlockedURLsParams{
		URLPatterns: []*network.BlockPattern{{URLPattern: "*://*:*/sign-in/session.js", Block: true}},
	}); err != nil {
		t.Fatal(err)
	}
	b.visit(mailed)
	b.sees("Messages")
	b.press("Ask for a visit")
	b.sees("Ask for a visit")
	if n := must[int](b, "document.querySelectorAll('main [name]').length"); n != len(answers) || n != 20 {
		t.Fatalf("the form has %d fields, and we have answers to %d; want 20", n, len(answers))
	}
	for name, text := range answers {
		field := "document.getElementById(" + quote(name) + ")"
		if must[bool](b, field+".matches('select, [type=date]')") {
			must[any](b, field+".value = "+quote(text))
			continue
		}
		must[any](b, field+".focus()")
		b.typeText(text)
	}
	b.idles()
	b.press("Send")
	b.sees("Your form was not sent")
	if got := b.sent(); got[len(got)-1] != (request{"POST", g.URL + "/form"}) {
		t.Errorf("the page comes from %v, want what the form was sent to: only there it can be sent again", got[len(got)-1])
	}

	next := b.popup(func() { b.press("Sign in in a new window") })
	next.sees("We signed you out")
	next.press("Sign in again")
	next.fill("email", "ada@example.com")
	next.press("Send link")
	next.sees("Check your email")
	next.visit(link(letter(t, g, "ada@example.com", 2)))
	next.sees("Ask for a visit")
	if must[bool](next, "!!document.querySelector('[role=status]')") {
		t.Error("the new window has sent the form")
	}

	// Reload, and yes to "Confirm form resubmission".
	if err := command(b.ctx, page.Reload, page.ReloadParams{}); err != nil {
		t.Fatal(err)
	}
	b.reads("Thank you. This is what arrived")
	arrived := must[map[string]string](b, `Object.fromEntries([...document.querySelectorAll('[role=status] tr')].map(r => [r.cells[0].textContent, r.cells[1].textContent]))`)
	for name, text := range answers {
		if arrived[name] != text {
			t.Errorf("%s arrived as %q, want %q", name, arrived[name], text)
		}
	}
	for _, tab := range []*tab{b, next} {
		for _, w := range tab.complaints() {
			if !strings.Contains(w, "session.js") && !strings.Contains(w, "ERR_BLOCKED_BY_CLIENT") {
				t.Errorf("the browser complains: %q", w)
			}
		}
	}
}

// idles waits until nobody is signed in here any more.
func (b *tab) idles() {
	b.t.Helper()
	deadline := time.After(90 * time.Second)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for must[bool](b, "fetch('/sign-in/session').then(r => r.json()).then(s => s.signed_in)") {
		select {
		case <-deadline:
			b.t.Fatal("still signed in, a minute after the last press")
		case <-tick.C:
		}
	}
}
