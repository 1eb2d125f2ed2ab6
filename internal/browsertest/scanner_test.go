// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/portalgate/portalgate/internal/mail/outbox"
	"github.com/portalgate/portalgate/internal/testgate"
)

// askFor asks for a link in a profile of its own and returns both.
func askFor(t testing.TB, g *testgate.Gate, email string, as ...chromedp.CreateBrowserContextOption) (owner *profile, mailed, stop string) {
	t.Helper()
	owner = newProfile(t, as...)
	owner.first.visit(g.URL + "/messages")
	owner.first.fill("email", email)
	owner.first.press("Send link")
	owner.first.sees("Check your email")
	m := letter(t, g, email, 1)
	return owner, link(m), stopOf(m)
}

// letter waits for the n-th sign-in mail to an address, counted from 1.
func letter(t testing.TB, g *testgate.Gate, email string, n int) (m outbox.Entry) {
	t.Helper()
	testgate.Wait(t, "a sign-in mail", func() bool {
		var found []outbox.Entry
		for _, m := range g.Messages() { // newest first
			if m.To == email && link(m) != "" {
				found = append(found, m)
			}
		}
		if len(found) >= n {
			m = found[len(found)-n]
		}
		return m.ID != ""
	})
	return m
}

// unused fails the test if the link was used or the profile has a session, and
// then lets its owner use it, who needs nothing but to open it.
func unused(t testing.TB, g *testgate.Gate, scanner, owner *profile, mailed string) {
	t.Helper()
	if scanner != nil && scanner.signedIn() {
		t.Error("the scanner has a session cookie")
	}
	if strings.Contains(g.Log(), `"signed_in"`) {
		t.Error("somebody was signed in before the link's owner opened it")
	}
	owner.first.visit(mailed)
	owner.first.sees("Messages")
	if !owner.signedIn() || !strings.Contains(g.Log(), `"signed_in"`) {
		t.Error("the owner's sign-in leaves no trace, so that this test could not see a scanner's")
	}
}

func (p *profile) signedIn() bool {
	p.t.Helper()
	all, err := ask(p.first.ctx, network.GetCookies, network.GetCookiesParams{})
	if err != nil {
		p.t.Fatal(err)
	}
	return slices.ContainsFunc(all.Cookies, func(c *network.Cookie) bool { return strings.HasSuffix(c.Name, "portalgate-main") })
}

// The attack: a mail scanner opens the link in a real browser, runs every
// script and waits half a minute for what they do.
func TestL02_ScannerThatRunsScripts(t *testing.T) {
	t.Parallel()
	g := testgate.Start(t, testgate.Options{Clients: person})
	owner, mailed, _ := askFor(t, g, "ada@example.com")
	scanner := newProfile(t)
	b := scanner.first
	b.visit(mailed)
	b.sees("One more step")
	_, err := chromedp.Run(b.ctx, chromedp.WaitEvent(emulation.VirtualTimeBudgetExpired, nil,
		chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			return command(ctx, emulation.SetVirtualTimePolicy, emulation.SetVirtualTimePolicyParams{
				Policy: emulation.VirtualTimePolicyAdvance, Budget: pointer(30_000.0),
			})
		})))
	if err != nil {
		t.Fatal(err)
	}
	b.sees("One more step")
	for _, r := range b.sent() {
		if r.method != "GET" {
			t.Errorf("the page sent a %s by itself", r.method)
		}
	}
	unused(t, g, scanner, owner, mailed)
}

// fillAndPress fills every field of the page with a value and presses the n-th
// thing that can be pressed: a button, a form that is sent without one, a link
// of this site. It returns how many there are.
const fillAndPress = `((values, n) => {
	for (const e of document.querySelectorAll('input')) {
		if (e.type == 'checkbox') e.checked = Math.random() < .5;
		else if (e.type != 'hidden') e.value = values[Math.floor(Math.random() * values.length)];
	}
	const here = [...document.querySelectorAll('a[href]')].filter(a => a.origin == location.origin);
	const all = [...document.querySelectorAll('button'), ...document.forms, ...here];
	if (n < all.length) {
		const e = all[n];
		window.pressed = true;
		setTimeout(() => e.matches('form') ? e.submit() : e.click());
	}
	return all.length;
})`

// held is what a scanner finds on a page that could be an address.
const held = `((document.documentElement?.outerHTML ?? '').match(/[\w.+•-]+@[\w.-]+\w/g) || [])`

// The attack: a scanner in a real browser presses every button, follows every
// link and sends every form, ten times over, filled with what the pages hold
// and with rubbish; the link that switches the link off as well.
func TestL03_ScannerThatSubmitsForms(t *testing.T) {
	t.Parallel()
	g := testgate.Start(t, testgate.Options{Clients: person, Gate: "limits {\n\t\t\trequests 10000 1m\n\t\t}"})
	owner, mailed, stop := askFor(t, g, "ada@example.com")
	scanner := newProfile(t)
	b := scanner.first
	rounds, presses := 10, 0
	for range rounds {
		for _, start := range []string{mailed, stop} {
			for n, things := 0, 1; n < things; n++ {
				b.visit(start)
				b.until("a page", "location.origin == "+quote(g.URL))
				for _, depth := range []int{n, 0, 0} { // whatever comes of it, its first button, and of that
					values := append(must[[]string](b, held), rand.Text(), rand.Text()+"@example.com", "")
					found := must[int](b, fillAndPress+"("+quote(values)+", "+quote(depth)+")")
					if depth >= found {
						break
					}
					if depth == n {
						things = found
					}
					presses++
					b.until("the next page", "!window.pressed")
				}
			}
		}
	}
	posts := 0
	for _, r := range b.sent() {
		if r.method == "POST" {
			posts++
		}
	}
	if posts < rounds {
		t.Errorf("only %d forms were sent", posts)
	}
	if said := b.complaints(); len(said) > 0 {
		t.Errorf("the browser complains: %q", said)
	}
	unused(t, g, scanner, owner, mailed)
	t.Logf("scanners in Chromium (beside the 25 profiles of internal/gate): 2 profiles, %d rounds, %d presses, %d forms sent; links used up: 0", rounds, presses, posts)
}
