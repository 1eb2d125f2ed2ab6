// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/store/redis"
)

// Somebody can write to the Redis, and would be another client: they edit a
// record, cut it, make it live longer, or put their own in its place. None opens,
// so nobody can tell whose session it is: not the client's, not theirs, and the
// client keeps the cookie. That an old record of the client's own can be put back
// is said in SECURITY.md.
func TestS07_TamperingByARedisWriter(t *testing.T) {
	srv := redistest.Standalone(t)
	ws, _ := gates(t, 1, redis.Options{URL: srv.URL()}, sampleClients)
	w := ws[0]
	b := w.signIn("ada@example.com")
	w.signIn("bob@example.com")
	w.lastEvent("c-ada") // a record with events that wait has no end
	key := func(client string) string {
		return "portalgate:main:v:access/{" + w.rt.eng.Load().records.Tag(client) + "}"
	}
	own, others := srv.Do("GET", key("c-ada")), srv.Do("GET", key("c-bob"))
	last := len(own) - 1
	for name, record := range map[string]string{
		"edited":           own[:last] + string(own[last]^1),
		"cut":              own[:last],
		"emptied":          "",
		"lives longer":     string(own[0]+1) + own[1:],
		"another client's": others,
	} {
		srv.Do("SET", key("c-ada"), record)
		w.clock.advance(5 * time.Second) // no copy serves any more
		p := b.once().get("/")
		if p.status != http.StatusServiceUnavailable || p.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d, sets %q", name, p.status, p.header.Get("Set-Cookie"))
		}
		if got := srv.Do("GET", key("c-ada")); got != record {
			t.Errorf("%s: the gate has changed it", name)
		}
	}
	srv.Do("SET", key("c-ada"), own)
	w.clock.advance(5 * time.Second)
	if !b.signedIn() {
		t.Error("signed out once the record was as before")
	}
}

// Wrong codes are counted, and the server forgets the last of them: it comes back
// from an old file. Whoever goes on guessing must not get those tries again, not
// for the code they were for: it belongs to a link of the history that was lost,
// and is not even compared any more. What was counted before stays counted.
func TestP06_CountersAfterFailover(t *testing.T) {
	srv := redistest.Standalone(t)
	ws, stores := gates(t, 1, redis.Options{URL: srv.URL()}, sampleClients)
	w := ws[0]
	b := w.browser()
	m := b.mailed("ada@example.com")
	f := b.get("/sign-in/code").form("/sign-in/code")
	wrong := func(n int) {
		for range n {
			b.send(f, "code", otherCode(code(m))).is(422).says("code.wrong")
		}
	}
	wrong(2)
	srv.Do("SAVE")
	wrong(2) // in the window that is lost
	srv.Restart()
	redistest.Await(t, "the server answers", func() bool {
		_, err := stores[0].Get(t.Context(), "main/claim")
		return err == nil
	})
	// By a copy of the record, or by what is in the store now.
	if p := b.send(f, "code", code(m)); !p.has(w.conf.UI.Text("newer.title", nil)) && !p.has(w.conf.UI.Text("code.old", nil)) {
		t.Errorf("a code of a history that was lost is answered %d:\n%s", p.status, p.body)
	}
	if n := w.live("c-ada"); n != 0 {
		t.Fatalf("%d sessions by the code of a history that was lost", n)
	}
	wrong(1)
	if got := w.record("c-ada").WrongCodes; got != 3 {
		t.Errorf("%d wrong codes on record, want the 2 that were kept and 1", got)
	}
	// A new link has a code with tries of its own. A mail a minute:
	srv.Do("EVAL", "for _, k in ipairs(redis.call('KEYS', '*:l:*')) do redis.call('DEL', k) end", "0")
	b.ask("ada@example.com")
	m = w.letters("ada@example.com", 2)[0]
	b.send(b.get("/sign-in/code").form("/sign-in/code"), "code", code(m)).isPortal("/", "c-ada")
}

// The same with a PIN: what the server has forgotten of the guesses at it must not
// be had again. It is void, right or not, and what was counted before stays counted.
// A PIN that is made afterwards lets in.
func TestP06_PINAfterFailover(t *testing.T) {
	srv := redistest.Standalone(t)
	ws, stores := gates(t, 1, redis.Options{URL: srv.URL()}, sampleClients, pins)
	w, networks := ws[0], 0
	try := func(pin string) *page { // each from a network of its own
		networks++
		return w.browser().from(fmt.Sprintf("198.51.100.%d", networks)).pin("ada@example.com", pin)
	}
	pin := w.issue("c-ada")
	for range 2 {
		try(other(pin)).is(422).says("pin.no")
	}
	srv.Do("SAVE")
	for range 2 { // in the window that is lost
		try(other(pin)).is(422).says("pin.no")
	}
	srv.Restart()
	redistest.Await(t, "the server answers", func() bool {
		_, err := stores[0].Get(t.Context(), "main/claim")
		return err == nil
	})
	try(pin).is(422).says("pin.no")
	if n := w.live("c-ada"); n != 0 {
		t.Fatalf("%d sessions by the PIN of a history that was lost", n)
	}
	if got := w.record("c-ada").PINs.Row; got != 2 {
		t.Errorf("%d wrong PINs on record, want the 2 that were kept", got)
	}
	try(w.issue("c-ada")).isPortal("/files/7", "c-ada")
}
