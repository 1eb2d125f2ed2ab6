// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/identity"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/store"
)

// A store whose clock is a minute off, or that drops what it holds, lets nobody
// sign in; whoever is signed in stays so, and it passes when the cause does.
func TestS10_UnfitStore(t *testing.T) {
	refused := errors.New("evicts keys")
	unknown := fmt.Errorf("down: %w", store.ErrUnknown)
	for _, tc := range []struct {
		name   string
		health store.Health
		err    error
		in     bool
		said   string
	}{
		{name: "well", in: true},
		{name: "4 s apart", health: store.Health{Skew: 4 * time.Second}, in: true},
		{name: "6 s apart", health: store.Health{Skew: -6 * time.Second}, in: true, said: "time server"},
		{name: "a minute apart", health: store.Health{Skew: time.Minute}, said: "1m0s apart"},
		{name: "a minute behind", health: store.Health{Skew: -time.Minute}, said: "1m0s apart"},
		{name: "evicting", err: refused, said: "evicts keys"},
		{name: "it cannot be told", err: unknown, in: true},
		{name: "a warning", health: store.Health{Warnings: []string{"keeps no file"}}, in: true, said: "keeps no file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, wide)
			already := w.signIn("bob@example.com")
			b := w.browser()
			p := b.get(link(b.mailed("ada@example.com")))
			w.db.health.Store(&tc.health)
			if tc.err != nil {
				w.db.unfit.Store(&tc.err)
			}
			e, said := w.rt.eng.Load(), map[string]bool{}
			for range 3 {
				w.rt.keepFit(context.Background(), e, w.db, said)
			}
			if got := b.once().send(p.form("/sign-in/link")).status; (got == 303) != tc.in || !tc.in && got != 503 {
				t.Errorf("a sign-in is answered %d", got)
			}
			if !already.signedIn() {
				t.Error("who was signed in is not any more")
			}
			if n := strings.Count(w.logs.String(), tc.said); tc.said != "" && n != 1 && tc.in {
				t.Errorf("it was said %d times", n)
			}
			if !strings.Contains(w.logs.String(), tc.said) {
				t.Error("nobody was told why")
			}
			w.db.health.Store(nil)
			w.db.unfit.Store(nil)
			w.rt.keepFit(context.Background(), e, w.db, said)
			if !tc.in {
				b.send(p.form("/sign-in/link")).isPortal("/", "c-ada")
			}
		})
	}
}

// A gate's clock is half an hour ahead of the store's, by which sessions are
// kept. Nobody is signed out for that, and nobody stays longer.
func TestS10_ClockAhead(t *testing.T) {
	w := newWorld(t, wide)
	b := w.signIn("ada@example.com")
	const off = 31 * time.Minute // the session is idle for 30 at most
	w.clock.advance(off)
	w.db.health.Store(&store.Health{Skew: -off, Common: -off})
	e := w.rt.eng.Load()
	w.rt.keepFit(t.Context(), e, w.db, map[string]bool{})
	if !b.signedIn() {
		t.Error("signed out by the gate's clock")
	}
	// The upstream has never heard of the store: an assertion goes by the gate's.
	all := w.upstream()
	payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(all[len(all)-1].Header.Get(identity.HeaderAssertion), ".")[1])
	if want := fmt.Sprintf(`"iat":%d`, w.clock.now().Unix()); !strings.Contains(string(payload), want) {
		t.Errorf("the assertion says %s, want %s", payload, want)
	}
	w.clock.advance(off)
	if b.signedIn() {
		t.Error("signed in when the session is over by the store's clock as well")
	}
}

// A gate's clock is half a minute behind the store's, by which items of the queue
// are due. What is to be tried again after some seconds must not be due already:
// all tries would be made at once, one after the other.
func TestS10_TryAgainLater(t *testing.T) {
	w := newWorld(t, wide, sender(refusing{}))
	w.db.health.Store(&store.Health{Skew: 30 * time.Second, Common: 30 * time.Second})
	e := w.rt.eng.Load()
	w.rt.keepFit(t.Context(), e, w.db, map[string]bool{})
	now := w.rt.now()
	for _, tc := range []struct {
		name string
		l    letter
	}{
		{"a mail that is not taken", letter{Made: now.Unix(), Address: "ada@example.com", Life: 3600}},
		{"a notice of a session that is not there yet", letter{Made: now.Unix(), Tag: e.records.Tag("c-ada"), Session: "none"}},
	} {
		data, err := json.Marshal(tc.l)
		if err != nil {
			t.Fatal(err)
		}
		w.db.due.Store(0)
		w.rt.work(t.Context(), e, store.Item{ID: itemID(), Data: data, Tries: 1, Expires: now.Add(time.Hour)})
		if due := time.Unix(0, w.db.due.Load()); !due.After(w.rt.now()) {
			t.Errorf("%s: due %v by the store's clock", tc.name, due.Sub(w.rt.now()))
		}
	}
}

// refusing is a mail server that takes nothing.
type refusing struct{}

func (refusing) Send(context.Context, mail.Message) (string, error) { return "", errors.New("away") }

// The store is emptied while gates run, and another with a secret of its own is
// the first to come back to it. What the one writes the other cannot read, so the
// one that finds itself a stranger lets nobody sign in, and says why.
func TestAnothersStore(t *testing.T) {
	w := newWorld(t, wide)
	b := w.browser()
	p := b.get(link(b.mailed("ada@example.com")))
	e := w.rt.eng.Load()
	claim := func(data []byte) {
		if err := w.db.Backend.Update(t.Context(), "main/claim", func(time.Time, store.Value) (store.Value, error) {
			return store.Value{Data: data}, nil
		}); err != nil {
			t.Fatal(err)
		}
		w.rt.keepFit(t.Context(), e, w.db, map[string]bool{})
	}
	claim([]byte("sealed by somebody else"))
	if got := b.once().send(p.form("/sign-in/link")).status; got != 503 {
		t.Errorf("a sign-in is answered %d", got)
	}
	if !strings.Contains(w.logs.String(), "made with another secret") {
		t.Error("nobody was told why")
	}
	claim(nil) // it is claimed again
	b.send(p.form("/sign-in/link")).isPortal("/", "c-ada")
}

// A gate does not start on a store that must not be used, and does on one that
// cannot be asked.
func TestS03_RefusedAtStart(t *testing.T) {
	w := newWorld(t)
	w.rt.Close()
	for _, tc := range []struct {
		err  error
		runs bool
	}{{errors.New("evicts keys"), false}, {fmt.Errorf("down: %w", store.ErrUnknown), true}} {
		rt := NewRuntime(Options{
			Gate: "main", Now: w.clock.now,
			Secret: func(context.Context) ([]byte, error) { return []byte("0123456789abcdef0123456789abcdef"), nil },
			Open: func(context.Context) (store.Backend, error) {
				c := &counted{Backend: w.db.Backend}
				c.unfit.Store(&tc.err)
				return c, nil
			},
		})
		_, err := rt.Use(w.conf)
		if (err == nil) != tc.runs {
			t.Errorf("%v: the gate starts with %v", tc.err, err)
		}
		if e := rt.eng.Load(); e != nil {
			t.Errorf("%v: the store is in use", tc.err)
		}
		rt.Close()
	}
}
