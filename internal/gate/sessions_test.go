// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/session"
)

// The attacker puts a session cookie into the victim's browser before the
// victim signs in, and hopes that it is good afterwards.
func TestL07_SessionFixation(t *testing.T) {
	for name, plant := range map[string]func(w *world, attacker *browser, link string) string{
		"never given": func(*world, *browser, string) string {
			return session.Token(strings.Repeat("a", session.TagSize), make([]byte, session.SecretSize))
		},
		"never given, of the victim": func(w *world, _ *browser, _ string) string {
			return session.Token(w.rt.eng.Load().records.Tag("c-ada"), make([]byte, session.SecretSize))
		},
		"the attacker's own": func(_ *world, attacker *browser, _ string) string { return attacker.cookie("") },
		"ended": func(_ *world, attacker *browser, _ string) string {
			old := attacker.cookie("")
			attacker.send(attacker.get("/sign-in/sign-out").form("/sign-in/sign-out")).says("out.title")
			return old
		},
		"the victim's link": func(_ *world, _ *browser, link string) string { return token(link) },
		"no token":          func(*world, *browser, string) string { return "x" },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			attacker := w.signIn("bob@example.com")
			victim := w.browser()
			m := victim.mailed("ada@example.com")
			planted := plant(w, attacker, link(m))
			victim.plant("", planted)
			p := victim.get(link(m))
			answer := victim.once().send(p.form("/sign-in/link"))
			if c := answer.is(303).cookies()[""]; c == nil || c.Value == "" || c.Value == planted {
				t.Fatal("the planted cookie stays")
			}
			victim.get("/").isPortal("/", "c-ada")
			thief := w.browser()
			thief.plant("", planted)
			if thief.signedIn() {
				t.Error("the planted cookie is good afterwards")
			}
		})
	}
}

// Ada has closed the tab and left; Bob opens his link in the same browser.
func TestW13_SomebodyElseSignedIn(t *testing.T) {
	w := newWorld(t)
	b := w.signIn("bob@example.com") // so that it is a known browser of his as well
	b.send(b.get("/sign-in/sign-out").form("/sign-in/sign-out"))
	b.send(b.get(link(b.mailed("ada@example.com"))).form("/sign-in/link")).isPortal("/", "c-ada")
	adas := b.copy()

	m := w.browser().mailed("bob@example.com")
	p := b.get(link(m)).is(200).says("switch.title").says("switch.lead").says("open.known.lead", "masked", "b•••@example.com")
	if p.auto() {
		t.Fatal("a session is taken over without a press")
	}
	// Leaving things as they are leaves them.
	if !strings.Contains(p.text(), w.conf.UI.Text("switch.stay", nil)) || !adas.signedIn() {
		t.Error("there is no way to stay")
	}
	b.send(p.form("/sign-in/link")).isPortal("/", "c-bob")
	if adas.signedIn() || w.live("c-ada") != 0 {
		t.Fatal("the session of the one before is still going")
	}
	if w.live("c-bob") != 1 {
		t.Errorf("%d sessions", w.live("c-bob"))
	}

	// The link that would have completed by itself does not over somebody else.
	m = b.mailed("ada@example.com")
	if p := b.get(link(m)).says("switch.title"); p.auto() {
		t.Error("the one who is signed in is replaced by a page that sends itself")
	}
}

// Signing in once more in the same browser ends the session before it; in
// another it does not.
func TestSecondSignInEndsTheFirst(t *testing.T) {
	w := newWorld(t)
	b := w.signIn("ada@example.com")
	elsewhere := w.signInAgain("ada@example.com")
	before := b.copy()
	b.send(b.get(link(b.mailed("ada@example.com"))).form("/sign-in/link")).isPortal("/", "c-ada")
	if before.signedIn() || !b.signedIn() || !elsewhere.signedIn() || w.live("c-ada") != 2 {
		t.Errorf("before %v, now %v, elsewhere %v, %d sessions", before.signedIn(), b.signedIn(), elsewhere.signedIn(), w.live("c-ada"))
	}
}

// signInAgain is signIn for an address that has had a mail already.
func (w *world) signInAgain(email string) *browser {
	w.t.Helper()
	b := w.browser()
	p := b.get(link(b.mailed(email)))
	if p = b.send(p.form("/sign-in/link")); !strings.HasPrefix(p.body, "portal ") {
		w.t.Fatalf("signing in landed on %d %s:\n%s", p.status, p.url.Path, p.text())
	}
	return b
}

// A borrowed computer is left with nothing on it, and soon signs out.
func TestSharedComputer(t *testing.T) {
	for name, walk := range map[string]func(w *world, b *browser) *page{
		"ticked when asking": func(w *world, b *browser) *page {
			b.ask("ada@example.com", "shared", "1").says("sent.shared")
			return b.once().send(b.get(link(w.letters("ada@example.com", 1)[0])).form("/sign-in/link"))
		},
		"ticked when asking, by code": func(w *world, b *browser) *page {
			p := b.ask("ada@example.com", "shared", "1")
			return b.once().send(p.form("/sign-in/code"), "code", code(w.letters("ada@example.com", 1)[0]))
		},
		"ticked on the link's page": func(w *world, b *browser) *page {
			m := w.browser().mailed("ada@example.com")
			return b.once().send(b.get(link(m)).form("/sign-in/link"), "email", "ada@example.com", "shared", "1")
		},
		"ticked when asking, opened elsewhere": func(w *world, b *browser) *page {
			w.browser().ask("ada@example.com", "shared", "1")
			m := w.letters("ada@example.com", 1)[0]
			return b.once().send(b.get(link(m)).form("/sign-in/link"), "email", "ada@example.com")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			answer := walk(w, b).is(303)
			c := answer.cookies()
			if c[""] == nil || c[""].MaxAge != 0 || !c[""].Expires.IsZero() || c["-known"] != nil && c["-known"].MaxAge >= 0 {
				t.Error("the browser keeps something after it is closed")
			}
			if !b.signedIn() || b.cookie("-known") != "" || len(w.record("c-ada").Known) != 0 {
				t.Error("the browser of a shared computer is known, or not signed in")
			}
			if closed := b.reopened(answer); closed.signedIn() || closed.cookie("-known") != "" {
				t.Error("signed in after the browser was closed")
			}
			w.clock.advance(10*time.Minute - time.Second)
			if !b.copy().signedIn() {
				t.Error("signed out before ten minutes")
			}
			w.settled(b)
			w.clock.advance(10*time.Minute + time.Second)
			b.get("/").says("ended.title").says("ended.idle", "wait", "10 minutes")
		})
	}
}

// settled waits until what is noted in the background has been noted: the
// session's idle end is moved by an answer that asks for it.
func (w *world) settled(b *browser) {
	w.t.Helper()
	b.do("POST", "/sign-in/session", url.Values{}).is(200)
}

// An hour is the most on a shared computer, however busy.
func TestSharedComputerAbsoluteEnd(t *testing.T) {
	w := newWorld(t)
	b := w.signIn("ada@example.com", "shared", "1")
	for range 11 {
		w.clock.advance(5 * time.Minute)
		b.do("POST", "/sign-in/session", url.Values{}).is(200)
	}
	if !b.signedIn() {
		t.Fatal("signed out before an hour although active")
	}
	w.clock.advance(5 * time.Minute)
	b.get("/files/1").says("ended.max", "wait", "1 hour")
}

// Each page of a session's end says which it was, and leads back to the page
// that was asked for.
func TestEndedPages(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(w *world, b *browser)
		says string
		wait string
	}{
		"idle": {func(w *world, _ *browser) { w.clock.advance(30*time.Minute + time.Second) }, "ended.idle", "30 minutes"},
		"absolute": {func(w *world, b *browser) {
			for range 25 {
				w.clock.advance(29 * time.Minute)
				b.do("POST", "/sign-in/session", url.Values{}).is(200)
			}
		}, "ended.max", "12 hours"},
		"elsewhere": {func(w *world, _ *browser) {
			other := w.signInAgain("ada@example.com")
			other.send(other.get("/sign-in/sign-out").form("/sign-in/sign-out"), "all", "1").says("out.all")
		}, "ended.elsewhere", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.signIn("ada@example.com")
			c.end(w, b)
			p := b.get("/files/7").is(200).says("ended.title").says(c.says, "wait", c.wait).says("ended.back")
			if p.auto() {
				t.Error("the page of a session's end acts by itself")
			}
			i := strings.Index(p.body, `href="/sign-in/magic-link?return_to=`)
			if i < 0 {
				t.Fatal("the way back is lost")
			}
			to, _, _ := strings.Cut(p.body[i+len(`href="`):], `"`)
			w.clock.advance(61 * time.Second)
			f := b.get(to).form("/sign-in/magic-link")
			n := len(w.letters("ada@example.com", 1))
			b.send(f, "email", "ada@example.com").says("sent.title")
			b.send(b.get(link(w.letters("ada@example.com", n+1)[0])).form("/sign-in/link")).isPortal("/files/7", "c-ada")
		})
	}
	t.Run("signed out here", func(t *testing.T) {
		w := newWorld(t)
		b := w.signIn("ada@example.com")
		old := b.copy()
		b.send(b.get("/sign-in/sign-out").form("/sign-in/sign-out")).says("out.title")
		b.get("/").says("email.title")
		old.get("/").says("email.title") // another tab's cookie: they know what they did
	})
}

// The list of sessions, and ending one of them.
func TestSessionsPage(t *testing.T) {
	w := newWorld(t)
	phone := w.browser()
	phone.headers.Set("User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile Safari/604.1")
	phone.send(phone.get(link(phone.mailed("ada@example.com"))).form("/sign-in/link")).isPortal("/", "c-ada")
	b := w.signInAgain("ada@example.com")
	bob := w.signIn("bob@example.com")

	p := b.get("/sign-in/sessions").is(200).says("where.title").says("where.this")
	if !p.has("Safari on iPhone") {
		t.Errorf("the phone is not in the list:\n%s", p.text())
	}
	var ends []form
	for _, f := range p.forms() {
		if f.action == "/sign-in/sessions/end" {
			ends = append(ends, f)
		}
	}
	if len(ends) != 1 {
		t.Fatalf("%d sessions to end, want 1", len(ends))
	}
	for _, secret := range []string{b.cookie(""), phone.cookie(""), string(w.record("c-ada").Sessions[0].Hash)} {
		if strings.Contains(p.body, secret) {
			t.Error("the list shows what names a session to the store")
		}
	}
	// Somebody else's session cannot be ended by its name, nor without the nonce.
	bobs := bob.get("/sign-in/sessions").form("/sign-in/sign-out")
	bob.send(form{"/sign-in/sessions/end", bobs.values}, "id", ends[0].values.Get("id"))
	crossed := b.do("POST", "/sign-in/sessions/end", url.Values{"id": ends[0].values["id"]}).is(403).says("crossed.title")
	if !slices.ContainsFunc(crossed.forms(), func(f form) bool { return f.action == "/sign-in/sessions/end" }) {
		t.Errorf("the list is not shown again:\n%s", crossed.text())
	}
	if !phone.signedIn() {
		t.Fatal("a session was ended by somebody who may not")
	}
	b.send(ends[0]).is(200).says("where.done").says("where.title")
	if phone.signedIn() || !b.signedIn() || !bob.signedIn() {
		t.Error("another session than the one named was ended")
	}
	b.send(ends[0]).is(200) // pressed twice: nothing more to end
	if n := strings.Count(w.logs.String(), `"msg":"signed_out"`); n != 1 {
		t.Errorf("told %d times that a session was ended", n)
	}
	b.send(b.get("/sign-in/sessions").form("/sign-in/sign-out"), "all", "1").says("out.all")
	if b.signedIn() || w.live("c-ada") != 0 || !bob.signedIn() {
		t.Error("signing out everywhere left a session, or ended another client's")
	}
	if got := b.once().get("/sign-in/sessions").is(303).header.Get("Location"); got != "/sign-in" {
		t.Errorf("the list leads somebody who is not signed in to %q", got)
	}
}

// A shared computer's sign-out reminds of the other two things to do.
func TestSignOutOnASharedComputer(t *testing.T) {
	w := newWorld(t)
	b := w.signIn("ada@example.com", "shared", "1")
	b.send(b.get("/sign-in/sign-out").form("/sign-in/sign-out")).says("out.title").says("out.shared.head")
}

// "I am someone else" signs out and asks who.
func TestSomeoneElse(t *testing.T) {
	w := newWorld(t)
	b := w.signIn("ada@example.com")
	old := b.copy()
	p := b.get("/sign-in").says("here.title")
	b.send(p.form("/sign-in/sign-out"), "switch", "1").says("email.title")
	if old.signedIn() {
		t.Error("the one before is still signed in")
	}
}

// A hundred requests are under way, some of which note that the session is in
// use, while it signs out. None that starts after the answer may get through,
// and noting must not bring it back.
func TestW14_SignOutUnderWay(t *testing.T) {
	w := newWorld(t)
	b := w.signIn("ada@example.com")
	witness := w.signInAgain("ada@example.com")
	w.clock.advance(2 * time.Minute) // activity is worth noting again
	f := b.get("/sign-in/sign-out").form("/sign-in/sign-out")
	var out atomic.Bool
	atOnce(101, func(i int) {
		c := b.copy()
		if i == 50 {
			c.once().send(f).is(303)
			out.Store(true)
			return
		}
		after := out.Load()
		if in := strings.HasPrefix(c.get("/").body, "portal "); in && after {
			t.Error("a request that started after the sign-out got through")
		}
	})
	// What is noted comes in order: when the witness's activity is down, all
	// that was queued before it is.
	idle := witness.get("/sign-in/session").body
	witness.get("/").isPortal("/", "c-ada")
	w.until("the activity is noted", func() bool { return witness.get("/sign-in/session").body != idle })
	if b.signedIn() || w.live("c-ada") != 1 {
		t.Error("noting activity brought a session back")
	}
}

// until waits for something that happens in the background.
func (w *world) until(what string, done func() bool) {
	w.t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline:
			w.t.Fatalf("after 20 s it is not so that %s", what)
		case <-tick.C:
		}
	}
}
