// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/mail/outbox"
	"github.com/portalgate/portalgate/internal/testgate"
	"github.com/portalgate/portalgate/internal/ui"
)

// catalogue is every page that the gate has, as it answered it: reached by
// walking there, so that it holds what it holds in life.
type catalogue struct {
	t     testing.TB
	logo  []byte
	names []string
	pages map[string]*shown
	told  string // what is said elsewhere than on a page
	mails map[string]outbox.Entry
}

func (c *catalogue) add(name string, p *shown) *shown {
	if !strings.Contains(p.body, "<h1>") {
		c.t.Fatalf("%s is no page: %s", name, p.body)
	}
	if c.pages[name] != nil {
		c.t.Fatalf("two pages are called %s", name)
	}
	c.names = append(c.names, name)
	c.pages[name] = p
	return p
}

// mailed adds a mail, which is called after its subject and who got it.
func (c *catalogue) mailed(m outbox.Entry) {
	c.told += m.Subject + m.Text
	who, _, _ := strings.Cut(m.To, "@")
	c.mails["mail-"+strings.ReplaceAll(strings.ToLower(m.Subject), " ", "-")+"-"+who] = m
}

const logo = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 60"><circle cx="30" cy="30" r="24" fill="#2f6f5e"/>` +
	`<path d="M18 38 C22 20 38 20 42 38" stroke="#fff" stroke-width="4" fill="none"/>` +
	`<text x="64" y="39" font-family="Georgia, serif" font-size="26" fill="#26352f">Willow Creek</text></svg>`

func willow() ui.Practice {
	return ui.Practice{Name: "Willow Creek Counseling", Phone: "+1 555 0100", Email: "hello@willow.example", Accent: "#2f6f5e"}
}

// walked is what everyPage has found, which takes a while.
var walked struct {
	sync.Mutex
	*catalogue
}

// everyPage walks to every page, once for all tests: they look and change nothing.
func everyPage(t testing.TB) *catalogue {
	walked.Lock()
	defer walked.Unlock()
	if walked.catalogue != nil {
		return walked.catalogue
	}
	c := &catalogue{t: t, logo: []byte(logo), pages: map[string]*shown{}, mails: map[string]outbox.Entry{}}
	c.asking()
	c.revealing()
	c.opening()
	c.dead()
	c.stopping()
	c.pins()
	c.desk()
	c.signedIn()
	c.ended()
	c.broken()
	c.hard()
	c.google()
	c.programs()
	walked.catalogue = c
	return c
}

// asking is the way up to "check your email".
func (c *catalogue) asking() {
	practice := willow()
	practice.NewClients, practice.Logo = "https://willow.example/welcome", c.logo
	h := openHouse(c.t, practice, false)
	v := h.visitor()
	c.add("landing", v.get("/sign-in"))
	c.add("help", v.get("/sign-in/help"))
	email := c.add("email", v.get("/sign-in/magic-link"))
	c.add("email-empty", v.send(email, "/sign-in/magic-link", "email", ""))
	c.add("email-shape", v.send(email, "/sign-in/magic-link", "email", "ada.example.com"))
	c.add("email-signs", v.send(email, "/sign-in/magic-link", "email", "zoë@example.com"))
	c.add("typo", v.send(email, "/sign-in/magic-link", "email", "ada@gmial.com"))
	sent := c.add("sent-conceal", v.send(email, "/sign-in/magic-link", "email", "ada@example.com"))
	c.add("wait-links", v.send(sent, "/sign-in/magic-link"))
	c.add("code-empty", v.send(sent, "/sign-in/code", "code", "12"))
	for range 5 {
		sent = v.send(sent, "/sign-in/code", "code", "00000000")
	}
	c.add("code-wrong", sent)
	c.add("code-spent", v.send(sent, "/sign-in/code", "code", "00000000"))
	c.add("sent-shared", h.visitor().ask("bob@example.com", "shared", "1"))

	busy := h.visitor()
	for range 11 {
		email = busy.send(busy.get("/sign-in/magic-link"), "/sign-in/magic-link", "email", "nobody@example.com", "confirmed", "1")
	}
	c.add("wait-links-unknown", email)
}

func (c *catalogue) revealing() {
	h := openHouse(c.t, willow(), true)
	c.sending(h)
	v := h.visitor()
	v.ask("ada@example.com")
	c.add("unknown", v.ask("adah@example.com"))
	for range 12 {
		v.send(v.get("/sign-in/magic-link"), "/sign-in/magic-link", "email", "adah@example.com")
	}
	c.add("wait", v.send(v.get("/sign-in/magic-link"), "/sign-in/magic-link", "email", "adah@example.com"))

	h.conf.Methods = h.conf.Methods[:1] // no PIN is to be had
	h.onFile(clients)
	c.add("unknown-nopin", h.visitor().ask("adah@example.com"))
}

// mailServer answers as it is told.
type mailServer struct{ answers chan error }

func (s mailServer) Send(ctx context.Context, _ mail.Message) (string, error) {
	select {
	case err := <-s.answers:
		return "ok", err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// sending is what the page says of a mail on its way.
func (c *catalogue) sending(h *house) {
	s := mailServer{make(chan error)}
	h.conf.Sender = s
	h.onFile(clients)
	v := h.visitor()
	become := func(fate mail.Fate) {
		testgate.Wait(c.t, "the mail is "+string(fate), func() bool {
			all, _, err := h.rt.Mails(context.Background(), "c-bob")
			return err == nil && len(all) > 0 && all[0].Fate == fate
		})
	}
	c.add("sent-now", v.ask("bob@example.com"))
	s.answers <- &mail.Refusal{Reason: "the mailbox is full", Code: "452 4.2.2"}
	become(mail.Delayed)
	c.add("sent-slow", v.get("/sign-in/code"))
	testgate.Wait(c.t, "another try", func() bool {
		h.advance(5 * time.Second)
		select {
		case s.answers <- nil:
			return true
		default:
			return false
		}
	})
	become(mail.Sent)
	h.advance(3 * time.Minute)
	c.add("sent-ago", v.get("/sign-in/code"))
	v.ask("bob@example.com")
	s.answers <- &mail.Refusal{Permanent: true, Reason: "there is no such mailbox", Code: "550 5.1.1"}
	become(mail.Bounced)
	c.add("sent-bounced", v.get("/sign-in/code"))
	h.conf.Sender = h.rt.Outbox()
	h.onFile(clients)
}

// opening is a link that works.
func (c *catalogue) opening() {
	h := openHouse(c.t, willow(), false)
	asker, other := h.visitor(), h.visitor()
	asker.ask("ada@example.com")
	first := h.letter("ada@example.com", 1)
	c.add("open-cold", other.get("/sign-in/link"))
	c.add("open-nocookies", other.get("/sign-in/link?opened=1"))
	c.add("open-here", asker.get(link(first)))
	open := c.add("open-new", other.get(link(first)))
	c.add("open-new-shape", other.send(open, "/sign-in/link", "email", "ada"))
	c.add("open-new-wrong", other.send(open, "/sign-in/link", "email", "bob@example.com"))
	for range 9 {
		open = other.send(open, "/sign-in/link", "email", "bob@example.com")
	}
	c.add("open-off", open)
	asker.send(asker.get(link(first)), "/sign-in/link") // known from now on

	other.ask("ada@example.com")
	second := h.letter("ada@example.com", 2)
	bob := h.visitor()
	bob.ask("bob@example.com")
	c.add("open-known", asker.get(link(second)))
	bob.send(bob.get(link(h.letter("bob@example.com", 1))), "/sign-in/link")
	c.add("switch-new", bob.get(link(second)))
	asker.ask("bob@example.com")
	c.add("switch", asker.get(link(h.letter("bob@example.com", 2))))
}

// dead is a link that does not work, and why.
func (c *catalogue) dead() {
	h := openHouse(c.t, willow(), false)
	v, other := h.visitor(), h.visitor()
	v.ask("ada@example.com")
	used := h.letter("ada@example.com", 1)
	v.ask("ada@example.com")
	voided := h.letter("ada@example.com", 2)
	c.add("nolink", other.get("/sign-in/link?t=x"))
	other.send(other.get(link(used)), "/sign-in/link", "email", "ada@example.com")
	c.add("code-old", v.send(v.get("/sign-in/code"), "/sign-in/code", "code", code(voided)))
	c.add("newer-signedin", v.get(link(voided)))
	dead := c.add("used", v.get(link(used)))
	h.advance(5 * time.Minute)
	c.add("again", v.send(dead, "/sign-in/link/again"))
	stranger := h.visitor()
	for range 4 {
		stranger.ask("bob@example.com")
	}
	h.letter("bob@example.com", 4)
	first := h.letter("bob@example.com", 1)
	c.add("newer-asked", other.get(link(first)))
	h.advance(5 * time.Minute)
	c.add("again-elsewhere", other.send(other.get(link(first)), "/sign-in/link/again"))

	v.ask("cleo@example.com")
	lost := h.letter("cleo@example.com", 1)
	stop := v.get(stopOf(lost))
	v.send(stop, "/sign-in/stop", "email", "cleo@example.com")
	c.add("stopped-client", v.get(link(lost)))

	v.ask("cleo@example.com")
	late := h.letter("cleo@example.com", 2)
	h.advance(25 * time.Hour)
	c.add("expired", other.get(link(late)))
	v.ask("ada@example.com")
	off := h.letter("ada@example.com", 3)
	h.onFile(strings.ReplaceAll(clients, "Ada Lovelace,yes", "Ada Lovelace,no"))
	c.add("stopped-practice", other.get(link(off)))
}

// stopping is "You did not ask for this?".
func (c *catalogue) stopping() {
	h := openHouse(c.t, willow(), false)
	v, other := h.visitor(), h.visitor()
	v.ask("ada@example.com")
	m := h.letter("ada@example.com", 1)
	c.mailed(m)
	c.add("stop-cold", other.get("/sign-in/stop"))
	stop := c.add("stop", other.get(stopOf(m)))
	c.add("stop-known", v.get(stopOf(m)))
	c.add("stop-wrong", other.send(stop, "/sign-in/stop", "email", "bob@example.com"))
	c.add("stop-done", other.send(stop, "/sign-in/stop", "email", "ada@example.com"))
	v.ask("ada@example.com")
	m = h.letter("ada@example.com", 2)
	v.send(v.get(link(m)), "/sign-in/link")
	late := c.add("stop-late", v.get(stopOf(m)))
	c.add("signed-out-all", v.send(late, "/sign-in/stop", "all", "1"))

	new := h.visitor()
	new.signIn("bob@example.com", 1)
	h.advance(10 * time.Second)
	notice := h.notice("bob@example.com", 1)
	c.mailed(notice)
	stop = c.add("stop-session", other.get(stopOf(notice)))
	c.add("stop-session-known", new.get(stopOf(notice)))
	c.add("stop-session-wrong", other.send(stop, "/sign-in/stop", "email", "ada@example.com"))
	c.add("stop-session-done", other.send(stop, "/sign-in/stop", "email", "bob@example.com"))
}

// signedIn is what a client who is signed in finds.
func (c *catalogue) signedIn() {
	h := openHouse(c.t, willow(), false)
	v, other := h.visitor(), h.visitor()
	v.signIn("ada@example.com", 1)
	other.signIn("ada@example.com", 2, "shared", "1")
	here := c.add("here", v.get("/sign-in"))
	sessions := c.add("sessions", v.get("/sign-in/sessions"))
	c.add("sessions-done", v.send(sessions, "/sign-in/sessions/end"))
	c.add("ended-elsewhere", other.get("/sign-in"))
	c.add("out-ask", v.get("/sign-in/sign-out"))
	c.add("crossed", v.do("POST", "/sign-in/sign-out", here.forms["/sign-in/sign-out"], "Sec-Fetch-Site", "cross-site"))
	c.add("out", v.send(v.get("/sign-in/sign-out"), "/sign-in/sign-out"))
	shared := h.visitor()
	shared.signIn("bob@example.com", 1, "shared", "1")
	c.add("out-shared", shared.send(shared.get("/sign-in/sign-out"), "/sign-in/sign-out"))
	noname := h.visitor()
	noname.signIn("cleo@example.com", 1)
	c.add("here-noname", noname.get("/sign-in"))
}

// ended is what a session's end looks like.
func (c *catalogue) ended() {
	h := openHouse(c.t, willow(), false)
	idle, long, off := h.visitor(), h.visitor(), h.visitor()
	idle.signIn("ada@example.com", 1)
	h.advance(31 * time.Minute)
	c.add("ended-idle", idle.get("/sign-in?return_to=/files"))
	long.signIn("ada@example.com", 2)
	off.signIn("bob@example.com", 1)
	h.onFile(strings.ReplaceAll(clients, "Bob Stone,yes", "Bob Stone,no"))
	c.add("ended-practice", off.get("/sign-in"))
	for range 36 {
		h.advance(20 * time.Minute)
		long.do("POST", "/sign-in/session", nil, "Sec-Fetch-Mode", "cors")
	}
	c.add("ended-max", long.get("/sign-in"))
}

// broken is when something is.
func (c *catalogue) broken() {
	h := openHouse(c.t, willow(), false)
	v := h.visitor()
	form := url.Values{"note": {"half a sentence"}}
	c.add("form-late", v.do("POST", "/form", form, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "same-origin"))
	c.add("form-late-crossed", v.do("POST", "/form", form, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "cross-site"))
	c.add("odd", v.do("POST", "/sign-in/magic-link", nil, "Content-Type", "text/plain"))
	c.add("plain", v.do("POST", "/sign-in/magic-link", nil, "Host", "elsewhere.example"))
	c.add("crossed-email", h.visitor().do("POST", "/sign-in/magic-link", v.get("/sign-in/magic-link").forms["/sign-in/magic-link"], "Sec-Fetch-Site", "cross-site"))
	v.signIn("ada@example.com", 1)
	nobody := h.visitor()
	email, signedIn := nobody.get("/sign-in/magic-link"), v.get("/sign-in/magic-link")
	h.store.down.Store(true)
	c.add("down", nobody.send(email, "/sign-in/magic-link", "email", "bob@example.com"))
	c.add("down-in", v.send(signedIn, "/sign-in/magic-link", "email", "ada@example.com"))
}

// hard is where the words are long and there is no phone.
func (c *catalogue) hard() {
	const email = "wolfeschlegelsteinhausenbergerdorff.hubert.blaine@psychotherapy-practice.example.com"
	h := openHouse(c.t, ui.Practice{
		Name:  "Wolfeschlegelsteinhausenbergerdorff & Partners, Psychotherapeutic Practice",
		Email: "reception@psychotherapy-practice.example.com", Accent: "#8a3324", NewClients: "https://psychotherapy-practice.example.com/",
	}, false)
	v, other := h.visitor(), h.visitor()
	c.add("hard-landing", v.get("/sign-in"))
	c.add("hard-email", v.send(v.get("/sign-in/magic-link"), "/sign-in/magic-link", "email", email+"@"))
	c.add("hard-sent", v.ask(email))
	m := h.letter(email, 1)
	c.mailed(m)
	c.add("hard-open", v.get(link(m)))
	v.send(v.get(link(m)), "/sign-in/link")
	c.add("hard-used", other.get(link(m)))
	c.add("hard-here", v.get("/sign-in"))
	c.add("hard-help", v.get("/sign-in/help"))
	c.add("hard-pin", other.send(other.get("/sign-in/pin"), "/sign-in/pin", "email", email, "pin", "xxxxxx"))
}
