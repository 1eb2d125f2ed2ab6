// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/mail"
)

// plainReports takes JSON for genuine that says so. What a mail service signs
// is tested with its sender.
type plainReports struct{}

func (plainReports) Read(body []byte, _ time.Time) (mail.Report, error) {
	var in struct {
		mail.Report
		Genuine bool
	}
	if json.Unmarshal(body, &in) != nil || !in.Genuine {
		return mail.Report{}, errors.New("forged")
	}
	return in.Report, nil
}

func reported(c *Config, _ *HandlerOptions) { c.Reports = plainReports{} }

// tells posts a report as a mail service does.
func (w *world) tells(genuine bool, r mail.Report) int {
	w.t.Helper()
	body, err := json.Marshal(struct {
		mail.Report
		Genuine bool
	}{r, genuine})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.postsReport(string(body))
}

func (w *world) postsReport(body string) int {
	w.t.Helper()
	res, err := http.Post(w.front+"/sign-in/mailgun", "application/json", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// TestE15_Reports: what a mail service reports is kept once, for the client
// whose mail it was, and never shown to a browser that should not know who is
// on file.
func TestE15_Reports(t *testing.T) {
	t.Parallel()
	s := new(scripted)
	w := newWorld(t, wide, reported, s.use)
	b := w.browser()
	before := b.ask("ada@example.com").text()
	w.fate("c-ada", mail.Sent)
	ref := s.tried()[0].Ref
	r := mail.Report{Ref: ref, Fate: mail.Bounced, Reason: "the mailbox is full", At: w.clock.now(), Once: "1"}

	for name, status := range map[string]int{
		"forged":       w.tells(false, r),
		"nothing":      w.postsReport(""),
		"not a report": w.postsReport(`{"signature":{}}`),
	} {
		if status != http.StatusUnauthorized {
			t.Errorf("%s: %d, want 401", name, status)
		}
	}
	if status := w.postsReport(strings.Repeat("x", maxReport+1)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d", status)
	}
	if f := w.fateOf("c-ada"); f != mail.Sent {
		t.Fatalf("after those the mail is %s", f)
	}
	if status := w.tells(true, r); status != http.StatusOK {
		t.Fatalf("a genuine report: %d", status)
	}
	if m := w.fate("c-ada", mail.Bounced); m.Reason != "the mailbox is full" {
		t.Errorf("bounced: %+v", m)
	}
	if status := w.tells(true, r); status != http.StatusUnauthorized {
		t.Errorf("the same again: %d, want 401", status)
	}
	// Another program's mail, and a reference that somebody made up or altered.
	for i, bad := range []string{"", "x", ref[:len(ref)-2] + "AA", "AAAAAAAAAAAAAAAAAAAAAAAA"} {
		if status := w.tells(true, mail.Report{Ref: bad, Fate: mail.Complained, Once: "bad" + string(rune('0'+i)), At: w.clock.now()}); status != http.StatusOK {
			t.Errorf("reference %d: %d", i, status)
		}
	}
	if m := w.fate("c-ada", mail.Bounced); m.Fate != mail.Bounced {
		t.Errorf("it became %s", m.Fate)
	}
	if after := b.get("/sign-in/code").text(); after != before {
		t.Errorf("in mode conceal the page tells:\n%s\nbefore:\n%s", after, before)
	}
	if strings.Contains(w.logs.String(), "ada@") {
		t.Error("the log holds the address")
	}
	b.once().get("/sign-in/mailgun").is(http.StatusSeeOther)
}

// A report that could not be kept is taken when it comes again.
func TestReportAfterAnOutage(t *testing.T) {
	t.Parallel()
	s := new(scripted)
	w := newWorld(t, wide, reported, s.use)
	w.browser().ask("ada@example.com")
	w.fate("c-ada", mail.Sent)
	r := mail.Report{Ref: s.tried()[0].Ref, Fate: mail.Delivered, At: w.clock.now(), Once: "1"}
	w.db.fail.Store(true)
	if status := w.tells(true, r); status != http.StatusServiceUnavailable {
		t.Errorf("while the store is down: %d, want 503", status)
	}
	w.db.fail.Store(false)
	if status := w.tells(true, r); status != http.StatusOK {
		t.Errorf("again: %d", status)
	}
	w.fate("c-ada", mail.Delivered)
}

// TestComplaint: a client who has told their mail program that we send spam gets
// nothing more until staff have talked to them; a new address does.
func TestComplaint(t *testing.T) {
	t.Parallel()
	s := new(scripted)
	w := newWorld(t, reveal, wide, reported, s.use)
	b := w.browser()
	b.ask("ada@example.com")
	w.fate("c-ada", mail.Sent)
	w.tells(true, mail.Report{Ref: s.tried()[0].Ref, Fate: mail.Complained, Reason: "spam", At: w.clock.now(), Once: "1"})
	if _, withheld, err := w.rt.Mails(t.Context(), "c-ada"); !withheld || err != nil {
		t.Errorf("withheld: %v, %v", withheld, err)
	}
	told := slices.DeleteFunc(w.events(), func(ev audit.Event) bool { return ev.What != "mail_complained" })
	if len(told) != 1 || told[0].Client != "c-ada" || told[0].Note != "spam" {
		t.Errorf("the audit log says %+v", told)
	}
	w.clock.advance(2 * time.Minute)
	b.ask("ada@example.com")
	w.fate("c-ada", mail.Withheld)
	b.get("/sign-in/code").says("sent.bounced")
	if n := len(s.tried()); n != 1 {
		t.Errorf("%d mails were sent, want 1", n)
	}
	if err := w.rt.Unlock(t.Context(), "c-ada", "desk"); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(2 * time.Minute)
	b.ask("ada@example.com")
	w.letters("ada@example.com", 2)
	if err := w.rt.Unlock(t.Context(), "c-bob", "desk"); err != nil { // there was nothing to resume
		t.Error(err)
	}
}

// What has a body is read within a time, whoever sends it: anybody can reach the
// address for reports, and a byte now and then would hold a connection for ever.
func TestH15_SlowBody(t *testing.T) {
	w := newWorld(t, reported)
	for path := range w.h.routes {
		if w.h.routes[path].post == nil || path == "/sign-in/session" { // which reads none
			continue
		}
		r := httptest.NewRequest("POST", w.front+path, strings.NewReader("a=b"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		rec := &deadlined{ResponseRecorder: httptest.NewRecorder()}
		w.serve(rec, r)
		if len(rec.until) != 2 || rec.until[0].IsZero() || !rec.until[1].IsZero() {
			t.Errorf("%s: read until %v", path, rec.until)
		}
	}
}

// deadlined notes until when a body may be read.
type deadlined struct {
	*httptest.ResponseRecorder
	until []time.Time
}

func (d *deadlined) SetReadDeadline(t time.Time) error {
	d.until = append(d.until, t)
	return nil
}
