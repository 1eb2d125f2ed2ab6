// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/store"
)

// rules say what each route is: how it is called in the audit log, and what it has
// the gate do (empty for one that only looks). A route that is not here fails
// every test of this file.
var rules = map[string]struct{ what, does string }{
	"GET /api/v1/openapi.json":             {"api_read", ""},
	"GET /api/v1/clients":                  {"clients_searched", ""},
	"POST /api/v1/clients":                 {"client_add_asked", "add c-eve by desk"},
	"POST /api/v1/clients/import":          {"clients_import_asked", "import 9 bytes, dry false, by desk"},
	"GET /api/v1/clients/export":           {"clients_export_asked", ""},
	"GET /api/v1/clients/{id}":             {"client_read", ""},
	"PATCH /api/v1/clients/{id}":           {"client_change_asked", "change c-ada by desk"},
	"DELETE /api/v1/clients/{id}":          {"client_remove_asked", "remove c-ada 3 by desk"},
	"GET /api/v1/clients/{id}/sessions":    {"sessions_read", ""},
	"DELETE /api/v1/clients/{id}/sessions": {"sessions_end_asked", "end c-ada by desk"},
	"POST /api/v1/pins":                    {"pin_asked", "pin by desk"},
	"POST /api/v1/clients/{id}/pin":        {"pin_asked", "pin by desk"},
	"DELETE /api/v1/clients/{id}/pin":      {"pin_void_asked", "void c-ada by desk"},
	"POST /api/v1/clients/{id}/unlock":     {"unlock_asked", "unlock c-ada by desk"},
	"POST /api/v1/clients/{id}/invitation": {"invitation_asked", "mail c-ada by desk"},
	"POST /api/v1/clients/{id}/link":       {"link_asked", "mail c-ada by desk"},
	"DELETE /api/v1/clients/{id}/google":   {"unlink_asked", "unlink c-ada by desk"},
	"GET /api/v1/clients/{id}/events":      {"client_events_read", ""},
	"GET /api/v1/events":                   {"events_read", ""},

	"GET /{$}":                      {"clients_searched", ""},
	"GET /new":                      {"client_add_shown", ""},
	"POST /new":                     {"client_add_asked", "add c-new by desk"},
	"GET /card":                     {"card_read", ""},
	"GET /audit":                    {"events_read", ""},
	"GET /lists":                    {"lists_shown", ""},
	"POST /lists/try":               {"clients_import_try_asked", "import 9 bytes, dry true, by desk"},
	"POST /lists/import":            {"clients_import_asked", "import 9 bytes, dry false, by desk"},
	"POST /lists/export":            {"clients_export_asked", ""},
	"GET /clients/{id}":             {"client_read", ""},
	"GET /clients/{id}/edit":        {"client_read", ""},
	"POST /clients/{id}/edit":       {"client_change_asked", "change c-ada by desk"},
	"POST /clients/{id}/access":     {"client_change_asked", "change c-ada by desk"},
	"GET /clients/{id}/delete":      {"client_read", ""},
	"POST /clients/{id}/delete":     {"client_remove_asked", "remove c-ada 3 by desk"},
	"GET /clients/{id}/invitation":  {"client_read", ""},
	"POST /clients/{id}/invitation": {"invitation_asked", "mail c-ada by desk"},
	"GET /clients/{id}/link":        {"client_read", ""},
	"POST /clients/{id}/link":       {"link_asked", "mail c-ada by desk"},
	"GET /clients/{id}/pin":         {"client_read", ""},
	"POST /clients/{id}/pin":        {"pin_asked", "pin by desk"},
	"POST /clients/{id}/pin/void":   {"pin_void_asked", "void c-ada by desk"},
	"POST /clients/{id}/unlock":     {"unlock_asked", "unlock c-ada by desk"},
	"POST /clients/{id}/unlink":     {"unlink_asked", "unlink c-ada by desk"},
	"POST /clients/{id}/sign-out":   {"sessions_end_asked", "end c-ada by desk"},
}

// everyRoute calls f with each route and a request that it takes.
func everyRoute(t *testing.T, f func(rt string, fresh func() *http.Request)) {
	t.Helper()
	seen := 0
	for _, rt := range busy().desk(t).Routes() {
		if _, ok := rules[rt]; !ok {
			t.Errorf("%s has no rule: say who may do it, and what it does", rt)
			continue
		}
		seen++
		method, path, _ := strings.Cut(rt, " ")
		f(rt, func() *http.Request {
			api := strings.HasPrefix(path, "/api/v1")
			body := "version=3&verified=1&access=no&list=aWQsZW1haWwK"
			if api {
				body = bodies[method+" "+strings.TrimPrefix(path, "/api/v1")]
			}
			if rt == "POST /lists/try" {
				return chosen("willow.csv", []byte("id,email\n"))
			}
			r := request(method, strings.NewReplacer("{id}", "c-ada", "{$}", "").Replace(path), body)
			if !api {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			if api && strings.HasSuffix(path, "/import") {
				r.Header.Set("Content-Type", "text/csv")
			}
			r.Header.Set("If-Match", `"3"`)
			return r
		})
	}
	if seen != len(rules) {
		t.Errorf("%d routes and %d rules: some have no route", seen, len(rules))
	}
}

// did is what the gate was made to do.
func (s *scripted) did() string {
	done := slices.Clone(s.done)
	if s.made > 0 {
		done = append(done, "pin by "+s.order.By)
	}
	if s.mailed > 0 {
		done = append(done, "mail "+s.link.Client+" by "+s.link.By)
	}
	return strings.Join(done, ", ")
}

// C01: whoever is no staff gets one and the same answer from every route, before
// anything is looked at: nobody, a client of the gate that is looked after, one of
// another gate, who came by the staff's gate without signing in, an id that is not
// allowed, a request on its way to an error page.
func TestC01_AuthorizationMatrix(t *testing.T) {
	through := func(name string, in bool) []gate.Passage { return []gate.Passage{{Gate: name, SignedIn: in}} }
	claims := map[string]Claim{
		"nobody":                              {},
		"a client":                            {User: "c-ada", Passages: through("main", true)},
		"a client who is called like staff":   {User: "desk", Passages: through("main", true)},
		"a client of another gate":            {User: "desk", Passages: through("other", true)},
		"on a public path of the gate":        {User: "desk", Passages: through("main", false)},
		"on a public path of the staff's":     {User: "desk", Passages: through("staff", false)},
		"staff, and then a client":            {User: "desk", Passages: append(through("staff", true), through("main", true)...)},
		"staff who is not allowed":            {User: "cook", Passages: through("staff", true)},
		"in front of an error page":           {User: "desk", Passages: through("staff", true), Afterwards: true},
		"an id that would break out of a log": {User: "desk\nby=boss", Passages: through("staff", true)},
	}
	allowed := Claim{User: "desk", Passages: through("staff", true)}
	rule := Rule{Gate: "staff", Allow: []string{"desk", "desk\nby=boss"}}
	serve := func(s *scripted, c Claim, r *http.Request) *httptest.ResponseRecorder {
		d := s.desk(t)
		d.Rule = rule
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r, Front{Claim: c, HTTPS: true})
		return w
	}
	refused := serve(busy(), Claim{}, request("GET", "/", "")).Body.String()
	everyRoute(t, func(rt string, fresh func() *http.Request) {
		for name, c := range claims {
			s := busy()
			w := serve(s, c, fresh())
			if w.Code != 403 || w.Body.String() != refused || s.did() != "" || len(s.noted) != 0 {
				t.Errorf("%s, %s: %d %s, did %q", rt, name, w.Code, w.Body, s.did())
			}
			if !slices.Equal(s.audit, []string{"staff_refused"}) {
				t.Errorf("%s, %s: audited as %q", rt, name, s.audit)
			}
		}
		s := busy()
		w := serve(s, allowed, fresh())
		if w.Code >= 400 || s.did() != rules[rt].does {
			t.Errorf("%s, allowed: %d %s, did %q, want %q", rt, w.Code, w.Body, s.did(), rules[rt].does)
		}
		if len(s.noted) != 1 || s.noted[0].What != rules[rt].what || s.noted[0].By != "desk" || strings.Contains(rt, "{id}") != (s.noted[0].Client == "c-ada") {
			t.Errorf("%s: noted as %+v, want %s", rt, s.noted, rules[rt].what)
		}
	})
}

// C02: a page of another site, in the browser of one of the staff, sends what it
// can; and a name that was made to point here (DNS rebinding) makes the page of
// the attacker one of the same origin.
func TestC02_OtherSites(t *testing.T) {
	everyRoute(t, func(rt string, fresh func() *http.Request) {
		s := busy()
		rebound := fresh()
		rebound.Host, rebound.TLS = "evil.example:8081", nil
		w := httptest.NewRecorder()
		if s.desk(t).ServeHTTP(w, rebound, Front{Claim: Claim{User: "desk"}}); w.Code != 421 || s.did() != "" {
			t.Errorf("%s by another name: %d, did %q", rt, w.Code, s.did())
		}
		if strings.HasPrefix(rt, "GET ") {
			return // it changes nothing: see the rules
		}
		for _, header := range [][2]string{
			{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Origin", "https://sibling.example.com"},
			{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
		} {
			s, r := busy(), fresh()
			r.Header.Set(header[0], header[1])
			if w := serve(s.desk(t), "desk", r); w.Code != 403 || s.did() != "" {
				t.Errorf("%s with %v: %d, did %q", rt, header, w.Code, s.did())
			}
		}
		if strings.HasPrefix(rt, "DELETE ") {
			return // it has no body, and no other site's page can send one
		}
		kinds := []string{"text/plain", "multipart/form-data; boundary=x", "application/json", ""}
		if strings.Contains(rt, "/api/") {
			kinds[2] = "application/x-www-form-urlencoded"
		}
		if rt == "POST /lists/try" {
			kinds[1] = "application/x-www-form-urlencoded"
		}
		for _, kind := range kinds {
			s, r := busy(), fresh()
			r.Header.Set("Content-Type", kind)
			if w := serve(s.desk(t), "desk", r); w.Code != 415 || s.did() != "" {
				t.Errorf("%s as %q: %d, did %q", rt, kind, w.Code, s.did())
			}
		}
	})
}

// C03: nothing that staff or their programs send makes the gate fetch anything:
// there is no member for an address of a server, and what is to be landed on is a
// path of the portal, which the gate checks.
func TestC03_NothingIsFetched(t *testing.T) {
	for rt, body := range bodies {
		if !strings.HasPrefix(body, "{") {
			continue // a list of clients has no such column: see package csv
		}
		method, path, _ := strings.Cut(rt, " ")
		path = "/api/v1" + strings.ReplaceAll(path, "{id}", "c-ada")
		for _, member := range []string{"url", "issuer", "webhook", "jwks", "callback", "host"} {
			s := busy()
			sent := strings.TrimSuffix(body, "}")
			if sent != "{" {
				sent += ","
			}
			w := ask(s.desk(t), "desk", method, path, sent+`"`+member+`":"http://169.254.169.254/"}`)
			if w.Code != 400 || s.did() != "" {
				t.Errorf("%s with %s: %d %s", rt, member, w.Code, w.Body)
			}
		}
	}
	s := busy()
	s.err = gate.ErrReturnTo
	if w := ask(s.desk(t), "desk", "POST", "/api/v1/clients/c-ada/link", `{"return_to":"http://169.254.169.254/"}`); w.Code != 422 {
		t.Errorf("another site to land on: %d %s", w.Code, w.Body)
	}
}

// C08: an account of the staff is taken over. Whoever is taken off the list is out
// with the next request; while they are in they do no more than one can who works
// there, and all of it, looking included, is written down under their id.
func TestC08_StaffWhoAreNoMore(t *testing.T) {
	s := busy()
	d := s.desk(t)
	d.Rule.Allow = []string{"desk", "gone"}
	if w := ask(d, "gone", "GET", "/clients/c-ada", ""); w.Code != 200 || s.noted[0].By != "gone" || s.noted[0].Client != "c-ada" {
		t.Errorf("%d, noted %+v", w.Code, s.noted)
	}
	d.Rule.Allow = []string{"desk"}
	for _, path := range []string{"/clients/c-ada", "/api/v1/clients", "/audit"} {
		if w := ask(d, "gone", "GET", path, ""); w.Code != 403 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// TestRefusalsAreWrittenDown: what was asked for is written down before, and that
// it was refused after, with a word for why.
func TestRefusalsAreWrittenDown(t *testing.T) {
	for _, tc := range []struct {
		err     error
		outcome string
	}{
		{gate.ErrNoAccess, "no-access"},
		{directory.ErrNotFound, "not-on-file"},
		{store.ErrUnknown, "unavailable"},
		{nil, ""},
	} {
		s := &scripted{err: tc.err}
		ask(s.desk(t), "desk", "POST", "/api/v1/pins", `{"email":"ada@example.com","verified_by":"x"}`)
		var got []string
		for _, e := range s.noted {
			got = append(got, e.What+" "+e.Outcome)
		}
		want := []string{"pin_asked "}
		if tc.outcome != "" {
			want = append(want, "pin_asked "+tc.outcome)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v: noted %q, want %q", tc.err, got, want)
		}
	}
}
