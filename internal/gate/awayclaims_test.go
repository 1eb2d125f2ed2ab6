// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/mail/outbox"
	"github.com/portalgate/portalgate/internal/oidctest"
)

// TestO01_EachTabItsOwn: two people at one browser, a tab each. Bob's account
// came back and his tab was closed; then Ada's comes back. She must not get what
// Bob left: an earlier version took the newest answer that there was.
func TestO01_EachTabItsOwn(t *testing.T) {
	i := oidctest.New(t)
	w := newWorld(t, googles(i), wide)
	b := w.browser()
	one, two := b.setOff("google"), b.setOff("google")
	account(i, "sub-bob", "bob@example.com", "hd", "example.com")
	left := b.once().get(b.comeBack(two)).header.Get("Location")
	account(i, "sub-ada", "ada@example.com", "hd", "example.com")
	b.get(b.comeBack(one)).in("c-ada")
	b.get(left) // and nobody becomes Bob by going back to it
	if p := b.get("/x"); p.body != "portal /x for c-ada" {
		t.Errorf("now it is %q", p.body)
	}
}

// A claim that was declined ("Leave things as they are") does not sign in later
// by itself, when whoever was signed in is gone: not on a shared computer.
func TestDeclinedClaim(t *testing.T) {
	i := oidctest.New(t)
	w := newWorld(t, googles(i), wide)
	b := w.signIn("bob@example.com")
	page := b.google().out().says("switch.title")
	at := page.url.RequestURI()
	changeAddress(w, "bob@example.com", "bobby@example.com")
	if p := b.get(at); p.body == "portal /files/7 for c-ada" {
		t.Error("a plain visit signs in by a claim that was declined")
	}
}

// TestO03_AttemptIsCounted: a browser that keeps its flow sends answers of its
// own making for ever, each of which has the gate ask the issuer: a flood under
// our client id.
func TestO03_AttemptIsCounted(t *testing.T) {
	i := oidctest.New(t)
	w := newWorld(t, googles(i))
	b := w.browser()
	back, err := url.Parse(b.comeBack(b.setOff("google")))
	if err != nil {
		t.Fatal(err)
	}
	q := back.Query()
	q.Set("code", "junk")
	front := mustURL(t, w.front)
	cookies := b.c.Jar.Cookies(front)
	var last *page
	for range 60 {
		twin := w.browser()
		twin.c.Jar.SetCookies(front, cookies)
		last = twin.get("/sign-in/google/callback?" + q.Encode()).out()
	}
	if last.is(http.StatusTooManyRequests).says("wait.now").says("email.offer"); last.url.Query().Has("code") {
		t.Errorf("the answer stays in the address: %v", last.url)
	}
	if n := i.Hits(oidctest.Token); n > awayAttempt.Count {
		t.Errorf("the issuer was asked %d times for one attempt", n)
	}
}

// TestO08_UnlinkedIsOut: a thief has read the client's mail and linked an account
// by typing its code. The client takes the account away: the thief, who came in
// by the code and not by the account, must be out as well.
func TestO08_UnlinkedIsOut(t *testing.T) {
	i := oidctest.New(t)
	account(i, "sub-thief", "ada@example.com")
	w := newWorld(t, googles(i), wide)
	thief := w.browser()
	p := thief.google().says("google.once.title")
	thief.send(p.form("/sign-in/code"), "code", code(w.letters("ada@example.com", 1)[0])).in("c-ada")
	stop := ""
	for _, m := range w.notices("ada@example.com", 2) {
		if m.Subject == "You can now sign in with Google" {
			stop = stopOf(m)
		}
	}
	other := w.browser()
	p = other.get(stop)
	other.send(p.form("/sign-in/stop"), "email", "ada@example.com").says("stop.google.off", "method", "Google")
	if p := thief.get("/x"); p.body == "portal /x for c-ada" {
		t.Error("the browser that linked the account is still in")
	}
	w.clock.advance(time.Hour)
	if p := thief.google(); p.body == "portal /files/7 for c-ada" {
		t.Error("the account still lets in")
	}
}

// T10: staff take an account away. That is written down, and the client is told by
// mail, in case it was not the client who asked for it.
func TestT10_UnlinkingIsTold(t *testing.T) {
	i := oidctest.New(t)
	account(i, "sub-ada", "ada@example.com")
	w := newWorld(t, googles(i), wide)
	b := w.browser()
	p := b.google().says("google.once.title")
	b.send(p.form("/sign-in/code"), "code", code(w.letters("ada@example.com", 1)[0])).in("c-ada")
	if s, err := w.rt.ClientByID(t.Context(), "c-ada"); err != nil || len(s.Accounts) != 1 || s.Accounts[0].Method != "google" {
		t.Errorf("staff see %+v, %v", s.Accounts, err)
	}
	if err := w.rt.Unlink(t.Context(), "c-ada", "desk"); err != nil {
		t.Fatal(err)
	}
	told := w.mails("ada@example.com", 1, func(m outbox.Entry) bool { return m.Subject == "A Google account was taken away" })[0]
	if !strings.Contains(told.Text, "took the Google account away") || !strings.Contains(told.Text, "Then tell us.") {
		t.Errorf("the mail says %s", told.Text)
	}
	if !strings.Contains(w.logs.String(), "account_unlinked") || b.get("/x").body == "portal /x for c-ada" {
		t.Error("it is not written down, or what the account opened is open still")
	}
	if err := w.rt.Unlink(t.Context(), "c-ada", "desk"); err != nil { // there is none any more: nobody is told
		t.Fatal(err)
	}
}
