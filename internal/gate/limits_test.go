// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/oidctest"
	"github.com/portalgate/portalgate/internal/ui"
)

// sent counts the links mailed to an address when the queue has been worked off.
func (w *world) sent(email string) (n int) {
	w.t.Helper()
	w.idle()
	for _, m := range w.rt.Outbox().Messages() {
		if m.To == email && link(m) != "" {
			n++
		}
	}
	return n
}

// TestE05_Harvest: a list of addresses is tried from many networks to learn who
// is a client. In "conceal" nothing is learned, however many are tried; in
// "reveal" one browser learns 5 in 15 minutes and one network 30.
func TestE05_Harvest(t *testing.T) {
	w := newWorld(t)
	want := ""
	for i := range 60 {
		typed := fmt.Sprintf("p%02d@example.com", i)
		if i%20 == 7 {
			typed = "ada@example.com"
		}
		c := w.wire(fmt.Sprintf("192.0.2.%d", i))
		p := c.get("/sign-in/magic-link")
		f := p.form("/sign-in/magic-link")
		f.values.Set("email", typed)
		p, raw := c.do("POST", f.action, f.values)
		p.is(303)
		// Addresses of other lengths make other lengths; these two are told apart
		// by nothing else.
		got := regularise(masked(raw, typed))
		if want == "" {
			want = got
		}
		if got != want {
			t.Fatalf("try %d is answered in another way:\n%s\nwant\n%s", i, got, want)
		}
		w.clock.advance(time.Minute)
	}

	w = newWorld(t, reveal)
	learned := 0
	for i := range 20 { // one network, fresh browsers, until nothing is said any more
		b := w.browser().from("192.0.2.1")
		for j := range 4 {
			if b.ask(fmt.Sprintf("p%02d-%d@example.com", i, j)).has("does not have") {
				learned++
			}
		}
	}
	if learned != 30 {
		t.Errorf("a network learned about %d addresses at once, want 30", learned)
	}
	w.browser().from("192.0.2.1").ask("ada@example.com").is(429).says("wait.title")
	w.browser().from("192.0.2.2").ask("ada@example.com").is(200).says("sent.reveal.lead", "typed", "ada@example.com")
}

// regularise drops what only the length of an address makes.
func regularise(raw string) string {
	lines := strings.Split(raw, "\r\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "Set-Cookie: portalgate-main-asked-") {
			lines[i] = l[:strings.Index(l, "=")] + l[strings.Index(l, ";"):]
		}
	}
	return strings.Join(lines, "\n")
}

// TestE06_WrongAddressWait: after 5 wrong addresses a browser has to wait 15
// minutes for all of them back, with a human page and Retry-After. A known
// address typed during the wait is refused with the same bytes, or the wait
// would be a way to go on asking. Other networks are not touched.
func TestE06_WrongAddressWait(t *testing.T) {
	for name, wait := range map[string]time.Duration{"at once": 0, "with 20 s to go": 160 * time.Second} {
		t.Run(name, func(t *testing.T) {
			var all []*transcript
			for _, typed := range subjects {
				w := newWorld(t, reveal)
				c := w.wire("192.0.2.1")
				tr := &transcript{w: w, typed: typed}
				for i := range 5 {
					tr.typed = fmt.Sprintf("p%d@example.com", i)
					tr.ask(c, "wrong").is(422)
				}
				w.clock.advance(wait)
				tr = &transcript{w: w, typed: typed}
				for range 3 {
					tr.ask(c, "during the wait").is(429).says("wait.title").says("wait.calm")
				}
				if n := w.sent("ada@example.com"); n != 0 {
					t.Errorf("%d mails were sent during the wait", n)
				}
				w.browser().from("192.0.2.2").ask("ada@example.com").is(200).says("sent.reveal.lead", "typed", "ada@example.com")
				all = append(all, tr)
			}
			differences(t, all, 429)
		})
	}
}

// TestE06_KnownAddressesAreNoWrongTries: in "reveal", asking for links to an
// address on file uses up none of the tries for wrong ones.
func TestE06_KnownAddressesAreNoWrongTries(t *testing.T) {
	w := newWorld(t, reveal)
	b := w.browser()
	for range 3 {
		b.ask("ada@example.com").is(200)
		b.ask("bob@example.com").is(200)
		w.clock.advance(time.Minute)
	}
	b.ask("zed@example.com").is(422).says("unknown.title")
}

// TestE07_MailBombing: somebody has mail sent to a client from many networks, in
// every spelling that reaches the mailbox. At most one a minute goes out, 5 at
// once and 10 a day, with what GCRA gives back as time passes, counted over all
// spellings; what was refused counts as well. An address with a +tag is another
// address, on file or not.
func TestE07_MailBombing(t *testing.T) {
	w := newWorld(t)
	spellings := []string{"ada@example.com", "ADA@example.com", "aDa@EXAMPLE.com", "Ada@Example.Com", " ada@example.com ", "ada+x@example.com"}
	n := 0
	bomb := func(i int) {
		for j := range 2 {
			p := w.browser().from(fmt.Sprintf("10.%d.%d.1", i, j)).ask(spellings[(i+j)%len(spellings)])
			if p.status != 200 && p.status != 429 {
				t.Fatalf("%d %s", p.status, p.text())
			}
		}
		now := w.sent("ada@example.com")
		if now > n+1 {
			t.Fatalf("%d mails within a minute", now-n)
		}
		n = now
	}
	for i := range 60 {
		bomb(i)
		w.clock.advance(time.Minute)
	}
	if n == 0 || n > 5+4 { // 5 at once, and one for each 12 minutes that have passed
		t.Errorf("%d mails in the first hour, want at most 9", n)
	}
	for i := range 23 {
		bomb(60 + i)
		w.clock.advance(time.Hour)
	}
	if n > 10+9 { // 10 at once, and one for each 2.4 hours
		t.Errorf("%d mails in the first day, want at most 19", n)
	}
	if m := len(w.rt.Outbox().Messages()); m != n {
		t.Errorf("%d mails went elsewhere", m-n)
	}
}

// TestE07_RetryAfter: whoever waits as long as was said gets the next mail.
func TestE07_RetryAfter(t *testing.T) {
	w := newWorld(t)
	i := 0
	ask := func() *page {
		i++
		return w.browser().from(fmt.Sprintf("10.0.%d.1", i)).ask("ada@example.com")
	}
	retry := func(p *page) time.Duration {
		s, err := strconv.Atoi(p.header.Get("Retry-After"))
		if err != nil || s <= 0 {
			t.Fatalf("Retry-After is %q", p.header.Get("Retry-After"))
		}
		return time.Duration(s) * time.Second
	}
	for range 5 {
		ask().is(200)
		p := ask().is(429).says("wait.links.title")
		w.clock.advance(retry(p))
	}
	if n := w.sent("ada@example.com"); n != 5 {
		t.Fatalf("%d mails, want 5: each Retry-After is to be enough", n)
	}
	for range 5 {
		ask().is(200)
		w.clock.advance(retry(ask().is(429)))
	}
	if passed := w.clock.now().Sub(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)); passed < time.Hour {
		t.Errorf("10 mails within %v", passed)
	}
}

// TestS08_WaitPages: whoever has to wait is told so in plain words, and how
// long: the page's time and the header's are one, and after it the next try
// passes.
func TestS08_WaitPages(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for i := range 5 {
		b.ask(fmt.Sprintf("p%d@example.com", i)).is(200)
	}
	p := b.ask("ada@example.com").is(429).says("wait.title").says("wait.calm")
	secs, _ := strconv.Atoi(p.header.Get("Retry-After"))
	if secs < 60 || secs > 15*60 {
		t.Errorf("Retry-After is %d s, want some minutes", secs)
	}
	wait := time.Duration(secs) * time.Second
	p.says("wait.lead", "wait", ui.Wait(wait))
	if !strings.Contains(p.body, `href="/sign-in/help"`) {
		t.Error("a wait page without a way to help")
	}
	w.clock.advance(wait)
	b.ask("ada@example.com").is(200).says("sent.title")
	w.letters("ada@example.com", 1)
}

// TestE03_LimitsDoNotCloseOtherWays: who has asked too often can still type the
// code and open the link that came.
func TestE03_LimitsDoNotCloseOtherWays(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	p := b.ask("ada@example.com").is(200)
	for i := range 8 {
		b.ask(fmt.Sprintf("p%d@example.com", i))
	}
	b.ask("ada@example.com").is(429)
	m := w.letters("ada@example.com", 1)[0]
	_ = p
	q := b.get(link(m)).is(200)
	if got := b.send(q.form("/sign-in/link"), "email", "ada@example.com"); !strings.HasPrefix(got.body, "portal ") {
		t.Errorf("the link does not sign in while its browser waits: %d %s", got.status, got.text())
	}
}

// TestE01_QueueFull: when no more mail can be queued, everybody is told so alike.
func TestE01_QueueFull(t *testing.T) {
	var all []*transcript
	for _, typed := range subjects {
		w := newWorld(t)
		tr := &transcript{w: w, typed: typed}
		w.db.full.Store(true)
		p := tr.ask(w.wire("192.0.2.1"), "queue full").is(503).says("down.title")
		if p.header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
		all = append(all, tr)
	}
	differences(t, all, 503)
}

// TestE03_Networks: an IPv6 customer has a /64 to ask from and is one network; a
// mapped IPv4 address is the IPv4 address; two customers are two.
func TestE03_Networks(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"fe80::1%eth0", "fe80::1%eth1", true},
	} {
		w := newWorld(t, func(c *Config, _ *HandlerOptions) {
			c.Limits.Requests = limit.Rate{Count: 2, Per: 10 * time.Minute}
		})
		for i := range 2 {
			w.browser().from(tc.a).ask(fmt.Sprintf("p%d@example.com", i)).is(200)
		}
		if got := w.browser().from(tc.b).ask("p9@example.com").status == 429; got != tc.same {
			t.Errorf("%s and %s are one network: %v, want %v", tc.a, tc.b, got, tc.same)
		}
	}
}

// Whoever has to wait with one way in is offered the others, and they lead to the
// page that was wanted.
func TestWaitOffersOtherWays(t *testing.T) {
	t.Run("a PIN", func(t *testing.T) {
		w := newWorld(t, pins, googles(oidctest.New(t)))
		b := w.browser()
		for range perGuesser.Count {
			b.pin("ada@example.com", "000000").is(422)
		}
		p := b.pin("ada@example.com", "000000").is(429).says("pin.wait.title").says("pin.wait.other")
		if !strings.Contains(p.body, `href="/sign-in/magic-link?return_to=%2Ffiles%2F7"`) {
			t.Error("no way to a link by email")
		}
		p.says("email.offer").says("all.help")
		b.get(b.comeBack(b.sentTo(b.send(p.form("/sign-in/google"))))).in("c-ada")
	})
	t.Run("a link", func(t *testing.T) {
		w := newWorld(t, pins, googles(oidctest.New(t)))
		b := w.browser()
		b.ask("ada@example.com", "return_to", "/files/7").is(200)
		p := b.ask("ada@example.com", "return_to", "/files/7").is(429).says("wait.links.title").says("wait.now")
		if !strings.Contains(p.body, `href="/sign-in/pin?return_to=%2Ffiles%2F7"`) {
			t.Error("no way to a PIN")
		}
		p.says("pin.offer").says("sent.none")
		b.get(b.comeBack(b.sentTo(b.send(p.form("/sign-in/google"))))).in("c-ada")
	})
}
