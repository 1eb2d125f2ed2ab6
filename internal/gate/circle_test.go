// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// behind starts a gate behind a proxy that ends TLS, and tells it of a request
// what proxy leaves. The browser's public URL is the proxy's.
func behind(t *testing.T, proxy func(*http.Request, *Front)) (w *world, front string, told *int) {
	told = new(int)
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		f := Front{}
		r.TLS = nil
		proxy(r, &f)
		err := w.h.ServeHTTP(rw, r.WithContext(r.Context()), f, func(rw http.ResponseWriter, r *http.Request) error {
			if strings.Contains(r.Header.Get("Cookie"), "portalgate") {
				t.Error("the upstream got a cookie of ours")
			}
			rw.Write([]byte("portal"))
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	public, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	w = newWorld(t, func(c *Config, o *HandlerOptions) {
		c.PublicURL, o.Public = public, []string{"/open/*"}
		c.Circling = func(*http.Request) { *told++ }
	})
	return w, server.URL, told
}

// TestCircle: S1, "ends in a page that says what to do, not in a loop". A
// browser follows 20 redirects and then shows a page of its own that helps
// nobody.
func TestCircle(t *testing.T) {
	for name, proxy := range map[string]func(*http.Request, *Front){
		"TLS ended, not believed":    func(r *http.Request, _ *Front) { r.Header.Set("X-Forwarded-Proto", "https") },
		"TLS ended, not said":        func(*http.Request, *Front) {},
		"another Host":               func(r *http.Request, f *Front) { r.Host, f.HTTPS = "backend:8080", true },
		"another Host and TLS ended": func(r *http.Request, _ *Front) { r.Host = "backend:8080"; r.Header.Set("X-Forwarded-Proto", "https") },
	} {
		t.Run(name, func(t *testing.T) {
			mended := false
			w, front, told := behind(t, func(r *http.Request, f *Front) {
				if mended {
					f.HTTPS = true
					return
				}
				proxy(r, f)
			})
			b := w.browser()
			for range 2 {
				p := b.get(front + "/files/42?a=b").is(503).says("down.title").says("down.next")
				if p.header.Get("Retry-After") == "" || !strings.Contains(p.header.Get("Cache-Control"), "no-store") {
					t.Errorf("the page may be kept: %v", p.header)
				}
			}
			if *told != 1 {
				t.Errorf("the operator was told %d times within the hour, want once", *told)
			}
			w.clock.advance(time.Hour)
			b.get(front + "/files/43").is(503)
			if *told != 2 {
				t.Errorf("the operator was told %d times in two hours, want 2", *told)
			}
			b.headers.Set("Accept", "application/json")
			if p := b.get(front + "/api/x").is(503); !strings.HasPrefix(p.header.Get("Content-Type"), "application/problem+json") {
				t.Errorf("a program got %s", p.header.Get("Content-Type"))
			}

			mended = true
			b.headers.Del("Accept")
			b.get(front + "/open/x").is(200)
			b.get(front + "/files/42?a=b").is(200).says("email.title") // where the circle was
			for _, c := range b.c.Jar.Cookies(w.conf.PublicURL) {
				if strings.HasSuffix(c.Name, "-hop") && !strings.HasPrefix(c.Value, "1.") && !strings.HasPrefix(c.Value, "2.") {
					t.Errorf("left is %v", c)
				}
			}
		})
	}
}

// TestNoCircle: what is sent on as it should be never sees the page, however
// often it comes.
func TestNoCircle(t *testing.T) {
	w := newTLSWorld(t)
	plain := newWorld(t)
	plain.h = w.h // the same gate, reached without TLS
	b := plain.browser().once()
	b.c.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, plain.server.Listener.Addr().String())
	}
	const visit = "http://portal.example/files/42" // by name, for browsers take loopback for secure
	for range 10 {
		p := b.get(visit).is(308)
		if p.header.Get("Location") != w.front+"/files/42" {
			t.Errorf("sent to %q", p.header.Get("Location"))
		}
		if got := p.header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control %q: a browser that keeps it goes in a circle by itself, mended or not", got)
		}
		// On plain http a browser neither takes nor sends a Secure cookie.
		for _, c := range p.header.Values("Set-Cookie") {
			if !strings.HasPrefix(c, "__Host-portalgate-main-hop=1.") ||
				!strings.HasSuffix(c, "; Path=/; Max-Age=10; HttpOnly; Secure; SameSite=Lax") {
				t.Errorf("a cookie was set: %s", c)
			}
		}
	}

	// A former host, over TLS: every page of it once and again, and pictures.
	old := w.browser().once()
	get := func(path string) *page {
		req, err := http.NewRequest("GET", w.front+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "old.example"
		req.Header.Set("Accept", "text/html")
		res, err := old.c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return &page{status: res.StatusCode, header: res.Header, url: req.URL, w: w}
	}
	for range 5 {
		for _, path := range []string{"/", "/a.png", "/b.png"} {
			get(path).is(308)
		}
	}

	// What somebody plants in the cookie changes nothing but their own visit.
	for _, value := range []string{"", "9", "9.", "x.y", "-1.", strings.Repeat("9", 400)} {
		b.headers.Set("Cookie", "__Host-portalgate-main-hop="+value)
		b.get(visit).is(308)
	}
	b.headers.Set("Cookie", "__Host-portalgate-main-hop=2.a; __Host-portalgate-main-hop=2.b")
	b.get(visit).is(308)
}
