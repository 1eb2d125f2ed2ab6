// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/access"
)

// otherCode is a code of the right form that is not the one in a mail.
func otherCode(code string) string {
	if code[0] == '9' {
		return "0" + code[1:]
	}
	return string(code[0]+1) + code[1:]
}

func TestCodeInTheBrowserThatAsked(t *testing.T) {
	for name, typed := range map[string]func(string) string{
		"as it stands":        func(c string) string { return c },
		"with a space":        func(c string) string { return c[:4] + " " + c[4:] },
		"with a hyphen":       func(c string) string { return c[:4] + "-" + c[4:] },
		"with blanks around":  func(c string) string { return "  " + c + " " },
		"with a fixed blank":  func(c string) string { return c[:4] + "\u00a0" + c[4:] },
		"after a wrong one":   nil,
		"after a damaged one": nil,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			p := b.send(b.get("/files/42").form("/sign-in/magic-link"), "email", "ada@example.com")
			m := w.letters("ada@example.com", 1)[0]
			switch name {
			case "after a wrong one":
				p = b.send(p.form("/sign-in/code"), "code", otherCode(code(m))).is(422).says("code.wrong")
			case "after a damaged one":
				p = b.send(p.form("/sign-in/code"), "code", code(m)[:7]).is(422).says("code.empty")
			}
			if typed == nil {
				typed = func(c string) string { return c }
			}
			b.send(p.form("/sign-in/code"), "code", typed(code(m))).isPortal("/files/42", "c-ada")
			w.browser().get(link(m)).says("used.title") // link and code are one
			if w.live("c-ada") != 1 {
				t.Errorf("%d sessions", w.live("c-ada"))
			}
		})
	}
}

// What is not 8 digits is told so, and costs no try.
func TestCodeOfAnotherForm(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	m := b.mailed("ada@example.com")
	f := b.get("/sign-in/code").form("/sign-in/code")
	before := w.writes()
	for _, s := range []string{"", "1234567", "123456789", "1234567a", "١٢٣٤٥٦٧٨", "１２３４５６７８", "+1234567", "042137", strings.Repeat("1", 9000)} {
		b.send(f, "code", s).is(422).says("code.empty")
	}
	if w.writes() != before {
		t.Error("what cannot be a code was counted")
	}
	b.send(f, "code", code(m)).isPortal("/", "c-ada")
}

// A client is talked out of a code. It is good for nothing in the window of
// whoever has it, not even if that window asked for a link to the same address.
func TestCodeInAnotherBrowser(t *testing.T) {
	w := newWorld(t)
	m := w.browser().mailed("ada@example.com")
	thief := w.browser()
	p := thief.get("/sign-in/magic-link")
	f := p.form("/sign-in/magic-link")
	thief.send(form{"/sign-in/code", f.values}, "code", code(m)).says("email.title")
	thief.get("/sign-in/code").says("email.title")
	thief.mailed("ada@example.com")
	f = thief.get("/sign-in/code").form("/sign-in/code")
	thief.send(f, "code", code(m)).is(422).says("code.wrong")
	thief.get(link(m)).says("open.new.title")
	thief.send(f, "code", code(m)).is(422)
	if w.live("c-ada") != 0 {
		t.Fatal("a code signed another browser in")
	}
	// Nor is a form of another's page any good (a code typed for somebody else).
	victim := w.browser()
	victim.mailed("bob@example.com")
	victim.send(f, "code", "12345678").is(403).says("odd.lead")
}

// Five tries for a code, in whatever window and however close together.
func TestCodeFiveTries(t *testing.T) {
	const tries = 5
	w := newWorld(t)
	b := w.browser()
	m := b.mailed("ada@example.com")
	f := b.get("/sign-in/code").form("/sign-in/code")
	pages := make([]*page, tries+3)
	atOnce(len(pages), func(i int) { pages[i] = b.copy().send(f, "code", otherCode(code(m))) })
	wrong := 0
	for _, p := range pages {
		if p.is(422).has(w.conf.UI.Text("code.wrong", nil)) {
			wrong++
			continue
		}
		p.says("code.spent")
	}
	if wrong != tries {
		t.Errorf("%d tries, want %d", wrong, tries)
	}
	p := b.send(f, "code", code(m)).is(422).says("code.spent")
	if got := w.record("c-ada").WrongCodes; got != tries {
		t.Errorf("%d wrong codes on record", got)
	}
	// A new link has a new code; the old one stays spent.
	w.clock.advance(10 * time.Minute)
	p = b.send(p.form("/sign-in/magic-link")).says("sent.title")
	fresh := w.letters("ada@example.com", 2)[0]
	p = b.send(p.form("/sign-in/code"), "code", code(m)).is(422).says("code.wrong")
	b.copy().send(p.form("/sign-in/code"), "code", code(fresh)).isPortal("/", "c-ada")
}

// A browser has asked for three links, and the tries for one are spent: each of the
// others has five of its own, whatever a store counts of asks that it refuses.
// Whose tries are all spent is told that, and not to wait for a day.
func TestCodeTriesApart(t *testing.T) {
	w := newWorld(t, wide)
	w.db.apart.Store(true)
	b := w.browser()
	all := []string{code(b.mailed("ada@example.com"))}
	none := otherCode(all[0])
	wrong := func(n int, key string) {
		t.Helper()
		f := b.get("/sign-in/code").form("/sign-in/code")
		for range n {
			b.send(f, "code", none).is(422).says(key)
			w.clock.advance(2 * time.Minute) // the browser itself may go on
		}
	}
	wrong(5, "code.wrong")
	f := b.get("/sign-in/code").form("/sign-in/code")
	for range perBrowser.Count + 1 {
		b.send(f, "code", none).is(422).says("code.spent")
	}
	for n := 2; n <= 3; n++ {
		w.clock.advance(10 * time.Minute)
		b.send(b.get("/sign-in/code").form("/sign-in/magic-link"))
		all = append(all, code(w.letters("ada@example.com", n)[0]))
	}
	wrong(4, "code.wrong")
	b.copy().send(b.get("/sign-in/code").form("/sign-in/code"), "code", all[2]).isPortal("/", "c-ada")
	wrong(1, "code.spent")
}

// A code dies with its link.
func TestCodeOfADeadLink(t *testing.T) {
	t.Run("expired", func(t *testing.T) {
		w := newWorld(t)
		b := w.browser()
		m := b.mailed("ada@example.com")
		f := b.get("/sign-in/code").form("/sign-in/code")
		w.clock.advance(24*time.Hour + 2*time.Second)
		b.send(f, "code", code(m))
		if b.signedIn() || w.live("c-ada") != 0 {
			t.Error("a code outlived its link")
		}
	})
	t.Run("switched off", func(t *testing.T) {
		w := newWorld(t)
		b := w.browser()
		m := b.mailed("ada@example.com")
		b.send(b.get(stopOf(m)).form("/sign-in/stop")).says("stop.done.title")
		b.send(b.get("/sign-in/code").form("/sign-in/code"), "code", code(m)).is(422).says("code.old")
	})
	t.Run("another used", func(t *testing.T) {
		w := newWorld(t)
		b := w.browser()
		m := b.mailed("ada@example.com")
		other := w.browser()
		other.send(other.get(link(other.mailed("ada@example.com"))).form("/sign-in/link")).isPortal("/", "c-ada")
		b.send(b.get("/sign-in/code").form("/sign-in/code"), "code", code(m)).is(422).says("code.old")
	})
	t.Run("used by somebody else", func(t *testing.T) {
		w := newWorld(t)
		b := w.browser()
		m := b.mailed("ada@example.com")
		other := w.browser()
		other.send(other.get(link(m)).form("/sign-in/link"), "email", "ada@example.com").isPortal("/", "c-ada")
		b.send(b.get("/sign-in/code").form("/sign-in/code"), "code", code(m)).says("used.title")
		if w.live("c-ada") != 1 {
			t.Errorf("%d sessions", w.live("c-ada"))
		}
	})
}

// A botnet asks for links and guesses codes, five to a link. A hundred wrong
// ones in a row turn codes off for the client, which shows to nobody; the
// client's links go on working.
func TestCodesOffSilently(t *testing.T) {
	w := newWorld(t, wide)
	for range access.WrongCodes / codeTries {
		b := w.browser()
		f := b.ask("ada@example.com").says("sent.title").form("/sign-in/code")
		for range codeTries {
			b.send(f, "code", fmt.Sprintf("%08d", rand.IntN(100_000_000))).is(422).says("code.wrong")
		}
		w.clock.advance(3 * time.Hour)
	}
	w.letters("ada@example.com", access.WrongCodes/codeTries)
	b := w.browser()
	m := b.mailed("ada@example.com")
	f := b.get("/sign-in/code").form("/sign-in/code")
	wrong := b.copy().send(f, "code", otherCode(code(m))).is(422).says("code.wrong")
	right := b.copy().send(f, "code", code(m)).is(422).says("code.wrong")
	if wrong.body != right.body || len(wrong.header["Set-Cookie"]) != len(right.header["Set-Cookie"]) {
		t.Error("a right code shows although codes are off")
	}
	if !strings.Contains(w.logs.String(), `"because":"off"`) {
		t.Error("the refusal of a right code was not put on record")
	}
	b.send(b.get(link(m)).form("/sign-in/link")).isPortal("/", "c-ada")
	// Signing in by link proves nothing about codes.
	if w.record("c-ada").WrongCodes < access.WrongCodes {
		t.Error("codes were turned on again by nobody")
	}
}

// A right code begins the count anew: people mistype.
func TestRightCodeResetsTheCount(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	m := b.mailed("ada@example.com")
	f := b.get("/sign-in/code").form("/sign-in/code")
	b.send(f, "code", otherCode(code(m))).says("code.wrong")
	b.send(f, "code", code(m)).isPortal("/", "c-ada")
	if got := w.record("c-ada").WrongCodes; got != 0 {
		t.Errorf("%d wrong codes on record after a right one", got)
	}
}

// "Send it again" sends another; both work, and both lead to the page first
// asked for.
func TestSendItAgain(t *testing.T) {
	for _, n := range []int{0, 1} {
		w := newWorld(t)
		b := w.browser()
		p := b.send(b.get("/files/42").form("/sign-in/magic-link"), "email", "ada@example.com")
		b.send(p.form("/sign-in/magic-link")).is(429).says("wait.links.title")
		w.clock.advance(61 * time.Second)
		p = b.send(p.form("/sign-in/magic-link")).is(200).says("sent.title")
		mails := w.letters("ada@example.com", 2)
		if code(mails[0]) == code(mails[1]) || link(mails[0]) == link(mails[1]) {
			t.Fatal("a new mail has the old secret")
		}
		q := b.get(link(mails[n])).says("open.here.title")
		b.send(q.form("/sign-in/link")).isPortal("/files/42", "c-ada")
	}
}

// The tick for a shared computer is kept when the link is sent again.
func TestSendItAgainOnASharedComputer(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	p := b.ask("ada@example.com", "shared", "1").says("sent.shared")
	w.clock.advance(61 * time.Second)
	p = b.send(p.form("/sign-in/magic-link")).says("sent.shared")
	m := w.letters("ada@example.com", 2)[0]
	got := b.once().send(p.form("/sign-in/code"), "code", code(m)).is(303).cookies()
	if c := got[""]; c == nil || c.MaxAge != 0 {
		t.Error("the session of a shared computer outlives the browser")
	}
}
