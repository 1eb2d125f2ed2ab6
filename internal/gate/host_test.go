// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"strings"
	"testing"
)

// TestE13_HostPoisoning: somebody else asks for a client's link in a request
// that names the attacker's host wherever a server might look for its own name.
// The mail's links have the configured origin and no other.
func TestE13_HostPoisoning(t *testing.T) {
	w := newWorld(t, wide)
	mails := 0
	for name, value := range map[string]string{
		"X-Forwarded-Host": "evil.example", "X-Host": "evil.example", "X-Forwarded-Server": "evil.example",
		"Forwarded": "host=evil.example;proto=https", "X-Original-Url": "http://evil.example/sign-in", "X-Rewrite-Url": "//evil.example",
		"X-Forwarded-Proto": "https", "X-Forwarded-Port": "1", "Referer": "http://evil.example/", "X-Forwarded-Prefix": "//evil.example",
	} {
		b := w.browser()
		b.headers.Set(name, value)
		p := b.ask("ada@example.com").is(200)
		mails++
		m := w.letters("ada@example.com", mails)[0]
		for _, part := range []string{m.Text, m.HTML, p.body, p.url.String()} {
			if strings.Contains(part, "evil.example") {
				t.Errorf("%s: the attacker's host went into a mail or a page", name)
			}
		}
		if !strings.HasPrefix(link(m), w.front+"/sign-in/link?t=") || !strings.HasPrefix(stopOf(m), w.front+"/sign-in/stop?t=") {
			t.Errorf("%s: the mail's links do not begin with the public URL", name)
		}
		w.clock.advance(mailMinute.Per * 15)
	}
}

// TestE13_OtherHosts: on any host but its own the gate serves nothing: a visit
// goes to the public URL, a form is refused, and nothing is mailed or counted.
func TestE13_OtherHosts(t *testing.T) {
	w := newWorld(t)
	host := strings.TrimPrefix(w.front, "http://")
	name, port, _ := strings.Cut(host, ":")
	form := "email=ada%40example.com"
	for _, tc := range []struct {
		what, target, hosts string
		get, post           int
	}{
		{"its own", "/sign-in/magic-link", "Host: " + host, 200, 403},
		{"another", "/sign-in/magic-link", "Host: evil.example", 308, 421},
		{"a longer one", "/sign-in/magic-link", "Host: " + name + ".evil.example:" + port, 308, 421},
		{"no port", "/sign-in/magic-link", "Host: " + name, 308, 421},
		{"another port", "/sign-in/magic-link", "Host: " + name + ":1", 308, 421},
		{"a dot at its end", "/sign-in/magic-link", "Host: " + name + ".:" + port, 308, 421},
		{"a user", "/sign-in/magic-link", "Host: x@" + host, 400, 400},
		{"none", "/sign-in/magic-link", "Host:", 308, 421},
		{"two", "/sign-in/magic-link", "Host: " + host + "\r\nHost: evil.example", 400, 400},
		{"another in the request line", "http://evil.example/sign-in/magic-link", "Host: " + host, 308, 421},
		{"its own in the request line", "http://" + host + "/sign-in/magic-link", "Host: evil.example", 200, 403},
	} {
		before := w.cost()
		for method, want := range map[string]int{"GET": tc.get, "POST": tc.post} {
			raw := w.requestRaw(fmt.Sprintf("%s %s HTTP/1.1\r\n%s\r\nAccept: text/html\r\nConnection: close\r\n"+
				"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", method, tc.target, tc.hosts, len(form), form))
			if !strings.HasPrefix(raw, fmt.Sprintf("HTTP/1.1 %d ", want)) {
				t.Errorf("%s, %s: %q, want %d", tc.what, method, strings.SplitN(raw, "\r\n", 2)[0], want)
			}
			if want != 308 {
				continue
			}
			if !strings.Contains(raw, "\r\nLocation: "+w.front+"/sign-in/magic-link\r\n") {
				t.Errorf("%s: the visit is not sent to the public URL:\n%s", tc.what, raw)
			}
			if strings.Contains(raw, "Set-Cookie") {
				t.Errorf("%s: a cookie was set on another host", tc.what)
			}
		}
		if did := w.cost().since(before); did.updates+did.puts+did.allows != 0 {
			t.Errorf("%s: it cost %+v", tc.what, did)
		}
	}
}

// TestE13_OpaqueTarget: a request target without a slash must not grow onto the
// name of our host in the Location: "http://portal.example" + ".evil.example".
func TestE13_OpaqueTarget(t *testing.T) {
	w := newWorld(t)
	for _, target := range []string{"http:.evil.example", "http:@evil.example/", "x:y", "*"} {
		raw := w.requestRaw("GET " + target + " HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
		if strings.Contains(raw, "Location: ") && !strings.Contains(raw, "Location: "+w.front+"/\r\n") {
			t.Errorf("GET %s: %s", target, raw)
		}
	}
}

// TestE13_PlainHTTP: a gate with an https origin does nothing over plain http,
// and sends visits over, with no cookie set in the clear.
func TestE13_PlainHTTP(t *testing.T) {
	w := newTLSWorld(t)
	plain := newWorld(t)
	plain.h = w.h // the same gate, reached without TLS
	b := plain.browser().once()
	p := b.get("/files/42?a=b").is(308)
	if got := p.header.Get("Location"); got != w.front+"/files/42?a=b" {
		t.Errorf("a plain visit is sent to %q", got)
	}
	p = b.do("POST", "/sign-in/magic-link", nil).is(421)
	if len(p.header.Values("Set-Cookie")) != 0 || w.db.puts.Load()+w.db.allows.Load() != 0 {
		t.Error("a plain form had an effect")
	}
	w.browser().get("/sign-in").is(200).says("email.title")
}
