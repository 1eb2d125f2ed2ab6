// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package wiretest

import (
	"net/http"
	"testing"

	"github.com/portalgate/portalgate/internal/testgate"
)

// TestX4_ReloadAndKill changes the configuration under a sign-in that is half
// done, and then cuts the power: who was in stays in, and a link that is still
// in a mailbox works, and so does the code.
func TestX4_ReloadAndKill(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	o := testgate.Options{Upstream: up.addr}
	g := testgate.Start(t, o)
	in, link, code := newBrowser(t, g), newBrowser(t, g), newBrowser(t, g)
	in.signIn(g, 1)
	pending, _ := link.ask(g, "grace+clinic@gmail.com", 1)
	other, form := code.ask(g, "zoe@example.com", 1)
	// The form of a page that was open all the while.
	o.Gate = "session {\n\tidle 45m\n}"
	o.Handler = "public /assets/* /other"
	page := link.get(pending.link)
	if err := g.Reload(g.Caddyfile(o)); err != nil {
		t.Fatal(err)
	}
	in.mustBeIn(g)
	if err := g.Reload(g.Caddyfile(testgate.Options{Upstream: up.addr, Gate: "nonsense"})); err == nil {
		t.Error("nonsense was loaded")
	}
	link.send(page, "/sign-in/link")
	link.mustBeIn(g)

	g.Kill()
	g.Restart()
	for _, b := range []*browser{in, link} {
		b.client.CloseIdleConnections()
		b.mustBeIn(g)
	}
	code.client.CloseIdleConnections()
	code.send(form, "/sign-in/code", "code", other.code)
	code.mustBeIn(g)
	if p := code.get(pending.link); p.status == http.StatusOK && len(formsIn(p.body)) == 0 {
		t.Errorf("a used link after a restart: %d", p.status)
	}
}

// TestTwoGatesOneHost has one browser use two gates on one host: cookies know
// no port, so each gate sees the other's and must leave them alone.
func TestTwoGatesOneHost(t *testing.T) {
	t.Parallel()
	up, up2 := newUpstream(t), newUpstream(t)
	g := testgate.Start(t, testgate.Options{Upstream: up.addr})
	second := testgate.Start(t, testgate.Options{Upstream: up2.addr, Name: "second"})
	b := newBrowser(t, g)
	l, _ := b.ask(g, "ada@example.com", 1)
	m, _ := b.ask(second, "grace+clinic@gmail.com", 1)
	b.send(b.get(l.link), "/sign-in/link")
	b.send(b.get(m.link), "/sign-in/link")
	for range 2 {
		b.mustBeIn(g)
		b.mustBeIn(second)
	}
	last := func(up *upstream) string { got := up.of("/portal"); return got[len(got)-1] }
	if wrong := wrongIn(last(up), "1001"); wrong != "" {
		t.Errorf("the first upstream saw %s", wrong)
	}
	if wrong := wrongIn(last(up2), "1002"); wrong != "" {
		t.Errorf("the second upstream saw %s", wrong)
	}
	for path := range formsIn(b.get(g.URL + "/sign-in/sign-out").body) {
		b.send(b.get(g.URL+"/sign-in/sign-out"), path)
	}
	if p := b.get(g.URL + "/portal"); p.at.Path == "/portal" {
		t.Error("still signed in at the first")
	}
	b.mustBeIn(second)
}
