// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/mail/outbox"
)

// invited has a client invited and returns the n-th mail with a link.
func (w *world) invited(client, email string, n int, more LinkOrder) outbox.Entry {
	w.t.Helper()
	more.Client, more.By, more.Invite = client, "desk", true
	if err := w.rt.QueueLink(w.t.Context(), more); err != nil {
		w.t.Fatal(err)
	}
	return w.letters(email, n)[0]
}

// TestInvitation walks the whole way: nobody here has asked for it, so the
// address is typed, and a wrong one lets nobody in.
func TestInvitation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.invited("c-ada", "ada@example.com", 1, LinkOrder{ReturnTo: "/forms/intake?n=1", Words: "See you on Monday."})
	if !strings.Contains(m.Text, "See you on Monday.") || code(m) != "" || len(link(m)) > 200 || m.Subject != w.conf.UI.Text("mail.invite.subject", nil) {
		t.Errorf("%s\n%s", m.Subject, m.Text)
	}
	b := w.browser()
	p := b.get(link(m)).says("open.new.title")
	if p.has(w.conf.UI.Text("open.new.code", nil)) {
		t.Error("it speaks of a code, and there is none")
	}
	p = b.send(p.form("/sign-in/link"), "email", "bob@example.com")
	if p.says("open.new.wrong"); b.signedIn() {
		t.Fatal("a wrong address signs in")
	}
	p = b.send(p.form("/sign-in/link"), "email", "ada@example.com").is(200)
	if p.body != "portal /forms/intake?n=1 for c-ada" {
		t.Errorf("landed on %s: %s", p.url.Path, p.text())
	}
	w.browser().get(link(m)).says("used.title")
	all, _, err := w.rt.Mails(t.Context(), "c-ada")
	if err != nil || !strings.Contains(w.logs.String(), "invitation_asked") {
		t.Errorf("%v; the log:\n%s", err, w.logs)
	}
	kinds := ""
	for _, m := range all {
		kinds += m.Kind + " " + string(m.Fate) + ","
	}
	if !strings.Contains(kinds, "invitation sent") {
		t.Errorf("staff see %s", kinds)
	}
	for _, no := range []string{"Monday", token(link(m)), "ada@"} {
		if strings.Contains(w.logs.String(), no) {
			t.Errorf("the log holds %q", no)
		}
	}
}

// TestSecondInvitation: it takes the place of the first, and of nothing that the
// client asked for.
func TestSecondInvitation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, wide)
	b := w.browser()
	own := b.mailed("ada@example.com")
	first := w.invited("c-ada", "ada@example.com", 2, LinkOrder{})
	w.clock.advance(time.Minute)
	second := w.invited("c-ada", "ada@example.com", 3, LinkOrder{})
	w.browser().get(link(first)).says("newer.title").says("newer.practice")
	w.browser().get(link(second)).says("open.new.title")
	b.send(b.get(link(own)).form("/sign-in/link")).isPortal("/", "c-ada")
}

// TestLinkFromTheDesk is a mail that no browser asked for, and says so. Where its
// client has been before, it takes one press.
func TestLinkFromTheDesk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, wide)
	b := w.signIn("ada@example.com")
	b.send(b.get("/sign-in/sign-out").form("/sign-in/sign-out"))
	if err := w.rt.QueueLink(t.Context(), LinkOrder{Client: "c-ada", By: "desk", ReturnTo: "/files/7", Words: "Your files are there."}); err != nil {
		t.Fatal(err)
	}
	m := w.letters("ada@example.com", 2)[0]
	if m.Subject != w.conf.UI.Text("mail.sign_in.subject", nil) || code(m) != "" || !strings.Contains(m.Text, "Your files are there.") ||
		strings.Contains(m.Text, w.conf.UI.Text("mail.sign_in.asked", nil)) {
		t.Errorf("%s\n%s", m.Subject, m.Text)
	}
	w.browser().get(link(m)).says("open.new.title")
	p := b.get(link(m)).says("open.known.title")
	if p = b.send(p.form("/sign-in/link")); p.body != "portal /files/7 for c-ada" {
		t.Errorf("landed on %s: %s", p.url.Path, p.text())
	}
}

// TestLinkFromTheDeskIsStopped: who did not expect it switches it off.
func TestLinkFromTheDeskIsStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.rt.QueueLink(t.Context(), LinkOrder{Client: "c-ada", By: "desk"}); err != nil {
		t.Fatal(err)
	}
	m := w.letters("ada@example.com", 1)[0]
	b := w.browser()
	b.send(b.get(stopOf(m)).form("/sign-in/stop"), "email", "ada@example.com").says("stop.done.title")
	w.browser().get(link(m)).says("stopped.title")
}

// TestNoLinkFromTheDesk: whom nothing may be mailed to, and what may not be
// asked for.
func TestNoLinkFromTheDesk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, wide)
	ada, err := address.Parse("ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	e := w.rt.eng.Load()
	if err := e.records.Update(t.Context(), e.records.Tag("c-ada"), func(now time.Time, r *access.Record) error {
		r.Bind(now, "c-ada", e.records.Address(ada))
		r.Complain(now, e.records.Address(ada))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		order LinkOrder
		want  error
	}{
		{LinkOrder{Client: "nobody"}, directory.ErrNotFound},
		{LinkOrder{Client: "c-off"}, ErrNoAccess},
		{LinkOrder{Client: "c-mum"}, ErrNoConsent},
		{LinkOrder{Client: "c-ada"}, ErrWithheld},
		{LinkOrder{Client: "c-bob", ReturnTo: "//evil.example"}, ErrReturnTo},
		{LinkOrder{Client: "c-bob", ReturnTo: "https://evil.example/"}, ErrReturnTo},
		{LinkOrder{Client: "c-bob", ReturnTo: "/" + strings.Repeat("a", maxReturn)}, ErrReturnTo},
		{LinkOrder{Client: "c-bob", Invite: true, Words: strings.Repeat("ü", mail.MaxWords+1)}, ErrWords},
		{LinkOrder{Client: "c-bob", Words: strings.Repeat("ü", mail.MaxWords+1)}, ErrWords},
	} {
		if err := w.rt.QueueLink(t.Context(), tc.order); !errors.Is(err, tc.want) {
			t.Errorf("%+v: %v, want %v", tc.order, err, tc.want)
		}
	}
	w.idle()
	if n := len(w.rt.Outbox().Messages()); n != 0 {
		t.Errorf("%d mails", n)
	}
	if err := w.rt.Unlock(t.Context(), "c-ada", "desk"); err != nil {
		t.Fatal(err)
	}
	w.invited("c-ada", "ada@example.com", 1, LinkOrder{Words: strings.Repeat("ü", mail.MaxWords)})
}

// TestUnlockedIsTold: whose PINs and codes are on again is told, and who had
// none that were off is not.
func TestUnlockedIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, wide)
	w.signIn("ada@example.com")
	w.notices("ada@example.com", 1)
	e := w.rt.eng.Load()
	if err := w.rt.Unlock(t.Context(), "c-ada", "desk"); err != nil {
		t.Fatal(err)
	}
	w.idle()
	if n := len(w.notices("ada@example.com", 1)); n != 1 {
		t.Errorf("%d notices before anything was off", n)
	}
	if err := e.records.Update(t.Context(), e.records.Tag("c-ada"), func(now time.Time, r *access.Record) error {
		for range access.WrongCodes {
			r.WrongCode(now)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.rt.Unlock(t.Context(), "c-ada", "desk"); err != nil {
		t.Fatal(err)
	}
	if m := w.notices("ada@example.com", 2)[0]; m.Subject != w.conf.UI.Text("notice.unlocked.subject", nil) {
		t.Errorf("subject %q", m.Subject)
	}
}
