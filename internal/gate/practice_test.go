// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"os"
	"strings"
	"testing"
	"time"
)

// withdrawals are what a practice does in its list so that somebody does not
// get in any more.
var withdrawals = map[string]func(list string) string{
	"row removed": func(s string) string {
		return strings.Replace(s, "c-ada,ada@example.com,Ada Lovelace,yes,yes\n", "", 1)
	},
	"address changed": func(s string) string { return strings.Replace(s, "ada@example.com", "ada.new@example.com", 1) },
	"access off":      func(s string) string { return strings.Replace(s, "Ada Lovelace,yes", "Ada Lovelace,no", 1) },
	"id given to another person": func(s string) string {
		s = strings.Replace(s, "c-ada,", "c-gone,", 1)
		return strings.Replace(s, "c-bob,", "c-ada,", 1)
	},
}

func (w *world) rewrite(change func(string) string) {
	w.t.Helper()
	list := change(sampleClients)
	if list == sampleClients {
		w.t.Fatal("the change changes nothing")
	}
	if err := os.WriteFile(w.csv, []byte(list), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// insider is somebody with everything that lets Ada in.
type insider struct {
	w                 *world
	in, asked, opened *browser
	link, code        string
}

func (w *world) insider() insider {
	w.t.Helper()
	i := insider{w: w, in: w.signIn("ada@example.com"), asked: w.browser(), opened: w.browser()}
	m := i.asked.mailed("ada@example.com")
	i.link, i.code = link(m), code(m)
	i.opened.get(i.link).says("open.new.title")
	if !i.in.signedIn() {
		w.t.Fatal("not signed in to begin with")
	}
	return i
}

// tries fails the test if anything of it still lets anybody in.
func (i insider) tries() {
	i.w.t.Helper()
	if i.in.signedIn() {
		i.w.t.Error("the session is still going")
	}
	if got := i.in.get("/sign-in/session").body; !strings.Contains(got, `"signed_in":false`) {
		i.w.t.Errorf("the session's state is %s", got)
	}
	for name, b := range map[string]*browser{"asked": i.asked, "known": i.in, "opened": i.opened, "fresh": i.w.browser()} {
		p := b.get(i.link).is(200)
		if p.auto() || !p.has(i.w.conf.UI.Text("stopped.practice", nil)) {
			i.w.t.Errorf("%s: the link's page does not say that it is off:\n%s", name, p.text())
		}
		f := b.get("/sign-in/magic-link").form("/sign-in/magic-link")
		b.send(form{"/sign-in/link", f.values}, "email", "ada@example.com")
		b.send(form{"/sign-in/link/again", f.values})
		if b.signedIn() {
			i.w.t.Errorf("%s: a link let somebody in", name)
		}
	}
	f := i.asked.get("/sign-in/code").form("/sign-in/code")
	if p := i.asked.send(f, "code", i.code); p.status != 422 || i.asked.signedIn() {
		i.w.t.Errorf("the code is answered %d", p.status)
	}
	if n := i.w.live("c-ada"); n != 0 {
		i.w.t.Errorf("%d sessions on record", n)
	}
}

// A practice takes somebody off its list, closes access, or changes an
// address; what was mailed or opened before is worth nothing within 5 seconds.
func TestL13_WithdrawnWhileRunning(t *testing.T) {
	for name, change := range withdrawals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			i := w.insider()
			w.rewrite(change)
			begun := time.Now()
			w.until("the session ended", func() bool { return !i.in.copy().signedIn() })
			// Three polls of a second. Twice that is for machines under load;
			// the watch's own tests are exact.
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			w.until("the record is settled", func() bool { return w.live("c-ada") == 0 && len(w.record("c-ada").Links) == 0 })
			i.in.get("/").says("ended.title").says("ended.practice")
			i.tries()
			if len(w.record("c-ada").Known) != 0 {
				t.Error("a browser is still known")
			}
		})
	}
}

// The same while the gate was down: nobody was there to see the file change.
func TestL13_WithdrawnWhileDown(t *testing.T) {
	for name, change := range withdrawals {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			i := w.insider()
			if err := w.rt.Close(); err != nil {
				t.Fatal(err)
			}
			w.rewrite(change)
			w.open()
			i.in.copy().get("/").says("ended.practice")
			w.until("the record is settled", func() bool { return w.live("c-ada") == 0 })
			i.tries()
		})
	}
}

// What was withdrawn does not come back to life with the row: not even what
// nobody touched in between.
func TestL13_GivenBackAfterDown(t *testing.T) {
	w := newWorld(t)
	i := w.insider()
	w.rt.Close()
	w.rewrite(withdrawals["access off"])
	w.open()
	i.in.copy().get("/").says("ended.practice")
	w.until("the record is settled", func() bool { return w.live("c-ada") == 0 })
	w.rt.Close()
	if err := os.WriteFile(w.csv, []byte(sampleClients), 0o600); err != nil {
		t.Fatal(err)
	}
	w.open()
	if i.in.signedIn() {
		t.Error("a session came back with the access")
	}
	i.asked.get(i.link).says("stopped.practice")
	// A link asked for now is as good as any.
	b := w.browser()
	w.clock.advance(61 * time.Second)
	b.ask("ada@example.com")
	b.send(b.get(link(w.letters("ada@example.com", 1)[0])).form("/sign-in/link")).isPortal("/", "c-ada")
}

// A link that nobody has opened yet, when the gate comes up with another list.
func TestL13_LinkWithdrawnWhileDown(t *testing.T) {
	for name, change := range withdrawals {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			m := b.mailed("ada@example.com")
			f := b.get(link(m)).says("open.here.title").form("/sign-in/link")
			c := b.get("/sign-in/code").form("/sign-in/code")
			if err := w.rt.Close(); err != nil {
				t.Fatal(err)
			}
			w.rewrite(change)
			w.open()
			// Each by itself comes first, before anything else was noticed.
			for what, try := range map[string]func(b *browser) *page{
				"opening":  func(b *browser) *page { return b.get(link(m)) },
				"pressing": func(b *browser) *page { return b.send(f) },
			} {
				if p := try(b.copy()); !p.has(w.conf.UI.Text("stopped.practice", nil)) {
					t.Errorf("%s is answered:\n%s", what, p.text())
				}
			}
			b.send(c, "code", code(m)).is(422)
			if n := len(w.record("c-ada").Sessions); n != 0 {
				t.Errorf("%d sessions on record", n)
			}
		})
	}
}

// Access is closed and given back while a link is under way, and nobody looks
// at the link in between. It stays off.
func TestL13_GivenBackWhileRunning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	m := b.mailed("ada@example.com")
	w.rewrite(withdrawals["access off"])
	w.until("the link is off", func() bool { return len(w.record("c-ada").Links) == 0 })
	if err := os.WriteFile(w.csv, []byte(sampleClients), 0o600); err != nil {
		t.Fatal(err)
	}
	w.until("access is back", func() bool {
		c, err := w.conf.Clients.ByID(t.Context(), "c-ada")
		return err == nil && c.Access
	})
	b.get(link(m)).says("stopped.practice")
}

// A client who signs out everywhere switches off what was mailed, too.
func TestL13_SignedOutEverywhere(t *testing.T) {
	w := newWorld(t)
	i := w.insider()
	i.in.send(i.in.get("/sign-in/sign-out").form("/sign-in/sign-out"), "all", "1").says("out.all")
	for _, b := range []*browser{i.in, i.asked, i.opened, w.browser()} {
		b.get(i.link).says("stopped.client")
	}
	if i.in.signedIn() || w.live("c-ada") != 0 {
		t.Error("a session is left")
	}
}
