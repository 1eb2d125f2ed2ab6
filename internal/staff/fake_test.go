// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/ui"
)

// scripted is a gate that does as it is told.
type scripted struct {
	wait         time.Duration
	counted, err error
	order        gate.PINOrder
	link         gate.LinkOrder
	mailed       int
	made         int
	done         []string
	audit        []string

	roster  gate.Roster
	sheet   gate.Sheet
	clients []directory.Client
	next    string
	found   directory.Query
	changed directory.Client
	events  []audit.Event
	filter  audit.Filter
	asked   time.Time
	noted   []audit.Event
	mute    error // what Note returns
	torn    error // what an export ends with
	list    []byte
	report  gate.ImportReport // what an import reports
	// standing is how it stands with the client.
	standing gate.Standing
}

func (s *scripted) AllowPIN(context.Context, string) (time.Duration, error) { return s.wait, s.counted }

func (s *scripted) AllowMail(context.Context, string) (time.Duration, error) {
	return s.wait, s.counted
}

func (s *scripted) QueueLink(_ context.Context, o gate.LinkOrder) error {
	s.mailed++
	s.link = o
	return s.err
}

func (s *scripted) IssuePIN(_ context.Context, o gate.PINOrder) (gate.IssuedPIN, error) {
	s.made++
	s.order = o
	return gate.IssuedPIN{PIN: "042137", Expires: time.Date(2026, 11, 27, 12, 0, 0, 5, time.UTC), Client: directory.Client{ID: "c-ada", Email: "ada@example.com"}}, s.err
}

func (s *scripted) VoidPIN(_ context.Context, client, by string) error {
	s.done = append(s.done, "void "+client+" by "+by)
	return s.err
}

func (s *scripted) Unlock(_ context.Context, client, by string) error {
	s.done = append(s.done, "unlock "+client+" by "+by)
	return s.err
}

func (s *scripted) Unlink(_ context.Context, client, by string) error {
	s.done = append(s.done, "unlink "+client+" by "+by)
	return s.err
}

func (s *scripted) Mails(_ context.Context, client string) ([]gate.Mailed, bool, error) {
	if client != "c-ada" {
		return nil, false, s.err
	}
	return []gate.Mailed{{ID: "m1", Kind: "link", Fate: mail.Bounced, Reason: "there is no such mailbox"}}, true, s.err
}

func (s *scripted) Roster() gate.Roster { return s.roster }

func (s *scripted) FindClients(_ context.Context, q directory.Query) ([]directory.Client, string, error) {
	s.found = q
	return s.clients, s.next, s.err
}

func (s *scripted) ClientByAddress(_ context.Context, email string) (directory.Client, error) {
	for _, c := range s.clients {
		if c.Email == email {
			return c, nil
		}
	}
	return directory.Client{}, cmp.Or(s.err, directory.ErrNotFound)
}

func (s *scripted) LinkAsked(context.Context, string) (time.Time, error) { return s.asked, s.err }

func (s *scripted) ClientByID(_ context.Context, id string) (gate.Sheet, error) {
	if id != "c-ada" {
		return gate.Sheet{}, directory.ErrNotFound
	}
	return s.sheet, nil
}

func (s *scripted) AddClient(_ context.Context, c directory.Client, by string) (directory.Client, error) {
	c.ID, c.Version = cmp.Or(c.ID, "c-new"), 1
	s.changed = c
	s.done = append(s.done, "add "+c.ID+" by "+by)
	return c, s.err
}

func (s *scripted) ChangeClient(_ context.Context, c directory.Client, by string) (directory.Client, error) {
	s.changed = c
	s.done = append(s.done, "change "+c.ID+" by "+by)
	c.Version++
	return c, s.err
}

func (s *scripted) RemoveClient(_ context.Context, id string, version int, by string) error {
	s.done = append(s.done, fmt.Sprint("remove ", id, " ", version, " by ", by))
	return s.err
}

func (s *scripted) ImportClients(_ context.Context, r io.Reader, dry bool, by string) (gate.ImportReport, error) {
	list, err := io.ReadAll(r)
	s.list = list
	s.done = append(s.done, fmt.Sprintf("import %d bytes, dry %v, by %s", len(list), dry, by))
	report := s.report
	report.Done = !dry && report.Bad == nil
	return report, cmp.Or(s.err, err)
}

func (s *scripted) ExportClients(_ context.Context, w io.Writer, by string) error {
	if s.err == nil {
		fmt.Fprintln(w, "id,email\nc-ada,ada@example.com")
	}
	return cmp.Or(s.err, s.torn)
}

func (s *scripted) Standing(context.Context, string) gate.Standing { return s.standing }

func (s *scripted) Sessions(_ context.Context, id string) ([]gate.Signed, error) {
	sheet, err := s.ClientByID(context.Background(), id)
	return sheet.Sessions, cmp.Or(s.err, err)
}

func (s *scripted) EndSessions(_ context.Context, id, by string) error {
	s.done = append(s.done, "end "+id+" by "+by)
	return s.err
}

func (s *scripted) Note(_ context.Context, e audit.Event) error {
	if s.mute == nil {
		s.noted = append(s.noted, e)
	}
	return s.mute
}

func (s *scripted) Events(_ context.Context, f audit.Filter) ([]audit.Event, string, error) {
	s.filter = f
	return s.events, s.next, s.err
}

func (s *scripted) Audit(what string, _ ...zap.Field) { s.audit = append(s.audit, what) }

// busy is a gate with a client of whom there is something to see everywhere.
func busy() *scripted {
	at := time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC)
	c := directory.Client{
		ID: "c-ada", Email: "ada@example.com", Name: "Ada Lovelace", Phone: "+1 555 0199", Language: "en",
		Access: true, EmailOK: true, Created: at, Version: 3,
	}
	return &scripted{
		roster: gate.Roster{Kept: true, Listed: true, PINs: true}, clients: []directory.Client{c}, next: "n2",
		sheet: gate.Sheet{
			Client: c, LastSignIn: at, LinkUntil: at.Add(time.Hour), PINUntil: at.Add(2 * time.Hour),
			Sessions: []gate.Signed{{ID: "s-1", Method: "magic_link", Kind: "Safari on iPhone", Begun: at, Used: at.Add(time.Minute)}},
			Accounts: []gate.Account{{Method: "google", Linked: at}}, WrongCodes: 3, PINsOff: true, PINsRest: at,
			Mails: []gate.Mailed{
				{ID: "m2", Kind: "invitation", Asked: at, At: at, Fate: mail.Delivered},
				{ID: "m1", Kind: "link", Asked: at, At: at, Fate: mail.Bounced, Reason: "there is no such mailbox"},
			},
		},
		events: []audit.Event{
			{Seq: 2, ID: "e2", At: at, What: "pin_issued", Client: "c-ada", Method: "pin", By: "desk", From: "192.0.2.7", Note: "called back", Prev: "h1", Hash: "h2"},
			{Seq: 1, ID: "e1", At: at, What: "sign_in", Client: "c-ada", Method: "magic_link", Outcome: "wrong_address", Prev: "h0", Hash: "h1"},
		},
		asked:    at,
		report:   gate.ImportReport{Added: 1},
		standing: gate.Standing{Now: at, Client: c, Record: new(access.Record), TakesPIN: true},
	}
}

func (s *scripted) desk(t testing.TB) *Desk {
	u, err := ui.New(ui.Practice{Name: "Willow", Phone: "1", From: "a@example.com", PublicURL: &url.URL{Scheme: "https", Host: "portal.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	return New(Options{Gate: s, UI: u, Log: zap.NewNop()})
}

// request is a request to the desk over TLS.
func request(method, path, body string) *http.Request {
	r := httptest.NewRequest(method, "https://staff.example.com"+path, strings.NewReader(body))
	r.TLS.HandshakeComplete = true
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	return r
}

func serve(d *Desk, user string, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r, Front{Claim: Claim{User: user}, HTTPS: true})
	return w
}

func ask(d *Desk, user, method, path, body string) *httptest.ResponseRecorder {
	return serve(d, user, request(method, path, body))
}
