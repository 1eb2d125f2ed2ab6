// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/store"
)

// issue makes a PIN for a client.
func (w *world) issue(client string) string {
	w.t.Helper()
	p, err := w.rt.IssuePIN(context.Background(), PINOrder{Client: client, By: "desk", VerifiedBy: "called back"})
	if err != nil {
		w.t.Fatal(err)
	}
	return p.PIN
}

// other is a PIN that is not the one given.
func other(pin string) string {
	if pin == "123456" {
		return "654321"
	}
	return "123456"
}

func (b *browser) pin(email, pin string, more ...string) *page {
	b.w.t.Helper()
	p := b.get("/sign-in/pin?return_to=/files/7")
	return b.send(p.form("/sign-in/pin"), append([]string{"email", email, "pin", pin}, more...)...)
}

// guess sends one guess.
func (w *world) guess(ip netip.Addr, email, pin string) (*httptest.ResponseRecorder, time.Duration) {
	w.t.Helper()
	return w.form(ip, "/sign-in/pin", url.Values{"email": {email}, "pin": {pin}, "return_to": {"/"}})
}

// form sends a form from a fresh browser straight at the handler, and returns
// the answer and how long it took.
func (w *world) form(ip netip.Addr, path string, form url.Values) (*httptest.ResponseRecorder, time.Duration) {
	w.t.Helper()
	k := &w.rt.eng.Load().keys
	f := &flow{id: randomID(), Nonce: randomBytes(32), Browser: randomID() + randomID(), Made: w.clock.now().Unix()}
	form.Set("flow", f.id)
	form.Set("nonce", k.formNonce(f))
	r := httptest.NewRequest("POST", w.front+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "text/html")
	r.AddCookie(&http.Cookie{Name: "portalgate-main-flow-" + f.id, Value: sealJSON(k.flow, f, f.id)})
	rec := httptest.NewRecorder()
	start := time.Now()
	if err := w.h.ServeHTTP(rec, r, Front{IP: ip}, nil); err != nil {
		w.t.Errorf("a form to %s: %v", path, err)
	}
	return rec, time.Since(start)
}

func network(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

func TestPIN(t *testing.T) {
	for name, typed := range map[string]func(string) string{
		"as read out":  func(p string) string { return p[:3] + " " + p[3:] },
		"in one piece": func(p string) string { return p },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, pins)
			pin := w.issue("c-ada")
			b := w.browser()
			b.get("/sign-in/pin").is(200).says("pin.title").says("pin.lead", "digits", "6")
			p := b.pin("ada@example.com", typed(pin)).is(200)
			if p.body != "portal /files/7 for c-ada" {
				t.Fatalf("landed on %s: %s", p.url.Path, p.text())
			}
			if got := w.upstream()[0].Header.Get("Portalgate-Assertion"); !strings.Contains(claims(t, got), `"amr":["pin"]`) {
				t.Errorf("the assertion says %s", claims(t, got))
			}
			// It works once, and another browser is told no more than that.
			other := w.browser().from("192.0.2.9")
			other.pin("ada@example.com", pin).is(422).says("pin.no").says("pin.no.help", "life", "24 hours").says("pin.no.reach")

			notices := w.notices("ada@example.com", 2)
			var issued, used bool
			for _, m := range notices {
				issued = issued || m.Subject == "A PIN was made for your Client Portal"
				used = used || m.Subject == "You signed in with a PIN"
				if strings.Contains(m.Text+m.HTML+m.Subject, pin) {
					t.Error("a mail holds the PIN")
				}
			}
			if !issued || !used {
				t.Errorf("notices: issued %t, used %t", issued, used)
			}
			if strings.Contains(w.logs.String(), pin) {
				t.Error("the log holds the PIN")
			}
		})
	}
}

// The notice of a PIN waits a few seconds for the PIN. If the store is so slow
// that it may have given up, there must be no PIN that nobody is told of.
func TestP09_SlowIssue(t *testing.T) {
	w := newWorld(t, pins)
	h := &held{begun: make(chan struct{}, 1), going: make(chan struct{})}
	w.db.held.Store(h)
	done := make(chan error)
	go func() {
		_, err := w.rt.IssuePIN(context.Background(), PINOrder{Client: "c-ada", By: "desk", VerifiedBy: "called back"})
		done <- err
	}()
	<-h.begun
	w.clock.advance(noticeLate)
	close(h.going)
	if err := <-done; !errors.Is(err, store.ErrUnknown) {
		t.Errorf("IssuePIN = %v", err)
	}
	w.db.held.Store(nil)
	if r := w.record("c-ada"); r.PINs != nil {
		t.Error("there is a PIN that the client is not told of")
	}
}

// stripNonces takes out what is another in each flow.
func stripNonces(body string) string {
	p := &page{body: body}
	for _, f := range p.forms() {
		for _, name := range []string{"flow", "nonce"} {
			if v := f.values.Get(name); v != "" {
				body = strings.ReplaceAll(body, v, "")
			}
		}
	}
	return body
}

// TestP09_WhoIssued: a member of staff makes a PIN and signs in as the client.
// The client is told of both, and the log names who made it and how the caller
// was made sure of.
func TestP09_WhoIssued(t *testing.T) {
	w := newWorld(t, pins)
	p, err := w.rt.IssuePIN(context.Background(), PINOrder{Email: "ada@example.com", By: "desk@willow.example", VerifiedBy: "own questions"})
	if err != nil || p.Client.ID != "c-ada" || !p.Expires.Equal(w.clock.now().Add(24*time.Hour).Truncate(time.Second)) {
		t.Fatalf("IssuePIN = %v for %q until %v", err, p.Client.ID, p.Expires)
	}
	for _, want := range []string{`"pin_issued"`, `"by":"desk@willow.example"`, `"verified_by":"own questions"`, `"client":"c-ada"`} {
		if !strings.Contains(w.logs.String(), want) {
			t.Errorf("the audit log lacks %s", want)
		}
	}
	w.browser().pin("ada@example.com", p.PIN).is(200)
	w.told("ada@example.com")
	var told []string
	for _, m := range w.rt.Outbox().Messages() {
		told = append(told, m.Subject)
	}
	for _, want := range []string{"mail.pin.subject", "notice.pinused.subject"} {
		if !slices.Contains(told, w.conf.UI.Text(want, nil)) {
			t.Errorf("the client is told %q, and not %s", told, want)
		}
	}
	for _, o := range []PINOrder{{Client: "c-ada", By: "desk"}, {Client: "c-ada", By: "desk", VerifiedBy: strings.Repeat("x", 201)}} {
		if _, err := w.rt.IssuePIN(context.Background(), o); !errors.Is(err, ErrNotVerified) {
			t.Errorf("a PIN for nobody who was made sure of: %v", err)
		}
	}
	for client, want := range map[string]error{"c-off": ErrNoAccess, "nobody": directory.ErrNotFound} {
		if _, err := w.rt.IssuePIN(context.Background(), PINOrder{Client: client, By: "desk", VerifiedBy: "x"}); !errors.Is(err, want) {
			t.Errorf("a PIN for %s: %v, want %v", client, err, want)
		}
	}
	plain := newWorld(t)
	if _, err := plain.rt.IssuePIN(context.Background(), PINOrder{Client: "c-ada", By: "desk", VerifiedBy: "x"}); !errors.Is(err, ErrNoPIN) {
		t.Errorf("a gate without PINs: %v", err)
	}
}

// TestP10_Exposure: a PIN is told once, and then nobody can have it: not from the
// store, not from the log, not by asking for another, which is another.
func TestP10_Exposure(t *testing.T) {
	w := newWorld(t, pins)
	first := w.issue("c-ada")
	kept := fmt.Sprintf("%+v %s", *w.record("c-ada").PINs.Live, w.record("c-ada").PINs.Live.Check)
	if strings.Contains(kept, first) || strings.Contains(w.logs.String(), first) {
		t.Error("the PIN is written down")
	}
	same := 0
	for range 5 {
		if w.issue("c-ada") == first {
			same++
		}
	}
	if same == 5 {
		t.Error("who asks for another PIN is told the same one")
	}
	for _, m := range w.rt.Outbox().Messages() {
		if strings.Contains(m.Subject+m.Text+m.HTML, first) {
			t.Error("a mail holds the PIN")
		}
	}
}

// A client who does not want mail gets none, and signs in by PIN all the same.
func TestPINWithoutMail(t *testing.T) {
	w := newWorld(t, pins)
	w.browser().pin("mum@example.com", w.issue("c-mum")).is(200)
	w.clock.advance(time.Minute)
	w.idle()
	for _, m := range w.rt.Outbox().Messages() {
		t.Errorf("a mail %q to %s", m.Subject, m.To)
	}
}

// What ends a PIN: its time, another PIN, staff, the press in the mail.
func TestPINEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		do    func(w *world)
		works bool
	}{
		"just in time": {func(w *world) { w.clock.advance(24*time.Hour - time.Second) }, true},
		"too late":     {func(w *world) { w.clock.advance(24 * time.Hour) }, false}, // N06
		"another one":  {func(w *world) { w.issue("c-ada") }, false},
		"staff": {func(w *world) {
			if err := w.rt.VoidPIN(context.Background(), "c-ada", "desk"); err != nil {
				w.t.Fatal(err)
			}
		}, false},
		"the press in the mail": {func(w *world) {
			m := w.notices("ada@example.com", 1)[0]
			b := w.browser().from("192.0.2.77")
			p := b.get(stopOf(m)).is(200).says("stop.pin.title")
			p = b.send(p.form("/sign-in/stop"), "email", "bob@example.com").is(422)
			b.send(p.form("/sign-in/stop"), "email", "ada@example.com").is(200).says("stop.pin.off").says("stop.pin.done")
			b.get(stopOf(m)).is(200).says("stop.pin.off")
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, pins)
			pin := w.issue("c-ada")
			tc.do(w)
			want := map[bool]int{true: 200, false: 422}[tc.works]
			w.browser().pin("ada@example.com", pin).is(want)
		})
	}
}

// The answer that carries the session is lost: the same browser asks again and
// gets the same session. Nobody else does, and what was ended is not made again.
func TestPINAnswerLost(t *testing.T) {
	w := newWorld(t, pins)
	pin := w.issue("c-ada")
	b := w.browser()
	f := b.get("/sign-in/pin").form("/sign-in/pin")
	jar := b.c.Jar
	flow := jar.Cookies(mustURL(t, w.front))
	b.send(f, "email", "ada@example.com", "pin", pin).is(200)
	again := w.browser()
	again.c.Jar.SetCookies(mustURL(t, w.front), flow)
	if p := again.send(f, "email", "ada@example.com", "pin", pin); !strings.HasPrefix(p.body, "portal") {
		t.Fatalf("asking again: %d %s", p.status, p.text())
	}
	if n := len(w.record("c-ada").Live(w.clock.now(), w.conf.Session)); n != 1 {
		t.Errorf("%d sessions, want the one", n)
	}
	p := again.get("/sign-in/sign-out")
	again.send(p.form("/sign-in/sign-out"))
	late := w.browser()
	late.c.Jar.SetCookies(mustURL(t, w.front), flow)
	late.send(f, "email", "ada@example.com", "pin", pin).is(422)
}

// Somebody else is signed in here: they are named by nothing, and asked about
// before the PIN is tried.
func TestPINSwitch(t *testing.T) {
	w := newWorld(t, pins)
	pin := w.issue("c-ada")
	b := w.signIn("bob@example.com")
	p := b.pin("ada@example.com", pin).is(200).says("switch.title").says("switch.lead")
	if strings.Contains(p.body, pin) {
		t.Error("the page holds the PIN")
	}
	if r := w.record("c-ada"); r.PINs.Row != 0 || r.PINs.Live == nil {
		t.Error("the PIN was tried before the question was answered")
	}
	if p := b.send(p.form("/sign-in/pin"), "pin", pin); p.body != "portal /files/7 for c-ada" {
		t.Fatalf("after the answer: %d %s", p.status, p.text())
	}
	if n := len(w.record("c-bob").Live(w.clock.now(), w.conf.Session)); n != 0 {
		t.Error("who was signed in here still is")
	}
}

// Whoever is signed in already and types the same address, in capitals, is nobody
// else who would be signed out.
func TestPINOfTheSameClient(t *testing.T) {
	w := newWorld(t, pins)
	pin := w.issue("c-ada")
	w.signIn("ada@example.com").pin("Ada@Example.com", pin).isPortal("/files/7", "c-ada")
}

// A PIN typed where the mail's code belongs is told apart by its length.
func TestPINInTheCodeField(t *testing.T) {
	w := newWorld(t, pins)
	b := w.browser()
	p := b.ask("ada@example.com")
	b.send(p.form("/sign-in/code"), "code", "123 456").is(422).says("code.pin", "digits", "6")
}

// claims is what an assertion says; that it is signed is tested elsewhere.
func claims(t *testing.T, assertion string) string {
	t.Helper()
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		t.Fatalf("no assertion: %q", assertion)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
