// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Every address of ours answers a plain GET without cookies with something a
// person can use: bookmarked, reloaded, typed, in an app's browser.
func TestNoDeadEnds(t *testing.T) {
	w := newWorld(t)
	machines := []string{"/sign-in/session", jwksPath}
	paths := []string{"/sign-in/", "/sign-in/nothing", "/sign-in/link/", "/sign-in/link/again/x", "/sign-in/magic_link", "/sign-in/google", "/sign-in/%2e%2e/x"}
	for p := range w.h.routes {
		if p != "/sign-in/session.js" { // nobody goes there
			paths = append(paths, p)
		}
	}
	for _, path := range paths {
		for _, query := range []string{"", "?return_to=/files/42", "?t=rubbish", "?x=%zz", "?done=1&all=1&shared=1&again=1"} {
			b := w.browser()
			p := b.get(path + query)
			if slices.Contains(machines, path) {
				if p.is(200); !json.Valid([]byte(p.body)) {
					t.Errorf("%s%s is no JSON", path, query)
				}
				continue
			}
			if p.status != http.StatusOK || !strings.HasPrefix(p.header.Get("Content-Type"), "text/html") {
				t.Errorf("%s%s ends in %d %s", path, query, p.status, p.header.Get("Content-Type"))
				continue
			}
			if !strings.Contains(p.body, "<h1>") || !strings.Contains(p.body, `href="/sign-in`) {
				t.Errorf("%s%s ends on a page with nothing to press:\n%s", path, query, p.text())
			}
			if path != "/sign-in/help" && !strings.Contains(p.body, `href="/sign-in/help"`) {
				t.Errorf("%s%s: help is out of reach", path, query)
			}
			// Reloaded with what the first visit left.
			if again := b.get(path + query); again.status != http.StatusOK {
				t.Errorf("%s%s reloaded ends in %d", path, query, again.status)
			}
		}
	}
	if len(w.upstream()) != 0 {
		t.Error("an address of ours reached the portal")
	}
	if w.writes() != 0 && w.db.puts.Load() != 0 {
		t.Error("looking around was written down")
	}
}

// Nor are they dead ends for a client who is signed in.
func TestNoDeadEndsSignedIn(t *testing.T) {
	w := newWorld(t)
	b := w.signIn("ada@example.com")
	for path := range w.h.routes {
		if p := b.copy().get(path); p.status != http.StatusOK {
			t.Errorf("%s ends in %d for a client who is signed in", path, p.status)
		}
	}
	if !b.signedIn() {
		t.Error("looking around signed the client out")
	}
}

// A rewrite makes of a public path, from a query or by a capture, one that leads
// out of what is public once the upstream cleans it.
func TestH07_RewrittenOut(t *testing.T) {
	w := newWorld(t, public("/assets/*"))
	for _, tc := range []struct {
		original, now string
		status        int
	}{
		{"/assets/x?f=y.css", "/assets/y.css", 200},
		{"/assets/x?f=../secret", "/assets/../secret", 400},
		{"/assets/x?f=..%2Fsecret", "/assets/..%2Fsecret", 400},
		{"/assets/x?f=;/../secret", "/assets/;/../secret", 400},
		{"/assets/x", "/secret", 401},
	} {
		r := httptest.NewRequest("GET", w.front+tc.now, nil)
		original, err := url.Parse(tc.original)
		if err != nil {
			t.Fatal(err)
		}
		rec := httptest.NewRecorder()
		err = w.h.ServeHTTP(rec, r, Front{Original: original}, func(rw http.ResponseWriter, _ *http.Request) error { return nil })
		if err != nil || rec.Code != tc.status {
			t.Errorf("%s as %s: %d, %v, want %d", tc.original, tc.now, rec.Code, err, tc.status)
		}
	}
}
