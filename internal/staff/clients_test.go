// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/store"
)

// TestClientsAPI holds each way to ask about clients to its answer.
func TestClientsAPI(t *testing.T) {
	const one = "/api/v1/clients/c-ada"
	for _, tc := range []struct {
		name, method, path, body, match string
		err                             error
		kept                            bool
		status                          int
		says                            string
		did                             string
	}{
		{"all", "GET", "/api/v1/clients", "", "", nil, true, 200, `"next":"n2"`, ""},
		{"an exact address", "GET", "/api/v1/clients?email=ada@example.com", "", "", nil, true, 200, `"id":"c-ada"`, ""},
		{"an address that is not on file", "GET", "/api/v1/clients?email=eve@example.com", "", "", nil, true, 200, `{"clients":[],"link_asked_at":"2026-11-26T09:30:00Z"}`, ""},
		{"a parameter nobody asked for", "GET", "/api/v1/clients?name=ada", "", "", nil, true, 400, "problem:query", ""},
		{"a parameter twice", "GET", "/api/v1/clients?q=a&q=b", "", "", nil, true, 400, "problem:query", ""},
		{"a broken query", "GET", "/api/v1/clients?q=%zz", "", "", nil, true, 400, "problem:query", ""},
		{"too many at once", "GET", "/api/v1/clients?limit=501", "", "", nil, true, 422, `"field":"limit"`, ""},
		{"a list that cannot say", "GET", "/api/v1/clients?q=a", "", "", gate.ErrUnlisted, true, 409, "problem:unlisted", ""},
		{"a list that does not answer", "GET", "/api/v1/clients?q=a", "", "", fmt.Errorf("x: %w", store.ErrUnknown), true, 503, "problem:unavailable", ""},
		{"one", "GET", one, "", "", nil, true, 200, `"pin_until":"2026-11-26T11:30:00Z"`, ""},
		{"nobody", "GET", "/api/v1/clients/c-eve", "", "", nil, true, 404, "problem:not-on-file", ""},
		{"no id", "GET", "/api/v1/clients/%2e%2e", "", "", nil, true, 404, "", ""},
		{"added", "POST", "/api/v1/clients", `{"email":"eve@example.com"}`, "", nil, true, 201, `"portal_access":true,"email_ok":true`, "add c-new by desk"},
		{"added with a member nobody asked for", "POST", "/api/v1/clients", `{"email":"eve@example.com","version":7}`, "", nil, true, 400, "unknown field", ""},
		{"an id that was somebody's", "POST", "/api/v1/clients", `{"id":"c-old","email":"eve@example.com"}`, "", directory.ErrDeleted, true, 409, "never given again", "add c-old by desk"},
		{"a field that cannot be kept", "POST", "/api/v1/clients", `{"email":"eve"}`, "", &directory.Invalid{Field: "email", Text: "does not look like an address"}, true, 422, `"field":"email"`, "add c-new by desk"},
		{"changed", "PATCH", one, `{"portal_access":false}`, `"3"`, nil, true, 200, `"portal_access":false,"email_ok":true`, "change c-ada by desk"},
		{"changed, by version", "PATCH", one, `{"name":"Ada King","version":3}`, "", nil, true, 200, `"version":4`, "change c-ada by desk"},
		{"changed, whatever it is", "PATCH", one, `{"name":"Ada King"}`, "*", nil, true, 200, `Ada King`, "change c-ada by desk"},
		{"changed meanwhile", "PATCH", one, `{"name":"Ada King"}`, `"2"`, nil, true, 412, "problem:changed", ""},
		{"changed in that moment", "PATCH", one, `{"name":"Ada King"}`, `"3"`, directory.ErrChanged, true, 412, "problem:changed", "change c-ada by desk"},
		{"two versions", "PATCH", one, `{"version":3}`, `"2"`, nil, true, 412, "problem:changed", ""},
		{"no version", "PATCH", one, `{"name":"Ada King"}`, "", nil, true, 428, "problem:version", ""},
		{"two values", "PATCH", one, `{"version":3}{"name":"x"}`, "", nil, true, 400, "more than one value", ""},
		{"another's id", "PATCH", one, `{"id":"c-bob"}`, `"3"`, nil, true, 400, "unknown field", ""},
		{"removed", "DELETE", one, "", `"3"`, nil, true, 204, "", "remove c-ada 3 by desk"},
		{"removed, changed meanwhile", "DELETE", one, "", `"1"`, nil, true, 412, "problem:changed", ""},
		{"removed without a version", "DELETE", one, "", "", nil, true, 428, "problem:version", ""},
		{"kept elsewhere", "PATCH", one, `{"name":"x"}`, "", nil, false, 409, "Your list of clients is kept elsewhere.", ""},
		{"kept elsewhere", "DELETE", one, "", `"3"`, nil, false, 409, "problem:elsewhere", ""},
		{"sessions", "GET", one + "/sessions", "", "", nil, true, 200, `"kind":"Safari on iPhone"`, ""},
		{"sessions of what is no id", "DELETE", "/api/v1/clients/a%20b/sessions", "", "", nil, true, 404, "problem:not-on-file", ""},
		{"events", "GET", "/api/v1/events?what=pin_issued&limit=2", "", "", nil, true, 200, `"next":"n2"`, ""},
		{"events of no time", "GET", "/api/v1/events?since=yesterday", "", "", nil, true, 422, `"field":"since"`, ""},
		{"a client's events", "GET", one + "/events?cursor=n2", "", "", nil, true, 200, `"mails_withheld":true`, ""},
	} {
		s := busy()
		s.err, s.roster.Kept = tc.err, tc.kept
		r := request(tc.method, tc.path, tc.body)
		if tc.match != "" {
			r.Header.Set("If-Match", tc.match)
		}
		w := serve(s.desk(t), "desk", r)
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.says) || s.did() != tc.did {
			t.Errorf("%s: %d %s, did %q; want %d with %q, %q", tc.name, w.Code, w.Body, s.did(), tc.status, tc.says, tc.did)
		}
	}
}

// TestPatchChangesWhatIsThere: what is left out stays.
func TestPatchChangesWhatIsThere(t *testing.T) {
	s := busy()
	was := s.sheet.Client
	ask(s.desk(t), "desk", "PATCH", "/api/v1/clients/c-ada", `{"version":3,"email":"a@example.com","email_ok":false,"phone":""}`)
	want := was
	want.Email, want.EmailOK, want.Phone = "a@example.com", false, ""
	if s.changed != want {
		t.Errorf("%+v, want %+v", s.changed, want)
	}
}

// TestEventFilters: the API's filters reach the trail as they are meant.
func TestEventFilters(t *testing.T) {
	s := busy()
	ask(s.desk(t), "desk", "GET", "/api/v1/events?client=c-ada&by=desk&what=pin_issued&since=2026-11-25T00:00:00Z&until=2026-11-26T12:00:00%2B01:00&cursor=n&limit=7", "")
	f := s.filter
	if f.Until.UTC() != time.Date(2026, 11, 26, 11, 0, 0, 0, time.UTC) {
		t.Errorf("until %v", f.Until)
	}
	f.Until = time.Time{}
	if want := (audit.Filter{Client: "c-ada", By: "desk", What: "pin_issued", Since: time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC), Cursor: "n", Limit: 7}); f != want {
		t.Errorf("%+v, want %+v", f, want)
	}
	ask(s.desk(t), "desk", "GET", "/api/v1/clients/c-ada/events?limit=3", "")
	if want := (audit.Filter{Client: "c-ada", Limit: 3}); s.filter != want {
		t.Errorf("%+v, want %+v", s.filter, want)
	}
}
