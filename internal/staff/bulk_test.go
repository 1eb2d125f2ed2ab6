// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/store"
)

// TestImport: a list is taken, or only tried, and nothing but a list is. Whoever has
// taken one cannot say later that it was a try: the audit log tells the two apart.
func TestImport(t *testing.T) {
	for _, tc := range []struct {
		query, kind string
		err         error
		status      int
		says, did   string
	}{
		{"", "text/csv", nil, 200, `"done":true`, "import 9 bytes, dry false, by desk"},
		{"?dry_run=1", "text/csv; charset=utf-8", nil, 200, `"done":false`, "import 9 bytes, dry true, by desk"},
		{"?dry_run=yes", "text/csv", nil, 422, `"field":"dry_run"`, ""},
		{"?dry=1", "text/csv", nil, 400, "problem:query", ""},
		{"", "application/json", nil, 415, "as text/csv", ""},
		{"", "text/csv", gate.ErrElsewhere, 409, "problem:elsewhere", "import 9 bytes, dry false, by desk"},
		{"", "text/csv", gate.ErrImportMoved, 409, "problem:moved", "import 9 bytes, dry false, by desk"},
		{"", "text/csv", fmt.Errorf("x: %w", store.ErrUnknown), 503, "problem:unavailable", "import 9 bytes, dry false, by desk"},
	} {
		s := busy()
		s.err = tc.err
		r := request("POST", "/api/v1/clients/import"+tc.query, "id,email\n")
		r.Header.Set("Content-Type", tc.kind)
		if w := serve(s.desk(t), "desk", r); w.Code != tc.status || !strings.Contains(w.Body.String(), tc.says) || s.did() != tc.did {
			t.Errorf("%s as %s: %d %s, did %q", tc.query, tc.kind, w.Code, w.Body, s.did())
		}
		want := "clients_import_asked"
		if strings.HasPrefix(tc.query, "?dry_run") {
			want = "clients_import_try_asked"
		}
		for _, ev := range s.noted {
			if ev.What != want {
				t.Errorf("%s is written down as %s", tc.query, ev.What)
			}
		}
	}
}

// TestExport: half a list is never taken for a whole one.
func TestExport(t *testing.T) {
	s := busy()
	w := ask(s.desk(t), "desk", "GET", "/api/v1/clients/export", "")
	if w.Code != 200 || !strings.Contains(w.Body.String(), "c-ada,") || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/csv") || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
	if got := w.Header().Get("Cross-Origin-Resource-Policy"); got != "same-origin" {
		t.Errorf("another site's page may have it in: %q", got)
	}
	s.err = fmt.Errorf("x: %w", store.ErrUnknown)
	if w := ask(s.desk(t), "desk", "GET", "/api/v1/clients/export", ""); w.Code != 503 || strings.Contains(w.Header().Get("Content-Type"), "csv") {
		t.Errorf("nothing of it: %d %v", w.Code, w.Header())
	}
	s.err, s.torn = nil, errors.New("torn")
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("half a list ends like a whole one")
		}
	}()
	ask(s.desk(t), "desk", "GET", "/api/v1/clients/export", "")
}
