// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/store"
)

// TestC01_Who is the rule of who is staff, case by case. The attack is always
// the same: somebody whom an authenticator did vouch for, as a client.
func TestC01_Who(t *testing.T) {
	cert := func(name string) *tls.ConnectionState {
		c := &x509.Certificate{Subject: pkix.Name{CommonName: name}}
		return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}, VerifiedChains: [][]*x509.Certificate{{c}}}
	}
	forged := cert("desk")
	forged.VerifiedChains = nil
	in, by := gate.Passage{Gate: "staff", SignedIn: true}, gate.Passage{Gate: "staff"}
	client, public := gate.Passage{Gate: "main", SignedIn: true}, gate.Passage{Gate: "main"}
	through := func(p ...gate.Passage) []gate.Passage { return p }
	open, behind, certs := Rule{}, Rule{Gate: "staff"}, Rule{ClientCert: true}
	for _, tc := range []struct {
		rule        Rule
		claim       Claim
		id, because string
	}{
		{open, Claim{}, "", "nobody"},
		{open, Claim{User: "desk"}, "desk", ""},
		{open, Claim{User: "desk", Afterwards: true}, "", "error_page"},
		{open, Claim{User: "desk", Passages: through(client)}, "", "gate"},
		{open, Claim{User: "desk", Passages: through(public)}, "", "gate"},
		{open, Claim{User: "desk", TLS: cert("other")}, "desk", ""},
		{open, Claim{TLS: cert("desk")}, "", "nobody"},
		{open, Claim{User: strings.Repeat("x", 129)}, "", "id"},
		{open, Claim{User: "desk\nby=boss"}, "", "id"},
		{open, Claim{User: "desk\xff"}, "", "id"},
		{behind, Claim{User: "desk"}, "desk", ""},
		{behind, Claim{User: "desk", Passages: through(in)}, "desk", ""},
		{behind, Claim{User: "desk", Passages: through(by)}, "", "not_signed_in"},
		{behind, Claim{User: "desk", Passages: through(by, in)}, "desk", ""},
		{behind, Claim{User: "desk", Passages: through(client, in)}, "", "gate"},
		{behind, Claim{User: "desk", Passages: through(in, client)}, "", "gate"},
		{behind, Claim{User: "desk", Passages: through(in, public)}, "", "gate"},
		{behind, Claim{Passages: through(in)}, "", "nobody"},
		{certs, Claim{User: "desk"}, "", "no_certificate"},
		{certs, Claim{User: "desk", TLS: forged}, "", "no_certificate"},
		{certs, Claim{User: "desk", TLS: new(tls.ConnectionState)}, "", "no_certificate"},
		{certs, Claim{User: "other", TLS: cert("desk")}, "desk", ""},
		{certs, Claim{TLS: cert("")}, "", "no_certificate"},
		{certs, Claim{TLS: cert("desk"), Passages: through(client)}, "", "gate"},
		{Rule{Allow: []string{"desk", "boss"}}, Claim{User: "boss"}, "boss", ""},
		{Rule{Allow: []string{"desk"}}, Claim{User: "DESK"}, "", "not_allowed"},
		{Rule{Allow: []string{"desk"}, ClientCert: true}, Claim{User: "desk", TLS: cert("cook")}, "", "not_allowed"},
	} {
		if id, because := tc.rule.Who(tc.claim); id != tc.id || because != tc.because {
			t.Errorf("%+v.Who(%+v) = %q, %q, want %q, %q", tc.rule, tc.claim, id, because, tc.id, tc.because)
		}
	}
}

// TestAnswers holds each thing that can go wrong to what is answered.
func TestAnswers(t *testing.T) {
	const good = `{"email":"ada@example.com","verified_by":"x"}`
	unknown := fmt.Errorf("reading: %w", store.ErrUnknown)
	for _, tc := range []struct {
		name       string
		gate       scripted
		status     int
		kind       string
		retryAfter string
		made       int
	}{
		{"made", scripted{}, 200, `"pin":"042137"`, "", 1},
		{"too many", scripted{wait: 5500 * time.Millisecond}, 429, "too-many", "6", 0},
		{"it cannot be counted: fail closed", scripted{counted: unknown}, 503, "unavailable", "2", 0},
		{"not on file", scripted{err: directory.ErrNotFound}, 404, "not-on-file", "", 1},
		{"access is off", scripted{err: gate.ErrNoAccess}, 409, "no-access", "", 1},
		{"no PINs", scripted{err: gate.ErrNoPIN}, 409, "no-pin", "", 1},
		{"locked", scripted{err: gate.ErrLocked}, 409, "Unlock the client first", "", 1},
		{"not verified", scripted{err: gate.ErrNotVerified}, 422, `"field":"verified_by"`, "", 1},
		{"the store cannot tell", scripted{err: unknown}, 503, "unavailable", "2", 1},
		{"a bug", scripted{err: fmt.Errorf("secret detail")}, 500, "problem:failed", "", 1},
	} {
		w := ask(tc.gate.desk(t), "desk", "POST", "/api/v1/pins", good)
		body := w.Body.String()
		if w.Code != tc.status || !strings.Contains(body, tc.kind) || w.Header().Get("Retry-After") != tc.retryAfter || tc.gate.made != tc.made {
			t.Errorf("%s: %d %s, Retry-After %q, made %d", tc.name, w.Code, body, w.Header().Get("Retry-After"), tc.gate.made)
		}
		if w.Code != 200 && strings.Contains(body, "042137") || strings.Contains(body, "detail") || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: tells too much, or may be kept: %s %v", tc.name, body, w.Header())
		}
		if !slices.Equal(tc.gate.audit, []string{"staff_request"}) {
			t.Errorf("%s: audited as %q", tc.name, tc.gate.audit)
		}
		if o := tc.gate.order; tc.made == 1 && o != (gate.PINOrder{Email: "ada@example.com", VerifiedBy: "x", By: "desk"}) {
			t.Errorf("%s: ordered %+v", tc.name, o)
		}
	}
}

// TestMails: each thing that can go wrong with an invitation or a link, and what
// is answered.
func TestMails(t *testing.T) {
	unknown := fmt.Errorf("reading: %w", store.ErrUnknown)
	for _, tc := range []struct {
		name   string
		gate   scripted
		body   string
		status int
		says   string
		mailed int
	}{
		{"queued", scripted{}, `{"return_to":"/forms"}`, 202, `{"queued":true}`, 1},
		{"nothing but the client", scripted{}, ``, 202, `{"queued":true}`, 1},
		{"a member nobody asked for", scripted{}, `{"to":"eve@example.com"}`, 400, "json", 0},
		{"too many", scripted{wait: time.Second}, `{}`, 429, "many mails", 0},
		{"it cannot be counted: fail closed", scripted{counted: unknown}, `{}`, 503, "unavailable", 0},
		{"not on file", scripted{err: directory.ErrNotFound}, `{}`, 404, "not-on-file", 1},
		{"access is off", scripted{err: gate.ErrNoAccess}, `{}`, 409, "Portal access is off", 1},
		{"no consent", scripted{err: gate.ErrNoConsent}, `{}`, 409, "This client does not want email. Make a PIN instead.", 1},
		{"a complaint", scripted{err: gate.ErrWithheld}, `{}`, 409, "withheld", 1},
		{"another site's page", scripted{err: gate.ErrReturnTo}, `{}`, 422, `"field":"return_to"`, 1},
		{"too many words", scripted{err: gate.ErrWords}, `{}`, 422, `"field":"message"`, 1},
		{"the store cannot tell", scripted{err: unknown}, `{}`, 503, "unavailable", 1},
	} {
		for _, at := range []string{"invitation", "link"} {
			g := tc.gate
			w := ask(g.desk(t), "desk", "POST", "/api/v1/clients/c-ada/"+at, tc.body)
			if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.says) || g.mailed != tc.mailed {
				t.Errorf("%s, %s: %d %s, mailed %d", at, tc.name, w.Code, w.Body, g.mailed)
			}
			if g.mailed > 0 && (g.link.By != "desk" || g.link.Client != "c-ada" || g.link.Invite != (at == "invitation")) {
				t.Errorf("%s, %s: ordered %+v", at, tc.name, g.link)
			}
		}
	}
	var g scripted
	for _, at := range []string{"invitation", "link"} {
		w := ask(g.desk(t), "desk", "POST", "/api/v1/clients/c-ada/"+at, `{"message":"Hello","return_to":"/a"}`)
		if w.Code != 202 || g.link.Words != "Hello" || g.link.ReturnTo != "/a" {
			t.Errorf("%s: %d, %+v", at, w.Code, g.link)
		}
	}
}

// TestEvents: staff see what became of a client's mails, and that nothing more is
// sent; of a client with no mail, that there is none.
func TestEvents(t *testing.T) {
	s := new(scripted)
	w := ask(s.desk(t), "desk", "GET", "/api/v1/clients/c-ada/events", "")
	for _, want := range []string{`"fate":"bounced"`, `"reason":"there is no such mailbox"`, `"mails_withheld":true`} {
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%d %s, want %s", w.Code, w.Body, want)
		}
	}
	if w := ask(s.desk(t), "desk", "GET", "/api/v1/clients/c-bob/events", ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"mails":[]`) {
		t.Errorf("without mails: %d %s", w.Code, w.Body)
	}
	s.err = directory.ErrNotFound
	if w := ask(s.desk(t), "desk", "GET", "/api/v1/clients/nobody/events", ""); w.Code != 404 {
		t.Errorf("nobody's: %d", w.Code)
	}
}

// TestEveryRoute walks the router: what a route does it does in the name of who
// asks, and for nobody else. A route that is added is in it.
func TestEveryRoute(t *testing.T) {
	s := new(scripted)
	d := s.desk(t)
	if len(d.Routes()) == 0 {
		t.Fatal("no routes")
	}
	refused := ask(d, "", "GET", "/", "").Body.String()
	for _, rt := range d.Routes() {
		method, path, _ := strings.Cut(rt, " ")
		path = strings.NewReplacer("{id}", "c-ada", "{$}", "").Replace(path)
		if w := ask(d, "", method, path, "{}"); w.Code != 403 || w.Body.String() != refused || s.made+s.mailed+len(s.done) != 0 {
			t.Errorf("%s for nobody: %d %s", rt, w.Code, w.Body)
		}
		r := httptest.NewRequest(method, "https://staff.example.com"+path, nil)
		w := httptest.NewRecorder() // with a handshake that is not over
		r.TLS.HandshakeComplete = false
		if d.ServeHTTP(w, r, Front{Claim: Claim{User: "desk"}, HTTPS: true}); w.Code != 425 {
			t.Errorf("%s as early data: %d", rt, w.Code)
		}
		if w := ask(d, "desk", "PUT", path, "{}"); w.Code != 405 || w.Header().Get("Allow") == "" {
			t.Errorf("PUT %s: %d", path, w.Code)
		}
	}
	for _, rt := range []string{"POST /api/v1/clients/c-ada/pin", "DELETE /api/v1/clients/c-ada/pin", "POST /api/v1/clients/c-ada/unlock", "DELETE /api/v1/clients/c-ada/google"} {
		method, path, _ := strings.Cut(rt, " ")
		if w := ask(d, "desk", method, path, `{}`); w.Code >= 300 {
			t.Errorf("%s: %d %s", rt, w.Code, w.Body)
		}
	}
	if want := []string{"void c-ada by desk", "unlock c-ada by desk", "unlink c-ada by desk"}; !slices.Equal(s.done, want) || s.order.By != "desk" || s.order.Client != "c-ada" {
		t.Errorf("done %q, order %+v", s.done, s.order)
	}
}
