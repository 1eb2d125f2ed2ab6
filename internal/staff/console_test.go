// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/store"
)

// press posts a form to the console as one of the staff.
func press(d *Desk, path string, form ...string) *httptest.ResponseRecorder {
	values := url.Values{}
	for i := 0; i+1 < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	r := request("POST", path, values.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return serve(d, "desk", r)
}

// said is what a page says to people, on one line.
func said(page string) string {
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return err.Error()
	}
	var words []string
	for n := range doc.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "style" {
			words = append(words, strings.Fields(n.Data)...)
		}
	}
	return strings.Join(words, " ")
}

// TestConsole walks what staff do with a client, and holds every page to what it
// says.
func TestConsole(t *testing.T) {
	s := busy()
	d := s.desk(t)
	for _, tc := range []struct {
		path string
		says []string
	}{
		{"/", []string{"Clients", "Ada Lovelace", "ada@example.com", "Show more", "Add a client", "You are desk"}},
		{"/?q=ada", []string{"Ada Lovelace"}},
		{"/clients/c-ada", []string{"Ada Lovelace", "26 November, 09:30", "Off after too many wrong ones", "Safari on iPhone",
			"Sign-in link", "not delivered", "there is no such mailbox", "google", "Take portal access away", "Sign this client out everywhere"}},
		{"/clients/c-ada?done=invited", []string{"The invitation is on its way."}},
		{"/clients/c-ada/edit", []string{"Change what is on file for Ada Lovelace"}},
		{"/clients/c-ada/delete", []string{"Delete Ada Lovelace?", "kept under the id c-ada"}},
		{"/clients/c-ada/invitation", []string{"Invite Ada Lovelace"}},
		{"/clients/c-ada/link", []string{"Send Ada Lovelace a sign-in link"}},
		{"/clients/c-ada/pin", []string{"Phone number +1 555 0199", "I know who is calling"}},
		{"/new", []string{"Add a client"}},
		{"/lists", []string{"Lists of clients", "Bring in a list", "Save everybody as a file"}},
		{"/card", []string{"Your Client Portal at Willow"}},
		{"/audit", []string{"pin issued About c-ada", "By desk, from 192.0.2.7", "called back", "sign in, magic link", "It came to this: wrong address"}},
		{"/nowhere", []string{"There is nothing at this address."}},
		{"/clients/c-eve", []string{"Nobody like that is on file"}},
		{"/clients/c-ada?by=x", []string{"by cannot be asked for here"}},
	} {
		w := ask(d, "desk", "GET", tc.path, "")
		for _, want := range tc.says {
			if !strings.Contains(strings.ReplaceAll(said(w.Body.String()), " ,", ","), want) {
				t.Errorf("%s: %d, does not say %q:\n%s", tc.path, w.Code, want, said(w.Body.String()))
			}
		}
		h := w.Header()
		if h.Get("Cache-Control") != "no-store" || strings.Contains(h.Get("Content-Security-Policy"), "unsafe") || h.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: %v", tc.path, h)
		}
	}
}

// TestSignOut: who came through the staff's gate can leave by it, from every page.
// Whom something else has vouched for is signed in there, not here.
func TestSignOut(t *testing.T) {
	d := busy().desk(t)
	d.Rule.Gate, d.SignOut = "staff", "/sign-in/sign-out"
	const link = `href="/sign-in/sign-out"`
	for _, path := range []string{"/", "/clients/c-ada", "/clients/c-ada/pin", "/audit", "/nowhere", "/clients/c-eve"} {
		for name, c := range map[string]Claim{
			"by the gate": {User: "desk", Passages: []gate.Passage{{Gate: "staff", SignedIn: true}}},
			"by another":  {User: "desk"},
		} {
			w := httptest.NewRecorder()
			d.ServeHTTP(w, request("GET", path, ""), Front{Claim: c, HTTPS: true})
			if has := strings.Contains(w.Body.String(), link); has != (len(c.Passages) > 0) || w.Code == 403 {
				t.Errorf("%s, signed in %s: %d, a link to sign out: %v", path, name, w.Code, has)
			}
		}
	}
}

// TestJustMailed: a mail that was asked for this moment has no trace yet, and staff
// are not told that nobody has asked for one, nor offered to send another.
func TestJustMailed(t *testing.T) {
	for query, quiet := range map[string]bool{"": true, "?done=invited": false, "?done=link": false, "?done=changed": true} {
		got := said(ask(busy().desk(t), "desk", "GET", "/clients/c-ada"+query, "").Body.String())
		if strings.Contains(got, "nobody has asked for a link") != quiet || strings.Contains(got, "Send a sign-in link now") != quiet || strings.Contains(got, "Look again") == quiet {
			t.Errorf("%q: %s", query, got)
		}
	}
	s := busy()
	s.standing.MailDown, s.standing.TakesPIN = true, false
	if got := said(ask(s.desk(t), "desk", "GET", "/clients/c-ada?done=link", "").Body.String()); !strings.Contains(got, "The mail server takes no mail right now.") {
		t.Errorf("with no mail server: %s", got)
	}
}

// TestPresses: each form does what it says, in the name of who presses, and leads
// to a page that may be loaded again.
func TestPresses(t *testing.T) {
	for _, tc := range []struct {
		path string
		form []string
		done string
		to   string
	}{
		{"/new", []string{"name", "Eve", "email", "eve@example.com"}, "add c-new by desk", "./clients/c-new?done=added"},
		{"/clients/c-ada/edit", []string{"name", "Ada", "email", "a@example.com", "version", "3", "portal_access", "1"}, "change c-ada by desk", "../../clients/c-ada?done=changed"},
		{"/clients/c-ada/access", []string{"access", "no", "version", "3"}, "change c-ada by desk", "../../clients/c-ada?done=withdrawn"},
		{"/clients/c-ada/access", []string{"access", "yes", "version", "3"}, "change c-ada by desk", "../../clients/c-ada?done=access"},
		{"/clients/c-ada/delete", []string{"version", "3"}, "remove c-ada 3 by desk", "../../?done=deleted"},
		{"/clients/c-ada/pin/void", nil, "void c-ada by desk", "../../../clients/c-ada?done=void"},
		{"/clients/c-ada/unlock", nil, "unlock c-ada by desk", "../../clients/c-ada?done=unlocked"},
		{"/clients/c-ada/unlink", nil, "unlink c-ada by desk", "../../clients/c-ada?done=unlinked"},
		{"/clients/c-ada/sign-out", nil, "end c-ada by desk", "../../clients/c-ada?done=out"},
	} {
		s := busy()
		w := press(s.desk(t), tc.path, tc.form...)
		if w.Code != 303 || w.Header().Get("Location") != tc.to || !slices.Equal(s.done, []string{tc.done}) {
			t.Errorf("%s: %d to %q, done %q", tc.path, w.Code, w.Header().Get("Location"), s.done)
		}
		if after := ask(s.desk(t), "desk", "GET", "/"+strings.TrimLeft(tc.to, "./"), ""); strings.Contains(tc.to, "c-ada") && !strings.Contains(after.Body.String(), `class="tip"`) {
			t.Errorf("%s: the page after it does not say what was done", tc.path)
		}
	}
	s := busy()
	press(s.desk(t), "/clients/c-ada/edit", "name", " Ada ", "email", "a@example.com", "version", "2")
	if c := s.changed; c.Name != "Ada" || c.Email != "a@example.com" || c.Access || c.EmailOK || c.Version != 2 || c.ID != "c-ada" {
		t.Errorf("changed to %+v", c)
	}
	// Of the version the page was about: who has an old page open gives nothing back.
	press(s.desk(t), "/clients/c-ada/access", "access", "yes", "version", "1")
	if c := s.changed; !c.Access || c.Version != 1 {
		t.Errorf("access of %+v", c)
	}
	for _, at := range []string{"invitation", "link"} {
		s := busy()
		w := press(s.desk(t), "/clients/c-ada/"+at, "message", "Hello\r\nAda", "return_to", "/forms")
		if w.Code != 303 || s.mailed != 1 || s.link.By != "desk" || s.link.Client != "c-ada" || s.link.ReturnTo != "/forms" || s.link.Invite != (at == "invitation") {
			t.Errorf("%s: %d, %+v", at, w.Code, s.link)
		}
		if s.link.Words != "Hello\nAda" {
			t.Errorf("words %q", s.link.Words)
		}
	}
}

// TestPINPage: a PIN is made for a caller who is known, and shown once.
func TestPINPage(t *testing.T) {
	s := busy()
	w := press(s.desk(t), "/clients/c-ada/pin")
	if w.Code != 422 || s.made != 0 || !strings.Contains(said(w.Body.String()), "First make sure who is calling. Then tick the box.") {
		t.Errorf("without the tick: %d, made %d", w.Code, s.made)
	}
	w = press(s.desk(t), "/clients/c-ada/pin", "verified", "1")
	text := said(w.Body.String())
	for _, want := range []string{"042 137", "It is shown once.", "zero four two, one three seven", "ada@example.com", "https://portal.example.com/sign-in/pin", "27 November, 12:00"} {
		if !strings.Contains(text, want) && !strings.Contains(w.Body.String(), want) {
			t.Errorf("%q is not on the page: %s", want, text)
		}
	}
	if w.Code != 200 || w.Header().Get("Cache-Control") != "no-store" || !strings.HasPrefix(s.order.VerifiedBy, "I called back") || s.order.By != "desk" {
		t.Errorf("%d %v, %+v", w.Code, w.Header(), s.order)
	}
	press(s.desk(t), "/clients/c-ada/pin", "verified", "1", "how", "knew her dog's name")
	if s.order.VerifiedBy != "knew her dog's name" {
		t.Errorf("kept as %q", s.order.VerifiedBy)
	}
	for _, e := range s.noted {
		if strings.Contains(fmt.Sprint(e), "042137") {
			t.Error("the PIN is in the audit log")
		}
	}
}

// TestFormsAgain: what is wrong with a form is said above it, and what was typed
// is kept.
func TestFormsAgain(t *testing.T) {
	for _, tc := range []struct {
		path   string
		err    error
		form   []string
		status int
		says   []string
	}{
		{"/new", &directory.Invalid{Field: "email", Text: "does not look like an address"}, []string{"name", "Eve Typed"}, 422, []string{"Error:", "does not look like an address", "Eve Typed"}},
		{"/clients/c-ada/edit", &directory.Taken{By: directory.Client{ID: "c-bob", Name: "Bob Stone", Email: "bob@example.com"}}, []string{"email", "bob@example.com", "version", "3"}, 409,
			[]string{"Bob Stone already uses bob@example.com", "family+ann@example.com"}},
		{"/clients/c-ada/edit", directory.ErrChanged, []string{"version", "2"}, 412, []string{"Someone else has changed this client meanwhile"}},
		{"/clients/c-ada/edit", gate.ErrElsewhere, nil, 409, []string{"kept elsewhere"}},
		{"/clients/c-ada/invitation", gate.ErrReturnTo, []string{"return_to", "https://evil.example", "message", "Kept words"}, 422, []string{"no page of your portal", "Kept words"}},
		{"/clients/c-ada/invitation", gate.ErrWords, nil, 422, []string{"at most 500 characters"}},
		{"/clients/c-ada/link", gate.ErrNoConsent, nil, 409, []string{"does not want email", "Back to the client"}},
		{"/clients/c-ada/unlock", fmt.Errorf("x: %w", store.ErrUnknown), nil, 503, []string{"It is not known whether that was done"}},
		{"/clients/c-ada/pin", gate.ErrLocked, []string{"verified", "1"}, 409, []string{"Unlock the client first"}},
	} {
		s := busy()
		s.err = tc.err
		w := press(s.desk(t), tc.path, tc.form...)
		for _, want := range tc.says {
			if body := w.Body.String(); w.Code != tc.status || !strings.Contains(said(body), want) && !strings.Contains(body, want) {
				t.Errorf("%s: %d, want %d with %q:\n%s", tc.path, w.Code, tc.status, want, said(body))
			}
		}
	}
}

// TestSearchNobody: a whole address that is not on file is said to be so, and
// whether a link was asked for with it.
func TestSearchNobody(t *testing.T) {
	s := busy()
	s.clients = nil
	for q, want := range map[string]string{
		"":                "Nobody is on file yet.",
		"ad":              "Nobody on file has a name or an address that begins with ad .",
		"eve@example.com": "Someone asked for a link with it on 26 November at 09:30 UTC.",
	} {
		if got := said(ask(s.desk(t), "desk", "GET", "/?q="+url.QueryEscape(q), "").Body.String()); !strings.Contains(got, want) {
			t.Errorf("%q: %s", q, got)
		}
	}
	s.asked = time.Time{}
	if got := said(ask(s.desk(t), "desk", "GET", "/?q=eve@example.com", "").Body.String()); !strings.Contains(got, "is not on file") || !strings.Contains(got, "No one asked for a link") {
		t.Error(got)
	}
	s.roster = gate.Roster{Stale: true}
	s.err = gate.ErrUnlisted
	got := said(ask(s.desk(t), "desk", "GET", "/?q=ad", "").Body.String())
	if !strings.Contains(got, "Type a whole email address") || !strings.Contains(got, "could not be read lately") || strings.Contains(got, "Add a client") {
		t.Error(got)
	}
}

// TestAuditFilters: days are the practice's, the last included.
func TestAuditFilters(t *testing.T) {
	s := busy()
	ask(s.desk(t), "desk", "GET", "/audit?client=c-ada&by=desk&what=pin+issued&since=2026-11-25&until=2026-11-26", "")
	day := func(n int) time.Time { return time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC) }
	if want := (audit.Filter{Client: "c-ada", By: "desk", What: "pin_issued", Since: day(25), Until: day(27)}); s.filter != want {
		t.Errorf("%+v, want %+v", s.filter, want)
	}
}

// shape is what markup a page has, without texts and values.
func shape(t *testing.T, page string) string {
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for n := range doc.Descendants() {
		if n.Type == html.TextNode {
			continue
		}
		b.WriteString("<" + n.Data)
		for _, a := range n.Attr {
			b.WriteString(" " + a.Key)
		}
		b.WriteString(">")
	}
	return b.String()
}

// E14: a client is called <img src=//evil>, and has an address, a phone and a mail
// program to match. On no page is that more than text.
func TestE14_NothingOnFileIsMarkup(t *testing.T) {
	pages := func(s *scripted) (all []string) {
		for _, rt := range s.desk(t).Routes() {
			if method, path, _ := strings.Cut(rt, " "); method == "GET" && !strings.HasPrefix(path, "/api/") {
				path = strings.NewReplacer("{id}", "c-ada", "{$}", "").Replace(path)
				all = append(all, shape(t, ask(s.desk(t), "desk", "GET", path, "").Body.String()))
			}
		}
		all = append(all, shape(t, press(s.desk(t), "/clients/c-ada/pin", "verified", "1").Body.String()))
		all = append(all, shape(t, serve(s.desk(t), "desk", chosen(strings.Trim(s.sheet.Client.Name, "\x00"), []byte("id,email\n"))).Body.String()))
		s.report.Bad = []string{"line 2: " + s.sheet.Client.Name}
		return append(all, shape(t, serve(s.desk(t), "desk", chosen("willow.csv", []byte("id,email\n"))).Body.String()))
	}
	plain := pages(busy())
	for _, evil := range []string{
		`<img src=//evil.example>`, `"><script>alert(1)</script>`, `' onfocus=alert(1) autofocus x='`, `</title></style><svg onload=alert(1)>`,
		`{{.}} {practice} {name}`, `javascript:alert(1)`, `<!--`, "\u202egnp.exe\x00", `</textarea><form action=//evil.example>`,
	} {
		s := busy()
		c := &s.sheet.Client
		c.Name, c.Email, c.Phone, c.Language = evil, evil, evil, evil
		s.clients[0] = *c
		s.sheet.Sessions[0].Kind, s.sheet.Sessions[0].Method, s.sheet.Accounts[0].Method = evil, evil, evil
		s.sheet.Mails[1].Reason = evil
		s.events[0] = audit.Event{Seq: 2, At: s.events[0].At, What: evil, Client: "c-ada", By: evil, From: evil, Note: evil}
		for i, page := range pages(s) {
			if page != plain[i] {
				t.Errorf("%q changed the markup of page %d to\n%s", evil, i, page)
			}
		}
	}
}

// E16: two clients would share one address, a family or a carer. It is refused with
// the other's name and with what helps, on the page and to programs.
func TestE16_OneAddressOneClient(t *testing.T) {
	s := busy()
	s.err = &directory.Taken{By: directory.Client{ID: "c-bob", Name: "Bob Stone", Email: "bob@example.com"}}
	w := ask(s.desk(t), "desk", "POST", "/api/v1/clients", `{"email":"bob@example.com"}`)
	for _, want := range []string{`problem:taken`, `"taken_by":"c-bob"`, `"field":"email"`, "Bob Stone already uses bob@example.com", "family+ann@example.com"} {
		if w.Code != 409 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%d %s, want %s", w.Code, w.Body, want)
		}
	}
	if got := said(press(s.desk(t), "/new", "email", "bob@example.com").Body.String()); !strings.Contains(got, "Bob Stone already uses bob@example.com") {
		t.Error(got)
	}
}

// T10: unlinking, turning a method on again, sending a link now (which waits for no
// limit of the client's): each is a press, and written down before it is done.
func TestT10_EachHelpIsWrittenDown(t *testing.T) {
	for path, what := range map[string]string{
		"unlink": "unlink_asked", "unlock": "unlock_asked", "link": "link_asked", "sign-out": "sessions_end_asked", "pin/void": "pin_void_asked",
	} {
		s := busy()
		press(s.desk(t), "/clients/c-ada/"+path)
		want := audit.Event{What: what, Client: "c-ada", By: "desk", From: "invalid IP"}
		if !slices.Equal(s.noted, []audit.Event{want}) || len(s.done)+s.mailed != 1 {
			t.Errorf("%s: noted %+v, done %q", path, s.noted, s.done)
		}
		s = busy()
		s.mute = fmt.Errorf("the disk is full")
		if w := press(s.desk(t), "/clients/c-ada/"+path); w.Code != 503 || len(s.done)+s.mailed != 0 {
			t.Errorf("%s, which cannot be written down: %d, done %q", path, w.Code, s.done)
		}
	}
}

// T10: a wait can be ended whatever else keeps the client out, and however that is
// to be helped. Everybody who has just asked waits a minute, which is no trouble.
func TestT10_WaitCanBeEnded(t *testing.T) {
	for wait, want := range map[time.Duration]int{0: 0, time.Minute: 0, 20 * time.Minute: 1} {
		s := busy()
		s.standing.MailDown = true // which is said first
		s.sheet.PINsOff, s.sheet.CodesOff, s.sheet.PINsRest, s.sheet.Withheld = false, false, time.Time{}, false
		s.standing.NextMail = s.standing.Now.Add(wait)
		got := ask(s.desk(t), "desk", "GET", "/clients/c-ada", "").Body.String()
		if n := strings.Count(said(got), "End the wait"); n != want {
			t.Errorf("%v: the button is there %d times", wait, n)
		}
	}
}

// TestMailFates: each thing that can become of a mail has words.
func TestMailFates(t *testing.T) {
	s := busy()
	for _, f := range []mail.Fate{mail.Queued, mail.Sent, mail.Delivered, mail.Delayed, mail.Bounced, mail.Complained, mail.Withheld} {
		for _, kind := range []string{"link", "invitation", "notice", "mail"} {
			s.sheet.Mails[0] = gate.Mailed{Kind: kind, Fate: f}
			ask(s.desk(t), "desk", "GET", "/clients/c-ada", "") // a missing text stops the test
		}
	}
}
