// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/session"
)

// Two hundred browsers have opened the same link and press at the same moment.
func TestTwoHundredBrowsersAtOnce(t *testing.T) {
	w := newWorld(t)
	m := w.browser().mailed("ada@example.com")
	const n = 200
	browsers, forms := make([]*browser, n), make([]form, n)
	for i := range n {
		browsers[i] = w.browser()
		forms[i] = browsers[i].get(link(m)).form("/sign-in/link")
	}
	pages := make([]*page, n)
	atOnce(n, func(i int) { pages[i] = browsers[i].send(forms[i], "email", "ada@example.com") })
	in, used := 0, 0
	for _, p := range pages {
		switch {
		case p.status == 200 && strings.HasPrefix(p.body, "portal "):
			in++
		case p.status == 200 && p.has(w.conf.UI.Text("used.title", nil)):
			used++
		default:
			t.Errorf("%d %s:\n%s", p.status, p.url.Path, p.text())
		}
	}
	if in != 1 || used != n-1 || w.live("c-ada") != 1 {
		t.Errorf("%d signed in, %d were told that the link was used, %d sessions", in, used, w.live("c-ada"))
	}
}

// One browser presses two hundred times, at once and one after the other: a
// shaking hand, or an extension that sends a form twice.
func TestPressedTwoHundredTimes(t *testing.T) {
	for name, run := range map[string]func(int, func(int)){
		"at once": atOnce,
		"one after the other": func(n int, f func(int)) {
			for i := range n {
				f(i)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			f := b.get(link(b.mailed("ada@example.com"))).form("/sign-in/link")
			pages := make([]*page, 200)
			run(len(pages), func(i int) { pages[i] = b.send(f) })
			for _, p := range pages {
				if p.status != 200 || !strings.HasPrefix(p.body, "portal ") && !p.has(w.conf.UI.Text("here.title", nil)) {
					t.Fatalf("%d %s:\n%s", p.status, p.url.Path, p.text())
				}
			}
			if n := w.live("c-ada"); n != 1 || len(w.record("c-ada").Sessions) != 1 {
				t.Errorf("%d sessions", n)
			}
			if !b.signedIn() {
				t.Error("the browser is not signed in")
			}
		})
	}
}

// racedLinks is how many links are raced for. With the race detector, which makes
// each take ten times as long, it is fewer, and `make test` runs these twice.
var racedLinks = 2_000

// A link is raced by 16 browsers, each of which has everything it takes: 2 000
// links; with PORTALGATE_PROOF by 64, and 20 000.
func TestL09_DoubleRedemption(t *testing.T) {
	clients, links := 16, racedLinks
	if proof() {
		clients, links = 64, 20_000
	}
	w := newWorld(t)
	doubles, lost := 0, 0
	for range links {
		tok := w.makeLink("c-ada", "ada@example.com")
		answers := make([]*httptest.ResponseRecorder, clients)
		atOnce(clients, func(i int) { answers[i] = w.press(tok, "ada@example.com") })
		in := 0
		for _, a := range answers {
			switch a.Code {
			case http.StatusSeeOther:
				in++
			case http.StatusOK: // "used"
			default:
				t.Fatalf("a press was answered %d:\n%s", a.Code, a.Body)
			}
		}
		switch {
		case in > 1:
			doubles++
		case in == 0:
			lost++
		}
		w.clock.advance(37 * time.Hour) // the session is over and forgotten; the record stays small
	}
	if doubles != 0 || lost != 0 {
		t.Errorf("of %d links %d were used twice and %d not at all", links, doubles, lost)
	}
	if proof() {
		fmt.Printf("proof: links used twice %d of %d, each raced by %d browsers (%d tries)\n", doubles, links, clients, links*clients)
	}
}

// makeLink puts a link on a client's record, as the worker does, without a mail.
func (w *world) makeLink(client, email string) (tok string) {
	w.t.Helper()
	e := w.rt.eng.Load()
	item := base64.RawURLEncoding.EncodeToString(randomBytes(32))
	now := w.clock.now().Unix()
	to := mustAddress(w.t, email)
	err := e.records.Update(context.Background(), e.records.Tag(client), func(now2 time.Time, r *access.Record) error {
		r.Bind(now2, client, e.records.Address(to))
		if state := r.AddLink(now2, access.Link{Hash: e.keys.linkHash(item), Made: now, Expires: now + 86400}); state != access.Live {
			return fmt.Errorf("the new link is %s", state)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return session.Token(e.records.Tag(client), e.keys.linkSecret(item))
}

// press sends the form of a link's page from a browser of its own that has
// opened the link, without a network in between.
func (w *world) press(tok, email string) *httptest.ResponseRecorder {
	k := &w.rt.eng.Load().keys
	f := &flow{id: randomID(), Nonce: randomBytes(session.SecretSize), Browser: randomID(), Made: w.clock.now().Unix(), Token: tok}
	form := url.Values{"flow": {f.id}, "nonce": {k.formNonce(f)}, "email": {email}}
	r := httptest.NewRequest("POST", w.front+"/sign-in/link", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.AddCookie(&http.Cookie{Name: "portalgate-main-flow-" + f.id, Value: sealJSON(k.flow, f, f.id)})
	rec := httptest.NewRecorder()
	w.serve(rec, r)
	return rec
}

// atOnce runs f n times at the same moment and waits for all.
func atOnce(n int, f func(int)) {
	var ready, all sync.WaitGroup
	start := make(chan struct{})
	ready.Add(n)
	for i := range n {
		all.Go(func() {
			ready.Done()
			<-start
			f(i)
		})
	}
	ready.Wait()
	close(start)
	all.Wait()
}

// The answer that opens the session is lost on the way. The browser sends the
// same form again and gets the same session, for ten minutes and as long as
// that lives; nobody else gets one.
func TestL11_LostAnswer(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	m := b.mailed("ada@example.com")
	f := b.get(link(m)).form("/sign-in/link")
	other := w.browser()
	otherForm := other.get(link(m)).form("/sign-in/link")
	lost := b.copy()
	want := b.once().send(f).is(303).cookies()[""].Value

	other.send(otherForm, "email", "ada@example.com").says("used.title")
	w.clock.advance(9*time.Minute + 59*time.Second)
	c := lost.copy()
	if got := c.once().send(f).is(303).cookies()[""]; got == nil || got.Value != want {
		t.Fatal("the repetition of a lost answer is another session")
	}
	if !c.signedIn() || w.live("c-ada") != 1 {
		t.Errorf("%d sessions", w.live("c-ada"))
	}
	w.clock.advance(2 * time.Second)
	late := lost.copy()
	late.send(f).says("used.title")
	if late.signedIn() {
		t.Error("an answer was repeated after ten minutes")
	}
}

// What was signed out stays so, also within the ten minutes.
func TestL11_EndedIsNotRepeated(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	f := b.get(link(b.mailed("ada@example.com"))).form("/sign-in/link")
	lost := b.copy()
	b.send(f).isPortal("/", "c-ada")
	b.send(b.get("/sign-in/sign-out").form("/sign-in/sign-out")).says("out.title")
	lost.send(f).says("used.title")
	if lost.signedIn() || w.live("c-ada") != 0 {
		t.Error("a session that was signed out came back")
	}
}

// The gate dies, or loses its store, between using the link up and answering.
func TestL11_CrashAfterCommit(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	f := b.get(link(b.mailed("ada@example.com"))).form("/sign-in/link")

	w.db.fail.Store(true) // before: nothing was used
	if p := b.send(f).is(503).says("down.title"); p.header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	w.db.fail.Store(false)
	if w.live("c-ada") != 0 {
		t.Fatal("a write that failed opened a session")
	}

	w.db.lose.Store(true) // after: it was used, and nobody knows
	if p := b.send(f).is(503); p.cookies()[""] != nil {
		t.Error("a session was given of which the store has not said that it is there")
	}
	w.db.lose.Store(false)
	if w.live("c-ada") != 1 {
		t.Fatal("this test means to lose the answer of a write that was made")
	}
	if err := w.rt.Close(); err != nil {
		t.Fatal(err)
	}
	w.open()
	b.send(f).isPortal("/", "c-ada")
	if w.live("c-ada") != 1 {
		t.Errorf("%d sessions", w.live("c-ada"))
	}
}
