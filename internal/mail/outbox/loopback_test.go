// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// The attack: evil.example answers first with its own address, then with
// 127.0.0.1. Its script, running in the browser of whoever tries Portalgate
// out, then reads http://evil.example:8025/messages.json as its own origin,
// links included. The peer is loopback; only the Host header tells.
func TestC02_Rebinding(t *testing.T) {
	for _, tc := range []struct {
		peer, host string
		ok         bool
	}{
		{"127.0.0.1:5000", "localhost:8025", true},
		{"127.0.0.1:5000", "localhost", true},
		{"127.0.0.1:5000", "LOCALHOST:8025", true},
		{"127.0.0.1:5000", "inbox.localhost:8025", true},
		{"127.8.9.1:5000", "127.1.2.3:8025", true},
		{"[::1]:5000", "[::1]:8025", true},
		{"[::1]:5000", "[::1]", true},
		{"[::ffff:127.0.0.1]:5000", "localhost:8025", true},

		{"127.0.0.1:5000", "evil.example:8025", false},
		{"127.0.0.1:5000", "localhost.evil.example", false},
		{"127.0.0.1:5000", "notlocalhost", false},
		{"127.0.0.1:5000", "127.0.0.1.evil.example:8025", false},
		{"127.0.0.1:5000", "127.0.0.1@evil.example", false},
		{"127.0.0.1:5000", "0.0.0.0:8025", false},
		{"127.0.0.1:5000", "192.168.1.7:8025", false},
		{"127.0.0.1:5000", "[2001:db8::1]:8025", false},
		{"127.0.0.1:5000", "", false},
		{"192.168.1.8:5000", "localhost:8025", false},
		{"[2001:db8::2]:5000", "localhost:8025", false},
		{"@", "localhost", false}, // a unix socket: nobody can say who is behind it
		{"", "localhost", false},
	} {
		passed := false
		h := Loopback(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed = true }))
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Host = tc.peer, tc.host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if passed != tc.ok || (w.Code == http.StatusForbidden) == tc.ok {
			t.Errorf("peer %q, host %q: passed = %v with %d, want %v", tc.peer, tc.host, passed, w.Code, tc.ok)
		}
	}
}
