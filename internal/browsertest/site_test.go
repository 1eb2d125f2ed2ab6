// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// site is a web site of the test's own, behind the gate or elsewhere, that
// remembers what browsers told it.
type site struct {
	addr    string
	control string // Cache-Control

	mu    sync.Mutex
	pages map[string]string
	seen  []string // URIs and Referers
}

func newSite(t testing.TB) *site {
	s := &site{control: "no-store", pages: map[string]string{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen = append(s.seen, r.RequestURI+" from "+r.Referer())
		w.Header().Set("Content-Type", "text/html")
		if s.control != "" {
			w.Header().Set("Cache-Control", s.control)
		}
		io.WriteString(w, "<!doctype html><title>-</title>"+s.pages[r.URL.Path])
	}))
	t.Cleanup(server.Close)
	s.addr = strings.TrimPrefix(server.URL, "http://")
	return s
}

func (s *site) page(path, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[path] = body
}

func (s *site) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.seen...)
}
