// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/portalgate/portalgate/internal/testgate"
)

// wire is a proxy that notes what a browser says it asks for a page for.
type wire struct {
	url string

	mu       sync.Mutex
	purposes map[string]int // how often, by path and Sec-Purpose
}

func newWire(t testing.TB) *wire {
	w := &wire{purposes: map[string]int{}}
	pass := &httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			rw.WriteHeader(http.StatusBadGateway) // the browser's own errands
			return
		}
		w.mu.Lock()
		w.purposes[r.URL.Path+" "+r.Header.Get("Sec-Purpose")]++
		w.mu.Unlock()
		pass.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

func (w *wire) through(p *target.CreateBrowserContextParams) {
	p.ProxyServer, p.ProxyBypassList = w.url, "<-loopback>"
}

func (w *wire) seen(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.purposes[what]
}

// The attack is none, but would burn links all the same: the asking browser
// itself loads the link before anybody has opened it, because a page of its
// site or of another hints that it may come next. It has the cookie that lets
// the link complete by itself.
func TestL04_SpeculativeLoad(t *testing.T) {
	t.Parallel()
	site, wire := newSite(t), newWire(t)
	g := testgate.Start(t, testgate.Options{Clients: person, Upstream: site.addr, Handler: "public /hint/*"})
	site.page("/messages", "<h1>Messages</h1>")
	owner, mailed, _ := askFor(t, g, "ada@example.com", wire.through)
	// One page for each way: what was prefetched is not asked for again to be
	// prerendered.
	rule := func(verb string) string {
		return `<script type="speculationrules">{"` + verb + `":[{"urls":["` + mailed + `"],"eagerness":"immediate"}]}</script>`
	}
	site.page("/hint/link", `<link rel="prefetch" href="`+mailed+`">`)
	site.page("/hint/prefetch", rule("prefetch"))
	site.page("/hint/prerender", rule("prerender"))

	for _, hint := range []struct{ page, purpose string }{
		{g.URL + "/hint/prerender", "prefetch;prerender"},
		{g.URL + "/hint/prefetch", "prefetch"},
		{g.URL + "/hint/link", "prefetch"},
		{"http://" + site.addr + "/hint/link", "prefetch"}, // another site
	} {
		before := wire.seen("/sign-in/link " + hint.purpose)
		owner.openUnwatched(hint.page)
		testgate.Wait(t, "the link to be loaded ahead of time: "+hint.page, func() bool {
			return wire.seen("/sign-in/link "+hint.purpose) > before
		})
	}
	unused(t, g, nil, owner, mailed)
}

// openUnwatched opens a tab that no developer tools are attached to: a browser
// prerenders nothing for one that they are.
func (p *profile) openUnwatched(url string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.first.ctx, patience)
	defer cancel()
	c := chromedp.FromContext(p.first.ctx)
	_, err := cdp.Call(ctx, c.Browser, target.CreateTarget, target.CreateTargetParams{URL: url, BrowserContextID: c.BrowserContextID})
	if err != nil {
		p.t.Fatal(err)
	}
}
