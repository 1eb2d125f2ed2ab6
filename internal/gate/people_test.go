// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/mail/outbox"
	"github.com/portalgate/portalgate/internal/store"
)

// What the people in the tests of links, codes and sessions do.

// record is a client's record as it stands.
func (w *world) record(client string) *access.Record {
	w.t.Helper()
	records := w.rt.eng.Load().records
	r, err := records.Get(context.Background(), records.Tag(client))
	if errors.Is(err, store.ErrNotFound) {
		return &access.Record{}
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// lastEvent is the newest in the audit chain of a client, once all that the
// record has to tell is there.
func (w *world) lastEvent(client string) audit.Event {
	w.t.Helper()
	w.rt.keepEvents(context.Background(), w.rt.eng.Load())
	events, _, err := w.rt.Events(context.Background(), audit.Filter{Client: client, Limit: 1})
	if err != nil || len(events) == 0 {
		w.t.Fatalf("no event of %s: %v", client, err)
	}
	return events[0]
}

// live is how many sessions a client has.
func (w *world) live(client string) int {
	w.t.Helper()
	return len(w.record(client).Live(w.clock.now(), w.conf.Session))
}

// writes is how often something was written down, limits included.
func (w *world) writes() int64 {
	return w.db.updates.Load() + w.db.allows.Load() + w.db.puts.Load()
}

// mailed has a browser ask for a link and returns the mail. Asking again for
// the same address takes a minute of the clock.
func (b *browser) mailed(email string, more ...string) outbox.Entry {
	b.w.t.Helper()
	n := 0
	for _, m := range b.w.rt.Outbox().Messages() {
		if m.To == email && link(m) != "" {
			n++
		}
	}
	if n > 0 {
		b.w.clock.advance(61 * time.Second)
	}
	b.ask(email, more...).is(200).says("sent.title")
	return b.w.letters(email, n+1)[0]
}

// copy is another window with the same cookies as they are now.
func (b *browser) copy() *browser {
	b.w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.w.t.Fatal(err)
	}
	u := b.origin()
	for _, c := range b.c.Jar.Cookies(u) {
		jar.SetCookies(u, []*http.Cookie{{Name: c.Name, Value: c.Value, Path: "/", Secure: u.Scheme == "https"}})
	}
	c := *b.c
	c.Jar = jar
	return &browser{w: b.w, c: &c, ip: b.ip, headers: b.headers.Clone()}
}

func (b *browser) origin() *url.URL {
	u, err := url.Parse(b.w.front)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return u
}

// cookie is the value of a cookie of the gate's, by the end of its name.
func (b *browser) cookie(rest string) string {
	for _, c := range b.c.Jar.Cookies(b.origin()) {
		if c.Name == "portalgate-main"+rest {
			return c.Value
		}
	}
	return ""
}

// plant puts a cookie into the browser that the gate did not set.
func (b *browser) plant(rest, value string) {
	b.c.Jar.SetCookies(b.origin(), []*http.Cookie{{Name: "portalgate-main" + rest, Value: value, Path: "/"}})
}

// reopened is the browser after it was closed: what dies with it is gone.
func (b *browser) reopened(answers ...*page) *browser {
	lasting := map[string]bool{}
	for _, p := range answers {
		for _, c := range p.cookies() {
			lasting[c.Name] = c.MaxAge > 0
		}
	}
	n := b.copy()
	for _, c := range n.c.Jar.Cookies(b.origin()) {
		if !lasting[c.Name] {
			n.c.Jar.SetCookies(b.origin(), []*http.Cookie{{Name: c.Name, Path: "/", MaxAge: -1}})
		}
	}
	return n
}

// cookies are those that an answer sets, by the end of their name.
func (p *page) cookies() map[string]*http.Cookie {
	set := map[string]*http.Cookie{}
	for _, c := range (&http.Response{Header: p.header}).Cookies() {
		set[strings.TrimPrefix(c.Name, "portalgate-main")] = c
	}
	return set
}

// isPortal fails the test unless the page is the portal's.
func (p *page) isPortal(path, client string) *page {
	p.w.t.Helper()
	if p.is(200).body != "portal "+path+" for "+client {
		p.w.t.Fatalf("%s shows no portal page %s for %s:\n%s", p.url.Path, path, client, p.text())
	}
	return p
}

// auto reports whether a page sends its form by itself.
func (p *page) auto() bool { return strings.Contains(p.body, " data-auto") }

// asks reports whether the page asks for an address.
func (p *page) asks() bool {
	return slices.ContainsFunc(p.forms(), func(f form) bool { return f.values.Has("email") })
}

// signedIn reports whether the portal lets the browser in.
func (b *browser) signedIn() bool {
	b.w.t.Helper()
	return strings.HasPrefix(b.get("/").body, "portal ")
}

func mustAddress(t testing.TB, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
