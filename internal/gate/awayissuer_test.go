// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/internal/oidctest"
)

// TestO12_IssuerDown: the issuer fails, at once or at the end, or lies. Whoever
// comes by it is told so and offered the other ways, and those go on.
func TestO12_IssuerDown(t *testing.T) {
	for name, change := range map[string]func(i *oidctest.Issuer){
		"down":               func(i *oidctest.Issuer) { i.Instead(oidctest.Discovery, oidctest.Fails) },
		"down at the tokens": func(i *oidctest.Issuer) { i.Instead(oidctest.Token, oidctest.Fails) },
		"down at the keys":   func(i *oidctest.Issuer) { i.Instead(oidctest.Keys, oidctest.Fails) },
		"lying":              func(i *oidctest.Issuer) { i.Be(func(c *oidctest.Conduct) { c.Sign = oidctest.Unsigned }) },
		"sending us on": func(i *oidctest.Issuer) {
			i.Instead(oidctest.Discovery, oidctest.RedirectsTo("http://169.254.169.254/"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := oidctest.New(t)
			change(i)
			w := newWorld(t, googles(i), pins)
			b := w.browser()
			f := b.get("/sign-in/magic-link").form("/sign-in/magic-link")
			f.action = "/sign-in/google"
			p := b.send(f)
			if p.status == http.StatusOK { // it sets off
				p = b.get(b.comeBack(b.sentTo(p)))
			}
			p.is(503).out().says("google.down.title", "method", "Google").says("email.offer").says("pin.offer")
			w.othersGoOn()
		})
	}
}

// TestO12_IssuerSlow: the issuer takes its time, and nobody else waits with
// whoever comes by it.
func TestO12_IssuerSlow(t *testing.T) {
	for _, endpoint := range []string{oidctest.Discovery, oidctest.Token} {
		t.Run(endpoint, func(t *testing.T) {
			t.Parallel()
			i := oidctest.New(t)
			asked, answer := make(chan struct{}, 1), make(chan struct{})
			i.Instead(endpoint, func(w http.ResponseWriter, r *http.Request) {
				asked <- struct{}{}
				<-answer
				oidctest.Fails(w, r)
			})
			w := newWorld(t, googles(i), pins)
			came := make(chan *page)
			go func() {
				b := w.browser()
				f := b.get("/sign-in/magic-link").form("/sign-in/magic-link")
				f.action = "/sign-in/google"
				p := b.send(f)
				if to := refreshRE.FindStringSubmatch(p.body); to != nil {
					p = b.get(b.comeBack(b.sentTo(p)))
				}
				came <- p
			}()
			<-asked
			w.othersGoOn()
			select {
			case p := <-came:
				t.Fatalf("it did not wait: %s", p.text())
			default:
			}
			close(answer)
			(<-came).is(503).out().says("google.down.title", "method", "Google")
		})
	}
}

// othersGoOn signs in by link and by PIN.
func (w *world) othersGoOn() {
	w.t.Helper()
	w.signIn("ada@example.com")
	w.browser().pin("bob@example.com", w.issue("c-bob")).in("c-bob")
}

// TestO02_Pending: very many set off and never come back. What is half done is in
// their browsers; the store keeps counters, and nothing else.
func TestO02_Pending(t *testing.T) {
	n := 2_000
	if proof() {
		n = 100_000
	}
	w := newWorld(t, googles(oidctest.New(t)))
	w.signIn("bob@example.com")
	w.told("bob@example.com")
	w.lastEvent("c-bob") // and what is to be written in the background is
	updates, puts, allows := w.db.updates.Load(), w.db.puts.Load(), w.db.allows.Load()
	for k := range n {
		rec, _ := w.form(network(k/awayNetwork.Count), "/sign-in/google", url.Values{})
		if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), "/authorize?") {
			t.Fatalf("%d: answered %d", k, rec.Code)
		}
	}
	if u, p := w.db.updates.Load()-updates, w.db.puts.Load()-puts; u != 0 || p != 0 {
		t.Errorf("%d pending sign-ins wrote %d records and queued %d items", n, u, p)
	}
	if a := w.db.allows.Load() - allows; a != int64(n) {
		t.Errorf("counted %d times, want once for each of %d", a, n)
	}
}
