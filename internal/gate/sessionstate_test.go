// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/session"
)

// The session as a script of the portal's sees it: asking changes nothing, a
// press extends.
func TestSessionState(t *testing.T) {
	type state struct {
		SignedIn bool      `json:"signed_in"`
		Method   string    `json:"method"`
		Idle     time.Time `json:"idle_expires_at"`
		End      time.Time `json:"expires_at"`
	}
	w := newWorld(t)
	read := func(p *page) (s state) {
		t.Helper()
		if err := json.Unmarshal([]byte(p.is(200).body), &s); err != nil || p.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%v: %s, %v", err, p.body, p.header)
		}
		return s
	}
	if p := w.browser().get("/sign-in/session"); read(p).SignedIn || strings.TrimSpace(p.body) != `{"signed_in":false}` {
		t.Errorf("nobody is %s", p.body)
	}
	b := w.signIn("ada@example.com")
	start := w.clock.now()
	want := state{true, "magic_link", start.Add(30 * time.Minute).UTC(), start.Add(12 * time.Hour).UTC()}
	for range 3 {
		if got := read(b.get("/sign-in/session")); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
		w.clock.advance(9 * time.Minute)
	}
	before := w.writes()
	evil := b.copy()
	evil.headers.Set("Sec-Fetch-Site", "cross-site")
	evil.do("POST", "/sign-in/session", url.Values{}).is(403)
	if w.writes() != before {
		t.Error("another site extended a session")
	}
	want.Idle = w.clock.now().Add(30 * time.Minute).UTC()
	if got := read(b.do("POST", "/sign-in/session", url.Values{})); got != want {
		t.Errorf("after a press: got %v, want %v", got, want)
	}
	for range 24 {
		w.clock.advance(29 * time.Minute)
		read(b.do("POST", "/sign-in/session", url.Values{}))
	}
	if got := read(b.do("POST", "/sign-in/session", url.Values{})); got.SignedIn && got.Idle.After(want.End) {
		t.Error("a press extends beyond the absolute end")
	}
	w.clock.advance(time.Hour)
	if read(b.do("POST", "/sign-in/session", url.Values{})).SignedIn || w.live("c-ada") != 0 {
		t.Error("a press revived a session")
	}
	w.db.fail.Store(true)
	if p := w.signInFails(); p.header.Get("Retry-After") == "" || !strings.Contains(p.body, "problem:unavailable") {
		t.Errorf("a store that is down answers %d %s", p.status, p.body)
	}
}

// signInFails asks for the state of a session that only the store could tell.
func (w *world) signInFails() *page {
	b := w.browser()
	b.plant("", session.Token(strings.Repeat("b", session.TagSize), make([]byte, session.SecretSize)))
	return b.get("/sign-in/session").is(503)
}

// The cookies' attributes, and that the answer that signs in ends the flow.
func TestSessionCookie(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	p := b.get(link(b.mailed("ada@example.com")))
	set := b.once().send(p.form("/sign-in/link")).is(303).cookies()
	if c := set[""]; c == nil || c.MaxAge != 12*3600 || len(c.Value) > 100 {
		t.Errorf("the session's cookie is %v", c)
	}
	if c := set["-known"]; c == nil || c.MaxAge != 180*24*3600 {
		t.Errorf("the known browser's cookie is %v", c)
	}
	flows := 0
	for name, c := range set {
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("%s has other attributes than it should", name)
		}
		if strings.HasPrefix(name, "-flow-") || strings.HasPrefix(name, "-asked-") {
			if flows++; c.MaxAge >= 0 {
				t.Errorf("%s lives on", name)
			}
		}
	}
	if flows != 2 {
		t.Errorf("%d of flow and asked were ended", flows)
	}
}
