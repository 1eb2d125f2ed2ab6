// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// A form that is sent after the session has ended is answered with a page that
// says how not to lose what was typed. Programs get no page, and another site's
// form is nobody's to send again.
func TestS01_LateForm(t *testing.T) {
	w := newWorld(t)
	b := w.signIn("ada@example.com")
	w.clock.advance(31 * time.Minute)
	values := url.Values{"note": {"I have typed this for half an hour."}}
	for _, tc := range []struct {
		name    string
		headers map[string]string
		method  string
		page    string // its title; empty is problem+json
	}{
		{name: "a page's form", headers: map[string]string{
			"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin", "Origin": w.front, "Referer": w.front + "/visits/new?day=2",
		}, page: "form.title"},
		{name: "an old browser's", headers: map[string]string{"Origin": w.front}, page: "form.title"},
		{name: "another site's", headers: map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site"}, page: "odd.title"},
		{name: "a script's", headers: map[string]string{"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}},
		{name: "a program's", headers: map[string]string{"Accept": "application/json"}},
		{name: "not a form's method", headers: map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}, method: "PUT"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			late := b.copy()
			for k, v := range tc.headers {
				late.headers.Set(k, v)
			}
			method := tc.method
			if method == "" {
				method = "POST"
			}
			p := late.once().do(method, "/visits/new", values).is(http.StatusUnauthorized)
			if p.header.Get("WWW-Authenticate") != "Portalgate" || strings.Contains(p.body, "half an hour") {
				t.Errorf("headers %v\n%s", p.header, p.body)
			}
			if tc.page == "" {
				if got := p.header.Get("Content-Type"); got != "application/problem+json" {
					t.Errorf("a program is answered %s", got)
				}
				return
			}
			p.says(tc.page)
			if tc.page != "form.title" {
				return
			}
			if !strings.Contains(p.body, `target="_blank"`) {
				t.Error("the sign-in opens over what was typed")
			}
			if tc.headers["Referer"] != "" && !strings.Contains(p.body, "return_to=%2Fvisits%2Fnew%3Fday%3D2") {
				t.Errorf("the new window does not lead to the form's page:\n%s", p.body)
			}
		})
	}
	if n := len(w.upstream()); n != 1 {
		t.Errorf("%d requests reached the portal, want the one of the sign-in", n)
	}
}

// What a page asks for by itself keeps nobody signed in: neither the paths
// that the operator names, nor streams, which reconnect for ever.
func TestW11_Passive(t *testing.T) {
	w := newWorld(t, wide, func(c *Config, _ *HandlerOptions) { c.Passive = []string{"/poll/*", "/ping"} })
	b, bob := w.signIn("ada@example.com"), w.signIn("bob@example.com")
	stream := b.copy()
	stream.headers.Set("Accept", "text/event-stream")
	for range 5 {
		w.clock.advance(5 * time.Minute)
		b.get("/poll/news").is(200)
		b.get("/ping").is(200)
		stream.get("/events").is(200)
	}
	bob.active() // what was to be noted before has been noted by now
	if _, idle, _ := b.ends(); idle.After(w.clock.now().Add(5 * time.Minute)) {
		t.Errorf("what a page does by itself extended the session to %v", idle)
	}
	b.active()
	if _, idle, _ := b.ends(); idle != w.clock.now().Add(30*time.Minute).Truncate(time.Second).UTC() {
		t.Errorf("a page visit extended the session to %v", idle)
	}
	if _, err := w.rt.Handler(w.conf, HandlerOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"poll", "/*", "/a*", "/a/../b"} {
		c := *w.conf
		c.Passive = []string{bad}
		if _, err := w.rt.Handler(&c, HandlerOptions{}); err == nil {
			t.Errorf("%q is taken for a passive path", bad)
		}
	}
}

// A download is under way when its session ends: by a press elsewhere, by
// time, by the list of clients. Its own connection is cut, nobody else's is.
func TestH10_UnderWay(t *testing.T) {
	for name, end := range map[string]func(w *world, b *browser){
		"signed out": func(w *world, b *browser) {
			c := b.copy()
			c.send(c.get("/sign-in/sign-out").form("/sign-in/sign-out"))
		},
		"idle":     func(w *world, _ *browser) { w.clock.advance(30 * time.Minute) },
		"too long": func(w *world, _ *browser) { w.clock.advance(12 * time.Hour) },
		"access off": func(w *world, _ *browser) {
			w.write(w.csv, strings.Replace(sampleClients, "Ada Lovelace,yes", "Ada Lovelace,no", 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, wide, public("/free/*"))
			began, over := make(chan string, 3), make(chan string, 3)
			w.reply = func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/" {
					io.WriteString(rw, "portal / for "+r.Header.Get("Remote-User"))
					return
				}
				io.WriteString(rw, "the first bytes")
				http.NewResponseController(rw).Flush()
				began <- r.URL.Path
				<-r.Context().Done()
				over <- r.URL.Path
			}
			b, other := w.signIn("ada@example.com"), w.signIn("bob@example.com")
			get := func(b *browser, path string) {
				req, err := http.NewRequestWithContext(t.Context(), "GET", w.front+path, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if res, err := b.c.Do(req); err == nil { // or the test is over
					io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
			}
			go get(b, "/ada")
			<-began
			go get(w.browser(), "/free/for-all")
			<-began
			go get(other, "/bob")
			<-began
			end(w, b)
			ended := map[string]bool{<-over: true}
			if name == "idle" || name == "too long" {
				ended[<-over] = true // Bob's as well
			}
			if !ended["/ada"] || ended["/free/for-all"] || ended["/bob"] != (len(ended) == 2) {
				t.Errorf("what ended: %v", ended)
			}
		})
	}
}

// After a sign-out the browser is told to throw away what it kept; also where
// the session's time was up.
func TestW05_ClearSiteData(t *testing.T) {
	w := newWorld(t)
	b := w.signIn("ada@example.com")
	p := b.once().send(b.get("/sign-in/sign-out").form("/sign-in/sign-out"))
	if got := p.is(303).header.Get("Clear-Site-Data"); got != `"cache", "storage"` {
		t.Errorf("after a sign-out: Clear-Site-Data %q", got)
	}
	b = w.signInAgain("ada@example.com")
	w.clock.advance(time.Hour)
	if got := b.get("/sign-in").says("ended.title").header.Get("Clear-Site-Data"); got != `"cache"` {
		t.Errorf("after the idle time: Clear-Site-Data %q", got)
	}
	// Another site must not be able to make a browser forget anything.
	in := w.signInAgain("ada@example.com")
	evil := in.copy()
	evil.headers.Set("Sec-Fetch-Site", "cross-site")
	if p := evil.once().do("POST", "/sign-in/sign-out", url.Values{}); p.header.Get("Clear-Site-Data") != "" {
		t.Error("another site's form clears what the browser kept")
	}
}

// In the steady state a signed-in request reads nothing from the store and
// signs nothing: one signature per session and 20 s (DESIGN section 8).
func TestSteadyState(t *testing.T) {
	w := newWorld(t, wide)
	b := w.signIn("ada@example.com")
	ring := w.rt.eng.Load().ring
	b.get("/").is(200)
	reads, writes, signed := w.db.gets.Load(), w.writes(), ring.Signed()
	for range 40 { // 40 s
		for range 5 {
			b.get("/files").is(200)
		}
		w.clock.advance(time.Second)
	}
	if got := w.db.gets.Load() - reads; got != 0 {
		t.Errorf("200 requests read the store %d times", got)
	}
	if got := ring.Signed() - signed; got > 2 {
		t.Errorf("%d signatures in 40 s, want 2", got)
	}
	if got := w.writes() - writes; got != 0 {
		t.Errorf("%d writes within a minute", got)
	}
	w.clock.advance(time.Minute)
	for range 20 {
		b.get("/files").is(200)
	}
	w.until("activity is written down", func() bool { return w.writes() > writes })
	b.get("/files").is(200)
	if got := w.writes() - writes; got != 1 {
		t.Errorf("%d writes after a minute of activity, want 1", got)
	}
}

// At most 10 allocations for a signed-in request; BenchmarkSignedIn says how
// long it takes.
func TestSignedInAllocations(t *testing.T) {
	w := newWorld(t, wide)
	proto := w.signedInRequest(w.signIn("ada@example.com"))
	next := func(http.ResponseWriter, *http.Request) error { return nil }
	r := proto.Clone(proto.Context())
	rec := httptest.NewRecorder()
	n := testing.AllocsPerRun(200, func() {
		clear(r.Header)
		for k, v := range proto.Header {
			r.Header[k] = v
		}
		if err := w.h.ServeHTTP(rec, r, Front{}, next); err != nil {
			t.Fatal(err)
		}
	})
	if n > 10 {
		t.Errorf("%v allocations, want 10 at most", n)
	}
}
