// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/mail/outbox"
	"github.com/portalgate/portalgate/internal/session"
)

// Each end of a link says which it is and offers a new one, that works.
func TestDeadLinksSaySo(t *testing.T) {
	const ada = "ada@example.com"
	for name, c := range map[string]struct {
		// die has a link end and returns it.
		die  func(w *world, b *browser) outbox.Entry
		says []string
	}{
		"used": {func(w *world, b *browser) outbox.Entry {
			m := b.mailed(ada)
			b.send(b.get(link(m)).form("/sign-in/link")).isPortal("/", "c-ada")
			return m
		}, []string{"used.title", "used.lead"}},
		"expired": {func(w *world, b *browser) outbox.Entry {
			m := b.mailed(ada)
			w.clock.advance(24*time.Hour + time.Second)
			return m
		}, []string{"expired.title"}},
		"expired for 8 days": {func(w *world, b *browser) outbox.Entry {
			m := b.mailed(ada)
			w.clock.advance(8 * 24 * time.Hour)
			return m
		}, []string{"expired.title"}},
		"superseded": {func(w *world, b *browser) outbox.Entry {
			m := b.mailed(ada)
			for range 3 {
				b.mailed(ada)
			}
			return m
		}, []string{"newer.title", "newer.asked"}},
		"another used": {func(w *world, b *browser) outbox.Entry {
			m := b.mailed(ada)
			b.send(b.get(link(b.mailed(ada))).form("/sign-in/link")).isPortal("/", "c-ada")
			return m
		}, []string{"newer.title", "newer.signedin"}},
		"switched off": {func(w *world, b *browser) outbox.Entry {
			m := b.mailed(ada)
			b.send(b.get(stopOf(m)).form("/sign-in/stop")).says("stop.done.title")
			return m
		}, []string{"stopped.title", "stopped.client"}},
		"signed out everywhere": {func(w *world, b *browser) outbox.Entry {
			in := w.signIn(ada)
			m := b.mailed(ada)
			in.send(in.get("/sign-in/sign-out").form("/sign-in/sign-out"), "all", "1").says("out.all")
			return m
		}, []string{"stopped.title", "stopped.client"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, wide)
			m := c.die(w, w.browser())
			n := len(w.letters(ada, 1))
			w.clock.advance(61 * time.Second)
			other := w.browser()
			p := other.get(link(m)).is(200)
			for _, key := range c.says {
				p.says(key, "life", "24 hours")
			}
			p.says("again.hint", "masked", "a•••@example.com")
			if strings.Contains(p.body, ada) {
				t.Error("a dead link gives the address away")
			}
			f := p.form("/sign-in/link/again")
			live := w.live("c-ada")
			// A dead link is dead whatever is sent with it.
			other.do("POST", "/sign-in/link", url.Values{
				"flow": f.values["flow"], "nonce": f.values["nonce"], "email": {ada},
			}).says(c.says[0])
			if w.live("c-ada") != live {
				t.Fatal("a dead link opened a session")
			}
			other.send(f).says("again.lead", "masked", "a•••@example.com")
			fresh := w.letters(ada, n+1)[0]
			p = other.get(link(fresh)).says("open.new.title")
			other.send(p.form("/sign-in/link"), "email", ada).isPortal("/", "c-ada")
		})
	}
}

// Whoever finds an old link can have a new one mailed to its owner, and gets
// nothing by it: not the code field, not the link that completes by itself.
// Where the client has shown to be it, the new one works like any.
func TestAgainMakesNoStrangerTheAsker(t *testing.T) {
	w := newWorld(t)
	b := w.signIn("ada@example.com")
	old := w.letters("ada@example.com", 1)[0]
	w.clock.advance(61 * time.Second)

	stranger := w.browser()
	p := stranger.get(link(old)).says("used.title")
	p = stranger.send(p.form("/sign-in/link/again")).says("again.lead", "masked", "a•••@example.com")
	if len(p.forms()) != 0 {
		t.Error("a stranger who had a link mailed is asked for its code")
	}
	if stranger.once().get("/sign-in/code").is(303).header.Get("Location") != "/sign-in" {
		t.Error("a stranger is taken for the one who asked")
	}
	m := w.letters("ada@example.com", 2)[0]
	if p := stranger.get(link(m)); p.auto() || !p.asks() {
		t.Fatal("the new link completes in a stranger's browser")
	}

	// Pressing again soon is a matter for the mailbox's limits.
	stranger.send(stranger.get(link(old)).form("/sign-in/link/again")).is(429).says("wait.links.title")

	w.clock.advance(61 * time.Second)
	b.send(b.get("/sign-in/sign-out").form("/sign-in/sign-out")).says("out.title")
	p = b.get(link(old)).says("used.title")
	p = b.send(p.form("/sign-in/link/again")).says("again.title").says("again.lead", "masked", "a•••@example.com")
	if strings.Contains(p.body, "ada@example.com") {
		t.Error("the address of a link's record is shown in full")
	}
	m = w.letters("ada@example.com", 3)[0]
	b.copy().send(p.form("/sign-in/code"), "code", code(m)).isPortal("/", "c-ada")
	b.get(link(m)).says("used.title")
}

// The new link leads where the dead one led.
func TestAgainKeepsTheReturnPath(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.send(b.get("/files/42").form("/sign-in/magic-link"), "email", "ada@example.com").says("sent.title")
	m := w.letters("ada@example.com", 1)[0]
	b.send(b.get(link(m)).form("/sign-in/link")).isPortal("/files/42", "c-ada")
	b.send(b.get("/sign-in/sign-out").form("/sign-in/sign-out"))
	w.clock.advance(61 * time.Second)
	b.send(b.get(link(m)).form("/sign-in/link/again")).says("again.title")
	p := b.get(link(w.letters("ada@example.com", 2)[0]))
	b.send(p.form("/sign-in/link")).isPortal("/files/42", "c-ada")
}

// A used link, pressed again where its client is signed in, goes straight on.
func TestUsedLinkGoesStraightOn(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.send(b.get("/files/42").form("/sign-in/magic-link"), "email", "ada@example.com").says("sent.title")
	m := w.letters("ada@example.com", 1)[0]
	b.send(b.get(link(m)).form("/sign-in/link")).isPortal("/files/42", "c-ada")
	b.get(link(m)).isPortal("/files/42", "c-ada")
	// Somebody else who is signed in learns that it was used.
	w.signIn("bob@example.com").get(link(m)).says("used.title")
}

// A link that was used is sent once more: by whoever watched, from where the
// first came, after signing out, a day later.
func TestL08_Replay(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	m := b.mailed("ada@example.com")
	p := b.get(link(m))
	early := w.browser()
	theirs := early.get(link(m)).form("/sign-in/link")
	before := b.copy()
	f := p.form("/sign-in/link")
	b.send(f).isPortal("/", "c-ada")

	early.send(theirs, "email", "ada@example.com").says("used.title")
	if !strings.Contains(w.logs.String(), "link_refused") {
		t.Error("the use of a used link was not put on record")
	}
	b.send(b.get("/sign-in/sign-out").form("/sign-in/sign-out")).says("out.title")
	b.once().send(f).is(403)
	before.send(f).says("used.title") // with the cookies of the time
	w.clock.advance(24 * time.Hour)
	before.once().send(f).is(403)
	early.once().send(theirs, "email", "ada@example.com").is(403)
	if n := w.live("c-ada"); n != 0 {
		t.Fatalf("a replay left %d sessions", n)
	}
}

// Mail is late and three links are under way. The first still works; the
// others are then off, as the fourth switches off the first.
func TestL12_SupersededLink(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	var mails []outbox.Entry
	for range 3 {
		mails = append(mails, b.mailed("ada@example.com"))
	}
	b.send(b.get(link(mails[0])).form("/sign-in/link")).isPortal("/", "c-ada")
	for _, m := range mails[1:] {
		w.browser().get(link(m)).says("newer.title").says("newer.signedin")
	}
	mails = nil
	w.clock.advance(time.Hour)
	for range 4 {
		mails = append(mails, b.mailed("ada@example.com"))
	}
	w.browser().get(link(mails[0])).says("newer.title").says("newer.asked")
	for _, m := range mails[1:] {
		w.browser().get(link(m)).says("open.new.title")
	}
}

// The page for a link that never was is the same whoever it claims to be for,
// and finding out writes nothing.
func TestL14_UnknownLink(t *testing.T) {
	w := newWorld(t)
	m := w.browser().mailed("ada@example.com")
	w.signIn("bob@example.com")
	bobs := w.letters("bob@example.com", 1)[0]
	secret := strings.Repeat("A", 43)
	tag, _, _ := strings.Cut(token(link(m)), ".")
	before := w.writes()
	for name, tok := range map[string]string{
		"random":              session.Token(strings.Repeat("a", 16), make([]byte, session.SecretSize)),
		"of somebody on file": tag + "." + secret,
		"another's secret":    tag + token(link(bobs))[session.TagSize:],
		"a stop link's":       token(stopOf(m)),
	} {
		b := w.browser()
		p := b.get("/sign-in/link?t=" + tok).is(200)
		if p.says("nolink.title"); len(p.forms()) != 0 {
			t.Errorf("%s: there is something to send", name)
		}
		f := b.get("/sign-in/magic-link").form("/sign-in/magic-link") // for a flow
		for _, to := range []string{"/sign-in/link", "/sign-in/link/again", "/sign-in/stop"} {
			b.send(form{to, f.values}, "email", "ada@example.com")
		}
	}
	if got := w.writes(); got != before {
		t.Errorf("links that never were cost %d writes", got-before)
	}
	// What is remembered for 90 days is not known after.
	w.clock.advance(91 * 24 * time.Hour)
	w.browser().get(link(bobs)).is(200).says("nolink.title")
}

// Only the one string that was mailed is the link. What cannot be one is not
// even looked up.
func TestL15_Malleability(t *testing.T) {
	w := newWorld(t)
	m := w.browser().mailed("ada@example.com")
	good := token(link(m))
	tag, secret, _ := strings.Cut(good, ".")
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, secret[42])
	twin := tag + "." + secret[:42] + string(alphabet[last^1]) // unused bits: decodes to the same bytes
	a, erra := base64.RawURLEncoding.DecodeString(secret)
	c, errc := base64.RawURLEncoding.DecodeString(twin[session.TagSize+1:])
	if erra != nil || errc != nil || !bytes.Equal(a, c) {
		t.Fatal("the twin is none")
	}
	malformed := map[string]string{
		"unused bits": twin, "padding": good + "=", "two paddings": good + "==", "upper case tag": strings.ToUpper(tag) + "." + secret,
		"a space": good + "%20", "a space before": "%20" + good, "a line break": good + "%0A", "a NUL": good + "%00",
		"cut short": good[:len(good)-1], "the tag alone": tag, "empty": "", "encoded twice": strings.ReplaceAll(good, ".", "%252E"),
		"another separator": tag + ":" + secret, "no separator": tag + secret, "three parts": good + "." + secret,
		"full stop at the end": good + ".", "standard alphabet": tag + "." + strings.Repeat("/", 43), "plus": tag + "." + strings.Repeat("%2B", 43),
		"digits outside base 32": strings.Repeat("1", 16) + "." + secret, "not UTF-8": "%ff%fe" + good[2:], "8 KB": strings.Repeat("a", 8<<10),
		"traversal": "..%2f..%2f" + good, "full width": url.QueryEscape("ａ" + good[1:]),
	}
	gets, writes := w.db.gets.Load(), w.writes()
	for name, tok := range malformed {
		b := w.browser()
		for _, path := range []string{"/sign-in/link", "/sign-in/stop"} {
			if p := b.get(path + "?t=" + tok).is(200); !p.has(w.conf.UI.Text("nolink.lead", nil)) {
				t.Errorf("%s: not the page of a link that is none:\n%s", name, p.text())
			}
			text, err := url.QueryUnescape(tok)
			if err != nil {
				t.Fatal(err)
			}
			if p := b.do("POST", path, url.Values{"t": {text}}); p.status >= 500 || p.has(w.conf.UI.Text("open.new.title", nil)) {
				t.Errorf("%s: brought along in a form it is answered %d", name, p.status)
			}
		}
	}
	if g, wr := w.db.gets.Load()-gets, w.writes()-writes; g != 0 || wr != 0 {
		t.Errorf("what cannot be a link cost %d reads and %d writes", g, wr)
	}
	b := w.browser()
	b.do("POST", "/sign-in/link", url.Values{"t": {strings.Repeat("a", 1<<20)}}).is(400).says("odd.title")
	for name, tok := range map[string]string{"a case changed": flipCase(good), "a letter changed": "b" + good[1:]} {
		if tok == good {
			tok = "c" + good[1:]
		}
		if !b.get("/sign-in/link?t=" + tok).is(200).has(w.conf.UI.Text("nolink.lead", nil)) {
			t.Errorf("%s: not the page of a link that is none", name)
		}
	}
	if w.live("c-ada") != 0 {
		t.Fatal("a damaged link was used")
	}
	p := b.get("/sign-in/link?t=" + tag + "%2E" + secret).says("open.new.title") // the same string, written otherwise
	b.send(p.form("/sign-in/link"), "email", "ada@example.com").isPortal("/", "c-ada")
}

// flipCase changes the case of the first letter of a token's secret.
func flipCase(tok string) string {
	b := []byte(tok)
	for i := session.TagSize + 1; i < len(b); i++ {
		if c := b[i] | 0x20; 'a' <= c && c <= 'z' {
			b[i] ^= 0x20
			return string(b)
		}
	}
	return tok
}
