// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/session"
)

// active asks for a page and waits until the activity was written down.
func (b *browser) active() *page {
	b.w.t.Helper()
	p := b.once().get("/files")
	if p.status != 200 {
		return p
	}
	// The note is made in the background; what reads it goes by the record.
	tag, secret, _ := session.ParseToken(b.held()["portalgate-main"])
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		r, err := b.w.rt.eng.Load().records.Get(b.w.t.Context(), tag)
		if err != nil {
			b.w.t.Fatal(err)
		}
		if s, ok := r.Session(access.HashOf(secret)); ok && s.Used+60 > b.w.clock.now().Unix() {
			return p
		}
		select {
		case <-deadline:
			b.w.t.Fatal("activity is not written down")
		case <-tick.C:
		}
	}
}

// ends returns what GET /sign-in/session says.
func (b *browser) ends() (in bool, idle, absolute time.Time) {
	b.w.t.Helper()
	var doc struct {
		In       bool      `json:"signed_in"`
		Idle     time.Time `json:"idle_expires_at"`
		Absolute time.Time `json:"expires_at"`
	}
	if err := json.Unmarshal([]byte(b.get("/sign-in/session").is(200).body), &doc); err != nil {
		b.w.t.Fatal(err)
	}
	return doc.In, doc.Idle, doc.Absolute
}

// TestW11_Idle: a session ends 30 minutes after the last request of its user,
// to the second. What only looks (the session's own state, our pages) extends
// nothing; one press does.
func TestW11_Idle(t *testing.T) {
	w := newWorld(t)
	b := w.signIn("ada@example.com")
	for range 5 {
		w.clock.advance(29 * time.Minute)
		b.active().is(200)
	}
	start := w.clock.now()
	for range 29 { // a page that asks every minute how long there is
		w.clock.advance(time.Minute)
		in, idle, _ := b.ends()
		if !in || !idle.Equal(start.Add(30*time.Minute).Truncate(time.Second)) {
			t.Fatalf("the state was asked for and says %v, until %v", in, idle)
		}
		b.get("/sign-in").says("here.title")
		b.get("/sign-in/sessions").says("where.title")
	}
	w.clock.advance(time.Minute - time.Second)
	p := b.do("POST", "/sign-in/session", nil).is(200)
	if !strings.Contains(p.body, `"signed_in":true`) {
		t.Fatalf("one press: %s", p.body)
	}
	w.clock.advance(29*time.Minute + 59*time.Second)
	if in, _, _ := b.ends(); !in {
		t.Error("one press did not extend the session")
	}
	w.clock.advance(time.Second)
	if in, _, _ := b.ends(); in {
		t.Error("the session outlived its idle time")
	}
	b.once().get("/files").is(303)
	b.do("POST", "/sign-in/session", nil)
	if in, _, _ := b.ends(); in {
		t.Error("a press brought the session back")
	}
}

// TestW11_Absolute: however busy, a session ends after 12 hours.
func TestW11_Absolute(t *testing.T) {
	w := newWorld(t)
	b := w.signIn("ada@example.com")
	_, _, absolute := b.ends()
	if want := w.clock.now().Add(12 * time.Hour).Truncate(time.Second); !absolute.Equal(want) {
		t.Errorf("it ends at %v at the latest, want %v", absolute, want)
	}
	for range 35 {
		w.clock.advance(20 * time.Minute)
		b.active().is(200)
		b.do("POST", "/sign-in/session", nil)
		if _, idle, abs := b.ends(); !abs.Equal(absolute) || idle.After(absolute) {
			t.Fatalf("activity moved the end to %v, %v", idle, abs)
		}
	}
	w.clock.advance(20*time.Minute - time.Second)
	b.once().get("/files").is(200)
	w.clock.advance(time.Second)
	b.once().get("/files").is(303)
	b.get("/sign-in").says("ended.max", "wait", "12 hours")
}

// TestW11_ClockJumps: the server's clock is set an hour on or back. On ends what
// is idle; back neither makes a session live longer than its absolute time nor
// ends one, nor brings back one that ended.
func TestW11_ClockJumps(t *testing.T) {
	w := newWorld(t)
	b := w.signIn("ada@example.com")
	_, _, absolute := b.ends()
	w.clock.advance(-time.Hour)
	b.once().get("/files").is(200)
	if _, _, abs := b.ends(); abs.After(absolute) {
		t.Errorf("a clock set back moved the end on to %v", abs)
	}
	w.clock.advance(time.Hour)
	b.once().get("/files").is(200)
	p := b.get("/sign-in/sign-out")
	b.send(p.form("/sign-in/sign-out"))
	w.clock.advance(-time.Hour)
	b.once().get("/files").is(303)

	w.clock.advance(time.Hour)
	c := w.signIn("bob@example.com")
	w.clock.advance(time.Hour)
	c.once().get("/files").is(303)
}

// TestW11_ParallelTabs: twenty tabs at once are one user; they write the
// activity down at most once a minute, and none is signed out by another.
func TestW11_ParallelTabs(t *testing.T) {
	w := newWorld(t)
	b := w.signIn("ada@example.com")
	w.told("ada@example.com") // what became of that mail is a write as well
	w.clock.advance(10 * time.Minute)
	before := w.db.updates.Load()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if p := b.once().get("/files"); p.status != 200 {
				t.Errorf("a tab was answered %d", p.status)
			}
		})
	}
	wg.Wait()
	b.active().is(200)
	for range 5 {
		b.once().get("/files").is(200)
	}
	if n := w.db.updates.Load() - before; n != 1 {
		t.Errorf("%d writes for 26 requests within a minute, want 1", n)
	}
}
