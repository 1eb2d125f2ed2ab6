// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// Somebody puts yesterday's copy of the store back (a backup, a virtual
// machine's snapshot). In the copy a used link is still good and an ended
// session still runs; neither may come to life again. What is made from then
// on works as ever.
func TestStorePutBack(t *testing.T) {
	w := newWorld(t)
	b := w.signIn("ada@example.com")
	asked := w.browser()
	asked.ask("bob@example.com")
	l := link(w.letters("bob@example.com", 1)[0])
	w.idle()

	w.rt.Close()
	copied, err := os.ReadFile(w.path)
	if err != nil {
		t.Fatal(err)
	}
	w.open()
	if p := b.get("/"); !strings.HasPrefix(p.body, "portal ") {
		t.Fatalf("a restart signed the client out: %s", p.text())
	}
	w.clock.advance(2 * time.Second)
	p := asked.get(l)
	asked.send(p.form("/sign-in/link"))
	// A thief kept the cookie of a session that its client ends.
	u, err := url.Parse(w.front)
	if err != nil {
		t.Fatal(err)
	}
	thief := w.browser()
	for _, c := range b.c.Jar.Cookies(u) {
		if c.Name == "portalgate-main" {
			thief.headers.Set("Cookie", c.String())
		}
	}
	if p := thief.get("/"); !strings.HasPrefix(p.body, "portal ") {
		t.Fatalf("the copied cookie does not work before: %s", p.text())
	}
	p = b.get("/sign-in/sign-out")
	b.send(p.form("/sign-in/sign-out"))

	w.rt.Close()
	if err := os.WriteFile(w.path, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(2 * time.Second)
	stolen := w.browser()
	w.open()
	p = stolen.get(l)
	p.says("stopped.title")
	if p := thief.get("/"); strings.HasPrefix(p.body, "portal ") {
		t.Fatal("an ended session runs again after the store was put back")
	}
	w.clock.advance(2 * time.Minute)
	w.signIn("ada@example.com")
}
