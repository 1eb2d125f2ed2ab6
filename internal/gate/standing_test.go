// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/mail"
)

// TestT9_Standing: what staff are told goes by what really happened.
func TestT9_Standing(t *testing.T) {
	t.Parallel()
	s := new(scripted)
	w := newWorld(t, s.use, pins)
	if got := w.rt.Standing(t.Context(), "c-nobody"); got.Unknown || got.Client.ID != "" {
		t.Errorf("nobody: %+v", got)
	}
	got := w.rt.Standing(t.Context(), "c-ada")
	if got.Client.Email != "ada@example.com" || got.Record == nil || len(got.Mails) > 0 || !got.NextMail.IsZero() ||
		!got.TakesPIN || got.Methods["magic_link"] != (linkMethod{}).Describe().Label || !got.Now.Equal(w.clock.now()) || got.Lifetimes != w.conf.Session {
		t.Errorf("before anything: %+v", got)
	}

	s.script(always(errors.New("connection refused")))
	w.browser().ask("ada@example.com")
	w.fate("c-ada", mail.Delayed)
	w.until("the mail server is known to be down", w.rt.mailServer.down.Load)
	got = w.rt.Standing(t.Context(), "c-ada")
	if !got.MailDown || len(got.Mails) != 1 || got.Mails[0].Fate != mail.Delayed || !got.NextMail.Equal(w.clock.now().Add(time.Minute)) {
		t.Errorf("the mail server is down: %+v", got)
	}
	if again := w.rt.Standing(t.Context(), "c-ada"); !again.NextMail.Equal(got.NextMail) {
		t.Error("looking counts as asking")
	}
	s.script(nil)
	w.until("it is sent", func() bool {
		w.clock.advance(10 * time.Second)
		return w.fateOf("c-ada") == mail.Sent
	})

	w.clock.advance(time.Hour)
	w.signIn("ada@example.com")
	w.notices("ada@example.com", 1)
	got = w.rt.Standing(t.Context(), "c-ada")
	if got.MailDown || len(got.Mails) != 2 || got.Mails[0].Kind != "link" || len(got.Record.Live(got.Now, got.Lifetimes)) != 1 {
		t.Errorf("signed in: %+v", got)
	}
	in := func(e access.Event) bool { return e.What == "signed_in" }
	if n := len(got.Record.Events); n == 0 || !in(got.Record.Events[n-1]) {
		t.Errorf("the record comes without what happened: %+v", got.Record.Events)
	}

	// An account that was refused is told of for as long as it can matter, and not
	// only until it is moved to the log.
	records := w.rt.eng.Load().records
	err := records.Update(t.Context(), records.Tag("c-ada"), func(now time.Time, r *access.Record) error {
		r.Refused(now, "account_refused", "google", "another")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.lastEvent("c-ada")
	told := func(e access.Event) bool { return e.What == "account_refused" && e.Method == "google" }
	if got := w.rt.Standing(t.Context(), "c-ada"); !slices.ContainsFunc(got.Record.Events, told) {
		t.Errorf("once it is in the log a refused account is not told of: %+v", got.Record.Events)
	}
	w.clock.advance(25 * time.Hour)
	if got := w.rt.Standing(t.Context(), "c-ada"); slices.ContainsFunc(got.Record.Events, told) {
		t.Error("what was refused the day before is told of")
	}

	// Another address: neither the mails to the old one nor the record count.
	w.write(w.csv, strings.ReplaceAll(sampleClients, "ada@example.com", "ada@example.org"))
	w.until("the list is read again", func() bool {
		got = w.rt.Standing(t.Context(), "c-ada")
		return got.Client.Email == "ada@example.org"
	})
	if len(got.Mails) > 0 || len(got.Record.Live(got.Now, got.Lifetimes)) > 0 {
		t.Errorf("at another address: %+v", got)
	}

	w.db.fail.Store(true)
	if got := w.rt.Standing(t.Context(), "c-ada"); !got.Unknown || !strings.Contains(w.logs.String(), "looking how a client stands") {
		t.Errorf("the store is down: %+v", got)
	}
	w.rt.Close()
	if got := w.rt.Standing(t.Context(), "c-ada"); !got.Unknown {
		t.Errorf("closed: %+v", got)
	}
}
