// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// willow is a practice like any.
func willow() Practice {
	return Practice{
		Name: "Willow Creek Counseling", Phone: "+1 555 0100", Email: "hello@willow.example",
		From:      "portal@willow.example",
		PublicURL: &url.URL{Scheme: "https", Host: "portal.example.com"},
	}
}

func ui(t testing.TB, p Practice) *UI {
	t.Helper()
	u, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Practice)
		want   string
	}{
		{"no name", func(p *Practice) { p.Name = "" }, "no name"},
		{"no way to reach it", func(p *Practice) { p.Phone, p.Email = "", "" }, "cannot be reached"},
		{"no sender", func(p *Practice) { p.From = "" }, "mails come from"},
		{"no URL", func(p *Practice) { p.PublicURL = nil }, "public URL"},
		{"script for new clients", func(p *Practice) { p.NewClients = "javascript:alert(1)" }, "new clients"},
		{"path for new clients", func(p *Practice) { p.NewClients = "/welcome" }, "new clients"},
		{"large logo", func(p *Practice) { p.Logo = append([]byte("<svg"), make([]byte, maxLogo)...) }, "KB"},
		{"a page as a logo", func(p *Practice) { p.Logo = []byte("<!doctype html><script>") }, "not an SVG"},
		{"pale accent", func(p *Practice) { p.Accent = "#ffee00" }, "nearest"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			p := willow()
			tc.change(&p)
			if _, err := New(p); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("New: error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestNewFillsIn(t *testing.T) {
	p := ui(t, willow()).Practice()
	if p.Accent != DefaultAccent || p.Path != "/sign-in" || p.Zone == nil {
		t.Errorf("Practice() = accent %q, path %q, zone %v", p.Accent, p.Path, p.Zone)
	}
}

func TestLogo(t *testing.T) {
	for logo, want := range map[string]string{
		"\x89PNG\r\n\x1a\n....":                                 "image/png",
		"\xff\xd8\xff\xe0....":                                  "image/jpeg",
		"RIFF....WEBPVP8 ":                                      "image/webp",
		"<svg xmlns='http://www.w3.org/2000/svg'/>":             "image/svg+xml",
		"\ufeff\n<?xml version='1.0'?>\n<!-- us --><svg></svg>": "image/svg+xml",
	} {
		p := willow()
		p.Logo = []byte(logo)
		u := ui(t, p)
		w := httptest.NewRecorder()
		u.ServeLogo(w, httptest.NewRequest("GET", "/sign-in/logo", nil))
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != want || w.Body.String() != logo {
			t.Errorf("logo %.8q: %d %s", logo, w.Code, w.Header().Get("Content-Type"))
		}
		if page := render(t, u, Page{Title: "landing.title"}).Body.String(); !strings.Contains(page, `<img src="/sign-in/logo" alt="Willow Creek Counseling">`) {
			t.Errorf("logo %.8q is not on the page", logo)
		}
	}
}

// An SVG opened by its own address is a document: its scripts would run on
// the portal's origin.
func TestW08_LogoRunsNothing(t *testing.T) {
	p := willow()
	p.Logo = []byte("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
	w := httptest.NewRecorder()
	ui(t, p).ServeLogo(w, httptest.NewRequest("GET", "/sign-in/logo", nil))
	csp := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "sandbox"} {
		if !strings.Contains(csp, want) {
			t.Errorf("Content-Security-Policy %q lacks %q", csp, want)
		}
	}
	if strings.Contains(csp, "script-src") || strings.Contains(csp, "allow-scripts") {
		t.Errorf("Content-Security-Policy %q allows scripts", csp)
	}
	if w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Error("the logo's type can be guessed anew")
	}
}

func TestNoLogo(t *testing.T) {
	w := httptest.NewRecorder()
	ui(t, willow()).ServeLogo(w, httptest.NewRequest("GET", "/sign-in/logo", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("no logo: %d, want 404", w.Code)
	}
}
