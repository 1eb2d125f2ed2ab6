// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

//go:embed page.html
var pageHTML string

//go:embed style.css
var styleCSS string

//go:embed link.js
var linkJS string

var (
	page   = template.Must(template.New("page").Parse(pageHTML))
	style  = afterNotice(styleCSS, "*/\n")
	script = afterNotice(linkJS, "\n\n")
)

// afterNotice cuts a file's copyright notice, which no phone has to load.
func afterNotice(file, end string) string {
	_, rest, _ := strings.Cut(file, end)
	return rest
}

// Render answers with a page. The same page has the same bytes, always.
func (u *UI) Render(w http.ResponseWriter, r *http.Request, p Page) {
	v := u.view(p)
	var body bytes.Buffer
	if err := page.Execute(&body, v); err != nil {
		panic("ui: " + err.Error()) // our template and our data: a bug, and seen by the first test that renders
	}
	u.setHeaders(w.Header(), v.Script != "")
	if v.Desk != nil {
		w.Header().Set("Content-Security-Policy", u.deskPlain)
	}
	if v.Away != "" {
		w.Header().Set("Referrer-Policy", "no-referrer") // there is no form on it
	}
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	if p.Status == 0 {
		p.Status = http.StatusOK
	}
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body.Bytes()) // whoever is gone does not need the page
	}
}

// setHeaders sets what every page of ours says to a browser: keep nothing,
// load nothing, be framed by nobody, tell no other site where you come from.
func (u *UI) setHeaders(h http.Header, scripted bool) {
	csp := u.plain
	if scripted {
		csp = u.scripted
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", "en")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", csp)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
	// Not no-referrer: under that a browser posts "Origin: null", and our own
	// forms would look like those of a stranger.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Robots-Tag", "noindex")
	if u.practice.PublicURL.Scheme == "https" {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// policy returns a Content-Security-Policy that allows the sources given, if
// not empty, and the practice's logo.
func policy(sources ...string) string {
	p := "default-src 'none'; "
	for _, s := range sources {
		if s != "" {
			p += s + "; "
		}
	}
	return p + "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}

// digest returns the name by which a policy allows one inline style or script.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
