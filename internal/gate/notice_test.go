// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"strings"
	"testing"
)

// wake has the worker look at once for what is due, and not within a second.
func (w *world) wake() {
	select {
	case w.rt.eng.Load().wake <- struct{}{}:
	default:
	}
}

// told counts the notices to an address, when all that are due have been sent.
func (w *world) told(email string) int {
	w.t.Helper()
	w.clock.advance(noticeWait)
	w.wake()
	w.until("the notices are worked off", func() bool { return w.db.notices.Load() <= 0 })
	n := 0
	for _, m := range w.rt.Outbox().Messages() {
		if m.To == email && link(m) == "" {
			n++
		}
	}
	return n
}

// A sign-in from a browser where the client has not signed in before is told
// to the client; one from a known browser is not.
func TestS15_NewBrowserIsTold(t *testing.T) {
	w := newWorld(t, wide)
	b := w.signIn("ada@example.com")
	if n := w.told("ada@example.com"); n != 1 {
		t.Fatalf("%d notices of the first sign-in, want 1", n)
	}
	m := w.notices("ada@example.com", 1)[0]
	if m.Subject != "You signed in somewhere new" || !strings.Contains(m.Text, "22 November") || code(m) != "" {
		t.Errorf("the notice is %q:\n%s", m.Subject, m.Text)
	}
	b.again("ada@example.com")
	if n := w.told("ada@example.com"); n != 1 {
		t.Errorf("%d notices after a second sign-in in the same browser, want 1", n)
	}
	w.signInAgain("ada@example.com")
	if n := w.told("ada@example.com"); n != 2 {
		t.Errorf("%d notices after a sign-in in another browser, want 2", n)
	}
	// A shared computer is never known.
	shared := w.browser()
	shared.again("ada@example.com", "shared", "1")
	shared.again("ada@example.com", "shared", "1")
	if n := w.told("ada@example.com"); n != 4 {
		t.Errorf("%d notices after two sign-ins on a shared computer, want 4", n)
	}
}

// again signs in once more in the same browser.
func (b *browser) again(email string, more ...string) {
	b.w.t.Helper()
	b.send(b.get(link(b.mailed(email, more...))).form("/sign-in/link")).isPortal("/", "c-ada")
}

// The press in the notice ends the stranger's session and takes away what its
// browser was remembered for. It takes the address where we know nobody, and
// cannot do more than that.
func TestS15_StopASession(t *testing.T) {
	w := newWorld(t, wide)
	owner := w.signIn("ada@example.com")
	w.notices("ada@example.com", 1)
	thief := w.signInAgain("ada@example.com") // somebody with the mailbox
	thief.again("ada@example.com")            // for which nobody is told any more
	m := w.notices("ada@example.com", 2)[0]

	elsewhere := w.browser()
	p := elsewhere.get(stopOf(m)).is(200).says("stop.session.title")
	if p.auto() || !p.asks() {
		t.Fatal("a browser that has shown nothing ends a session with a press")
	}
	elsewhere.send(p.form("/sign-in/stop")).is(422).says("email.empty")
	p = elsewhere.send(p.form("/sign-in/stop"), "email", "bob@example.com").is(422).says("open.new.wrong")
	if !thief.signedIn() {
		t.Fatal("a wrong address ended a session")
	}
	elsewhere.send(p.form("/sign-in/stop"), "email", "ada@example.com").is(200).says("stop.session.done")
	if thief.signedIn() {
		t.Error("the session that was opened next in that browser goes on")
	}
	if !owner.signedIn() {
		t.Error("another session ended with it")
	}
	// The browser is not known any more: the next link asks for the address.
	next := w.browser().mailed("ada@example.com")
	if p := thief.get(link(next)); !p.asks() {
		t.Errorf("the browser is still known: %s", p.text())
	}
	elsewhere.get(stopOf(m)).says("stop.session.done") // said once more
	owner.get(stopOf(m)).says("stop.session.done")
}

// In a browser where the client has signed in before, one press does.
func TestS15_StopASessionFromAKnownBrowser(t *testing.T) {
	w := newWorld(t, wide)
	owner := w.signIn("ada@example.com")
	w.notices("ada@example.com", 1)
	thief := w.signInAgain("ada@example.com")
	m := w.notices("ada@example.com", 2)[0]
	p := owner.get(stopOf(m)).says("stop.session.title")
	if p.auto() || p.asks() {
		t.Error("it takes more or less than one press")
	}
	if !thief.signedIn() {
		t.Fatal("opening the page ended the session")
	}
	owner.send(p.form("/sign-in/stop")).says("stop.session.done")
	if thief.signedIn() || !owner.signedIn() {
		t.Error("it ended another session than that of the notice")
	}
}

// A stop token of a notice is good for nothing else, and no other for it.
func TestS15_StopTokensAreApart(t *testing.T) {
	w := newWorld(t, wide)
	b := w.signIn("ada@example.com")
	m := w.notices("ada@example.com", 1)[0]
	w.browser().get("/sign-in/link?t=" + token(stopOf(m))).says("nolink.title")
	bad := []byte(token(stopOf(m)))
	bad[20] ^= 1
	w.browser().get("/sign-in/stop?t=" + string(bad)).says("nolink.title")
	if !b.signedIn() {
		t.Error("the session has ended")
	}
}

// No session without its notice in the queue: a crash between the two would
// open a session of which nobody is told. And none is told of that came to
// nothing.
func TestS15_NoticeComesFirst(t *testing.T) {
	w := newWorld(t, wide)
	b := w.browser()
	m := b.mailed("ada@example.com")
	p := b.get(link(m))
	w.db.full.Store(true)
	b.send(p.form("/sign-in/link")).is(503)
	if w.live("c-ada") != 0 {
		t.Fatal("a session was opened that nobody will be told of")
	}
	w.db.full.Store(false)
	// The write of the session is lost, and with it the session's notice.
	w.db.refuse.Store(true)
	b.send(p.form("/sign-in/link")).is(503)
	w.db.refuse.Store(false)
	w.clock.advance(noticeLate)
	if n := w.told("ada@example.com"); n != 0 {
		t.Errorf("%d notices of a sign-in that came to nothing", n)
	}
	b.send(p.form("/sign-in/link")).isPortal("/", "c-ada")
	b.send(p.form("/sign-in/link")) // the answer was lost, the browser asks again
	if n := w.told("ada@example.com"); n != 1 {
		t.Errorf("%d notices, want 1", n)
	}
}

// Wrong addresses typed against a stolen link put nothing into the queue.
func TestS15_WrongAddressIsNotTold(t *testing.T) {
	w := newWorld(t, wide)
	m := w.browser().mailed("ada@example.com")
	thief := w.browser()
	p := thief.get(link(m))
	before := w.db.puts.Load()
	for range 12 {
		thief.send(p.form("/sign-in/link"), "email", "bob@example.com")
	}
	if n := w.db.puts.Load() - before; n != 0 {
		t.Errorf("%d notices were queued", n)
	}
}

// Whoever does not consent to mail gets none, not even for their safety.
func TestS15_NoConsentNoNotice(t *testing.T) {
	w := newWorld(t, wide)
	w.signIn("ada@example.com")
	w.write(w.csv, strings.Replace(sampleClients, "Ada Lovelace,yes,yes", "Ada Lovelace,yes,no", 1))
	w.until("the list has been read again", func() bool {
		c, err := w.conf.Clients.ByID(t.Context(), "c-ada")
		return err == nil && !c.EmailOK
	})
	if n := w.told("ada@example.com"); n != 0 {
		t.Errorf("%d notices", n)
	}
}
