// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/store"
)

// events moves what waits and returns the whole log, oldest first.
func (w *world) events() []audit.Event {
	w.t.Helper()
	w.rt.keepEvents(context.Background(), w.rt.eng.Load())
	w.clock.advance(time.Millisecond) // what happens later does not happen in the same instant
	all, next, err := w.rt.Events(context.Background(), audit.Filter{Limit: 500})
	if err != nil || next != "" {
		w.t.Fatalf("Events: %q, %v", next, err)
	}
	slices.Reverse(all)
	return all
}

// of returns how often each thing happened to a client.
func of(all []audit.Event, client string) map[string]int {
	n := make(map[string]int)
	for _, ev := range all {
		if ev.Client == client {
			n[ev.What]++
		}
	}
	return n
}

// TestT05_EventsOfAWholeWalk: what a client and staff do is in the log, on disk
// too, with who and from where; no secret, no address and nothing about nobody.
func TestT05_EventsOfAWholeWalk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	w := newWorld(t, pins, wide, func(c *Config, _ *HandlerOptions) { c.Audit = audit.NewFiles(dir, audit.UsualKeep) })
	secrets := []string{"ada@example.com", "nobody@example.com", "Ada Lovelace"}

	b := w.browser()
	m := b.mailed("ada@example.com")
	secrets = append(secrets, code(m), token(link(m)), token(stopOf(m)))
	p := b.get("/sign-in/code")
	b.send(p.form("/sign-in/code"), "code", otherCode(code(m))).is(422)
	b.send(p.form("/sign-in/code"), "code", code(m)).isPortal("/", "c-ada")
	secrets = append(secrets, b.cookie(""))
	p = b.get("/sign-in/sign-out")
	b.send(p.form("/sign-in/sign-out"))

	w.events() // as every second
	pin := w.issue("c-ada")
	secrets = append(secrets, pin)
	w.browser().pin("ada@example.com", other(pin))
	w.browser().pin("ada@example.com", pin).isPortal("/files/7", "c-ada")
	w.browser().pin("nobody@example.com", pin)

	w.events()
	again := w.browser()
	m = again.mailed("ada@example.com")
	secrets = append(secrets, code(m), token(link(m)), token(stopOf(m)))
	again.send(again.get(stopOf(m)).form("/sign-in/stop")).says("stop.done.title")
	w.browser().ask("nobody@example.com")
	w.idle()
	w.issue("c-ada")
	if err := w.rt.VoidPIN(t.Context(), "c-ada", "desk"); err != nil {
		t.Fatal(err)
	}
	if err := w.rt.Note(t.Context(), audit.Event{What: "client_read", Client: "c-ada", By: "desk"}); err != nil {
		t.Fatal(err)
	}

	all := w.events()
	got := of(all, "c-ada")
	for what, n := range map[string]int{
		"signed_in": 2, "signed_out": 1, "code_wrong": 1, "pin_issued": 2, "pin_wrong": 1, "pin_stopped": 1, "link_stopped": 1,
		"link_made": 2, "link_sent": 2, "client_read": 1,
	} {
		if got[what] != n {
			t.Errorf("%d events %s, want %d", got[what], what, n)
		}
	}
	for _, ev := range all {
		if ev.Client != "c-ada" {
			t.Errorf("%s is about %q", ev.What, ev.Client)
		}
		if ev.What == "pin_issued" && (ev.By != "desk" || ev.Note != "called back") || ev.What == "signed_in" && (ev.From == "" || ev.Method == "") {
			t.Errorf("%+v does not say who or from where", ev)
		}
	}
	var disk []string
	for ev, err := range audit.ReadDir(dir) {
		if err != nil {
			t.Fatal(err)
		}
		disk = append(disk, ev.ID)
		for _, s := range []string{ev.ID, ev.What, ev.By, ev.From, ev.Method, ev.Outcome, ev.Note} {
			for _, secret := range secrets {
				if secret != "" && strings.Contains(s, secret) {
					t.Errorf("event %d, %s, holds a secret or an address", ev.Seq, ev.What)
				}
			}
		}
	}
	if len(disk) != len(all) {
		t.Errorf("%d events on disk, %d in the store", len(disk), len(all))
	}
	if _, err := audit.Verify(audit.ReadDir(dir), all[len(all)-1].Hash); err != nil {
		t.Error(err)
	}
	if r, err := w.rt.VerifyEvents(t.Context(), all[0].Hash); err != nil || r.Last != int64(len(all)) {
		t.Errorf("VerifyEvents = %+v, %v", r, err)
	}
	if r := w.record("c-ada"); len(r.Events) > 0 {
		t.Errorf("%d events still wait", len(r.Events))
	}
}

// TestKilledBeforeMoving: a gate that is killed has moved nothing; the next change
// of the record, by whatever gate, brings its events to the log, once.
func TestKilledBeforeMoving(t *testing.T) {
	w := newWorld(t, wide)
	e := w.rt.eng.Load()
	tag := e.records.Tag("c-ada")
	change := func() error {
		return e.records.Update(t.Context(), tag, func(now time.Time, r *access.Record) error {
			r.Bind(now, "c-ada", e.records.Address(mustAddress(t, "ada@example.com")))
			r.EndAll(now, "")
			return nil
		})
	}
	if err := change(); err != nil {
		t.Fatal(err)
	}
	// What is in the log already, because the gate was killed between appending
	// and taking it out of the record, is appended again.
	before, err := w.db.Backend.Get(t.Context(), "access/"+tag)
	if err != nil {
		t.Fatal(err)
	}
	w.events()
	if err := w.db.Backend.Update(t.Context(), "access/"+tag, func(time.Time, store.Value) (store.Value, error) {
		before.Epoch = ""
		return before, nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.rt.Close(); err != nil {
		t.Fatal(err)
	}
	w.open(wide)
	e = w.rt.eng.Load()
	w.clock.advance(time.Millisecond)
	if err := change(); err != nil {
		t.Fatal(err)
	}
	if n := of(w.events(), "c-ada")["signed_out_everywhere"]; n != 2 {
		t.Errorf("%d events, want 2", n)
	}
}

// TestDeadChain: where the log cannot be written, changes go on while their events
// have room in the record. Then none is made. What staff want to do is not done.
func TestDeadChain(t *testing.T) {
	w := newWorld(t, wide)
	w.db.deaf.Store(true)
	e := w.rt.eng.Load()
	if err := w.rt.Note(t.Context(), audit.Event{What: "client_read", By: "desk"}); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("Note = %v", err)
	}
	done := 0
	var err error
	for range 20 {
		err = e.records.Update(t.Context(), e.records.Tag("c-ada"), func(now time.Time, r *access.Record) error {
			r.Bind(now, "c-ada", e.records.Address(mustAddress(t, "ada@example.com")))
			r.Refused(now, "code_wrong", "magic_link", "wrong") // keeps nobody out
			r.EndAll(now, "")
			return nil
		})
		if err != nil {
			break
		}
		done++
	}
	if done != 8 || !errors.Is(err, store.ErrUnknown) {
		t.Errorf("%d changes were made, then %v; want 8", done, err)
	}
	w.db.deaf.Store(false)
	if n := of(w.events(), "c-ada")["signed_out_everywhere"]; n != 8 {
		t.Errorf("%d events, want 8", n)
	}
}
