// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/mail/outbox"
)

// relisted makes a list the one on file, and waits until every change is made to
// the records.
func (w *world) relisted(list string) {
	w.t.Helper()
	rewrite(w, list)
	w.until("the change is made", func() bool {
		w.rt.mu.Lock()
		defer w.rt.mu.Unlock()
		return len(w.rt.changes) == 0
	})
}

// TestWithdrawnIsTold: whose access staff withdraw is told once, and nobody else
// is told anything.
func TestWithdrawnIsTold(t *testing.T) {
	const ada = "ada@example.com"
	const row = "c-ada,ada@example.com,Ada Lovelace,yes,yes\n"
	if !strings.Contains(sampleClients, row) {
		t.Fatal("Ada is not on file like this")
	}
	list := func(instead string) string { return strings.Replace(sampleClients, row, instead, 1) }
	for name, tc := range map[string]struct {
		never     bool // Ada has not been here before
		complains bool
		list      string
		hello     string // how she is greeted; empty if she is not told
		moved     bool   // she is told that too
	}{
		"access is off":           {list: list("c-ada,ada@example.com,Ada Lovelace,no,yes\n"), hello: "Hello Ada,"},
		"off file":                {list: list(""), hello: "Hello,"},
		"moved meanwhile":         {list: list("c-ada,lovelace@example.com,Ada Lovelace,no,yes\n"), hello: "Hello,", moved: true},
		"wants no mail any more":  {list: list("c-ada,ada@example.com,Ada Lovelace,no,no\n")},
		"was never here":          {never: true, list: list("")},
		"called us spam":          {complains: true, list: list("")},
		"her address is somebody": {list: list("c-new,ada@example.com,New Body,yes,yes\n")},
		"only the name":           {list: list("c-ada,ada@example.com,Ada King,yes,yes\n")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if !tc.never {
				w.signIn(ada)
			}
			before := w.told(ada)
			if tc.complains {
				records := w.rt.eng.Load().records
				if err := records.Update(t.Context(), records.Tag("c-ada"), func(now time.Time, r *access.Record) error {
					r.Complain(now, r.Address)
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			}
			w.relisted(tc.list)
			w.clock.advance(movedWait)
			want := before
			if tc.hello != "" {
				want++
			}
			if tc.moved {
				want++
			}
			if n := w.told(ada); n != want {
				t.Fatalf("%d notices, want %d", n-before, want-before)
			}
			if n := w.told("lovelace@example.com"); n != 0 {
				t.Errorf("%d notices to an address that was never hers to sign in with", n)
			}
			if tc.hello == "" {
				return
			}
			off := w.conf.UI.Text("notice.off.subject", nil)
			m := w.mails(ada, 1, func(m outbox.Entry) bool { return m.Subject == off })[0]
			if !strings.HasPrefix(m.Text, tc.hello) ||
				!strings.Contains(m.Text, "closed your portal access on 22 November.") {
				t.Errorf("she is told %q:\n%s", m.Subject, m.Text)
			}
		})
	}
}

// Access that is given back before the notice leaves was a slip of staff: nobody
// is frightened by it. Withdrawn later all the same, the client is told.
func TestWithdrawnAndGivenBack(t *testing.T) {
	t.Parallel()
	const ada = "ada@example.com"
	off := strings.Replace(sampleClients, "Ada Lovelace,yes,yes", "Ada Lovelace,no,yes", 1)
	s := new(scripted)
	w := newWorld(t, s.use)
	w.signIn(ada)
	before := w.told(ada)
	w.relisted(off)
	w.relisted(sampleClients)
	w.clock.advance(movedWait)
	w.clock.advance(noticeLate)
	if n := w.told(ada); n != before {
		t.Fatalf("%d notices of a slip", n-before)
	}
	for told := 1; told <= 2; told++ { // each time is a mail of its own
		w.signInAgain(ada)
		before := w.told(ada)
		w.relisted(off)
		w.clock.advance(movedWait)
		if n := w.told(ada); n != before+1 {
			t.Fatalf("withdrawn for good: %d notices, want 1", n-before)
		}
		w.relisted(sampleClients)
		w.clock.advance(time.Minute)
	}
	ids := map[string]bool{}
	for _, m := range s.tried() {
		if m.Subject == w.conf.UI.Text("notice.off.subject", nil) {
			ids[m.ID] = true
		}
	}
	if len(ids) != 2 {
		t.Errorf("%d message ids for two mails: a mail program shows one of them", len(ids))
	}
}

// Several gates read one list: the client is told once.
func TestWithdrawnIsToldOnce(t *testing.T) {
	t.Parallel()
	const ada = "ada@example.com"
	w := newWorld(t)
	w.signIn(ada)
	before := w.told(ada)
	was, err := w.conf.Clients.ByID(t.Context(), "c-ada")
	if err != nil {
		t.Fatal(err)
	}
	w.relisted(strings.Replace(sampleClients, "Ada Lovelace,yes,yes", "Ada Lovelace,no,yes", 1))
	w.clock.advance(time.Second)
	if err := w.rt.announceWithdrawn(t.Context(), w.rt.eng.Load(), was); err != nil { // another gate
		t.Fatal(err)
	}
	if queued := w.db.notices.Swap(1); queued != 2 { // of which one is there already
		t.Fatalf("%d notices were put into the queue, want one by each gate", queued)
	}
	w.clock.advance(movedWait)
	if n := w.told(ada); n != before+1 {
		t.Errorf("%d notices, want 1", n-before)
	}
}

// TestTakenOffFileIsTold: who is taken off a list that is kept here is told, and of
// that mail nothing is kept; who has called our mail spam is not told, although that
// is forgotten with the client.
func TestTakenOffFileIsTold(t *testing.T) {
	for name, complains := range map[string]bool{"": false, "called us spam": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, list, _, _, _, _ := keeping(t)
			before := w.told(ada.Email)
			e := w.rt.eng.Load()
			want := before + 1
			if complains {
				want = before
				if err := e.records.Update(t.Context(), e.records.Tag(ada.ID), func(now time.Time, r *access.Record) error {
					r.Complain(now, r.Address)
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			}
			c := list.on[ada.ID]
			if err := w.rt.RemoveClient(t.Context(), c.ID, c.Version, "desk"); err != nil {
				t.Fatal(err)
			}
			w.clock.advance(movedWait)
			if n := w.told(ada.Email); n != want {
				t.Fatalf("%d notices, want %d", n-before, want-before)
			}
			w.idle()
			if left, err := e.postbag(t.Context(), e.records.Tag(ada.ID)); err != nil || len(left.Mails) > 0 {
				t.Errorf("kept of a client who is gone: %+v, %v", left, err)
			}
		})
	}
}

// TestWithdrawnAtTheDeskIsTold: so is who stays on the list without access, once,
// and with the change nothing that was made before lets in.
func TestWithdrawnAtTheDeskIsTold(t *testing.T) {
	t.Parallel()
	w, list, _, _, _, _ := keeping(t)
	before := w.told(ada.Email)
	c := list.on[ada.ID]
	c.Access = false
	if _, err := w.rt.ChangeClient(t.Context(), c, "desk"); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(movedWait)
	if n := w.told(ada.Email); n != before+1 {
		t.Fatalf("%d notices, want one", n-before)
	}
	if n := w.live(ada.ID); n != 0 {
		t.Errorf("%d sessions are live", n)
	}
}

// TestMovedMeanwhileOff: whoever talks staff into it, or has their login, takes
// access away, moves the address and gives access back, all within seconds. The old
// mailbox hears of it all the same.
func TestMovedMeanwhileOff(t *testing.T) {
	t.Parallel()
	w, list, _, _, _, _ := keeping(t)
	before := w.told(ada.Email)
	for _, change := range []func(*directory.Client){
		func(c *directory.Client) { c.Access = false },
		func(c *directory.Client) { c.Email = "eve@example.net" },
		func(c *directory.Client) { c.Access = true },
	} {
		c := list.on[ada.ID]
		change(&c)
		if _, err := w.rt.ChangeClient(t.Context(), c, "desk"); err != nil {
			t.Fatal(err)
		}
	}
	w.until("the mailbox that was hers hears of it", func() bool {
		w.clock.advance(movedWait)
		w.wake()
		n := 0
		for _, m := range w.rt.Outbox().Messages() {
			if m.To == ada.Email && link(m) == "" {
				n++
			}
		}
		return n > before
	})
}

// TestTakenAwayIsTold: whose linked account staff take away is told, once.
func TestTakenAwayIsTold(t *testing.T) {
	t.Parallel()
	const ada = "ada@example.com"
	w := newWorld(t)
	w.signIn(ada)
	before := w.told(ada)
	records := w.rt.eng.Load().records
	if err := records.Update(t.Context(), records.Tag("c-ada"), func(now time.Time, r *access.Record) error {
		r.Link(now, access.Subject{Hash: "account", Method: "google"}, access.Stranger{})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is none
		if err := w.rt.Unlink(t.Context(), "c-ada", "desk"); err != nil {
			t.Fatal(err)
		}
	}
	w.idle()
	if n := w.told(ada); n != before+1 {
		t.Fatalf("%d notices, want 1", n-before)
	}
}
