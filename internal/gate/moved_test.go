// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/oidctest"
)

// moves makes a list the one on file, waits until the client's record follows and
// lets the time pass that the notices wait.
func (w *world) moves(list, client, to string) {
	w.t.Helper()
	a, err := address.Parse(to)
	if err != nil {
		w.t.Fatal(err)
	}
	rewrite(w, list)
	records := w.rt.eng.Load().records
	w.until("the record follows", func() bool { return w.record(client).BoundTo(client, records.Address(a)) })
	w.clock.advance(movedWait)
}

// TestO13_BothAreTold: somebody talks staff into changing the address of a client
// whose account is linked, to take the portal over. The old mailbox is told as well
// as the new, and neither learns the other's address.
func TestO13_BothAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, googles(oidctest.New(t)))
	w.browser().google().in("c-ada")
	before := w.told("ada@example.com")
	w.moves(strings.ReplaceAll(sampleClients, "ada@", "lovelace@"), "c-ada", "lovelace@example.com")
	for to, says := range map[string]string{
		"ada@example.com": "You cannot sign in with this address any more.", "lovelace@example.com": "Use it to sign in from now on.",
	} {
		n := 1
		if to == "ada@example.com" {
			n += before
		}
		m := w.notices(to, n)[0]
		if !strings.Contains(m.Text, says) || m.Subject != w.conf.UI.Text("notice.moved.subject", nil) {
			t.Errorf("%s is told %q:\n%s", to, m.Subject, m.Text)
		}
		for _, other := range []string{"ada@", "lovelace@"} {
			if strings.Contains(m.Text, other) {
				t.Errorf("%s is told an address:\n%s", to, m.Text)
			}
		}
		if greeted := strings.Contains(m.Text, "Ada"); greeted != (to == "lovelace@example.com") {
			t.Errorf("%s greets by name: %t", to, greeted)
		}
	}
	if a, b := w.told("ada@example.com"), w.told("lovelace@example.com"); a != before+1 || b != 1 {
		t.Errorf("%d and %d mails, want one each", a-before, b)
	}
}

// Nobody is told of a change who has nothing to do with it.
func TestMovedIsNobodyElses(t *testing.T) {
	const from, to = "ada@example.com", "lovelace@example.com"
	for name, tc := range map[string]struct {
		here     bool // Ada has been here before
		list     string
		complain string
		told     [2]int
	}{
		"has been here":       {here: true, list: strings.ReplaceAll(sampleClients, from, to), told: [2]int{1, 1}},
		"was never here":      {list: strings.ReplaceAll(sampleClients, from, to)},
		"wants no mail":       {here: true, list: strings.ReplaceAll(sampleClients, from+",Ada Lovelace,yes,yes", to+",Ada Lovelace,yes,no")},
		"somebody else's now": {here: true, list: strings.ReplaceAll(sampleClients, from, to) + "c-new," + from + ",New Body,yes,yes\n", told: [2]int{0, 1}},
		"called us spam":      {here: true, list: strings.ReplaceAll(sampleClients, from, to), complain: from, told: [2]int{0, 1}},
		"only the name":       {here: true, list: strings.ReplaceAll(sampleClients, "Ada Lovelace", "Ada King")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if tc.here {
				w.signIn(from)
			}
			before := w.told(from)
			records := w.rt.eng.Load().records
			if tc.complain != "" {
				err := records.Update(t.Context(), records.Tag("c-ada"), func(now time.Time, r *access.Record) error {
					r.Complain(now, r.Address)
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			rewrite(w, tc.list)
			w.until("the change is made", func() bool {
				w.rt.mu.Lock()
				defer w.rt.mu.Unlock()
				return len(w.rt.changes) == 0
			})
			w.clock.advance(movedWait)
			if got := [2]int{w.told(from) - before, w.told(to)}; got != tc.told {
				t.Errorf("%d and %d mails to the old and the new address, want %v", got[0], got[1], tc.told)
			}
		})
	}
}

// TestMovedIsToldWhateverComesNext: somebody at the desk, or at a session of theirs,
// moves a client's address to their own and, before the notice leaves, does what
// would have nobody hear of it. The old mailbox hears of it, and of who wants no mail
// the audit log says that nobody did.
func TestMovedIsToldWhateverComesNext(t *testing.T) {
	t.Parallel()
	type step func(*testing.T, *world)
	edit := func(f func(*directory.Client)) step {
		return func(t *testing.T, w *world) {
			c, err := w.conf.Clients.ByID(t.Context(), "c-ada")
			if err != nil {
				t.Fatal(err)
			}
			f(&c)
			if _, err := w.rt.ChangeClient(t.Context(), c, "desk"); err != nil {
				t.Fatal(err)
			}
		}
	}
	moves := edit(func(c *directory.Client) { c.Email = "eve@example.net" })
	off := edit(func(c *directory.Client) { c.Access = false })
	on := edit(func(c *directory.Client) { c.Access = true })
	silent := edit(func(c *directory.Client) { c.EmailOK = false })
	dummy := func(t *testing.T, w *world) {
		if _, err := w.rt.AddClient(t.Context(), directory.Client{Email: "ada@example.com", Name: "Made Up", Access: true}, "desk"); err != nil {
			t.Fatal(err)
		}
	}
	removes := func(t *testing.T, w *world) {
		if err := w.rt.RemoveClient(t.Context(), "c-ada", w.onFile("eve@example.net").Version, "desk"); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		steps    []step
		withheld bool
	}{
		"given to somebody made up": {steps: []step{moves, dummy}},
		"access off":                {steps: []step{moves, off}},
		"access off and on":         {steps: []step{off, moves, dummy, on}},
		"access off meanwhile":      {steps: []step{off, moves, dummy}},
		"off the list, given away":  {steps: []step{moves, removes, dummy}},
		"consent withdrawn with it": {withheld: true, steps: []step{edit(func(c *directory.Client) { c.Email, c.EmailOK = "eve@example.net", false })}},
		"consent withdrawn after":   {withheld: true, steps: []step{moves, silent, dummy}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, kept)
			w.importing(sampleClients)
			w.signIn("ada@example.com")
			for _, do := range tc.steps {
				do(t, w)
			}
			w.clock.advance(noticeLate)
			w.told("ada@example.com")
			moved := 0
			for _, m := range w.rt.Outbox().Messages() {
				if m.To == "ada@example.com" && strings.Contains(m.Text, "You cannot sign in with this address any more.") {
					moved++
				}
			}
			if want := map[bool]int{false: 1}[tc.withheld]; moved != want {
				t.Errorf("%d notices of the move, want %d", moved, want)
			}
			if n := of(w.events(), "c-ada")["notice_withheld"]; (n > 0) != tc.withheld {
				t.Errorf("%d events that nobody was told", n)
			}
		})
	}
}

// Several gates read one list. Whichever sees a change first, each address is told
// once.
func TestMovedIsToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signIn("ada@example.com")
	before := w.told("ada@example.com")
	was := w.onFile("ada@example.com")
	is := was
	is.Email = "lovelace@example.com"
	w.moves(strings.ReplaceAll(sampleClients, "ada@", "lovelace@"), "c-ada", "lovelace@example.com")
	w.clock.advance(-movedWait + time.Second)
	if err := w.rt.announceMoved(t.Context(), w.rt.eng.Load(), was, is); err != nil { // another gate
		t.Fatal(err)
	}
	if queued := w.db.notices.Swap(2); queued != 4 { // of which two are there already
		t.Fatalf("%d notices were put into the queue, want two by each gate", queued)
	}
	w.clock.advance(movedWait)
	if a, b := w.told("ada@example.com"), w.told("lovelace@example.com"); a != before+1 || b != 1 {
		t.Errorf("%d and %d mails, want one each", a-before, b)
	}
}
