// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func serveSession(u *UI, method string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/sign-in/session.js", nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	u.ServeSession(w, r)
	return w
}

func TestSessionScript(t *testing.T) {
	w := serveSession(ui(t, willow()), "GET")
	for name, want := range map[string]string{
		"Content-Type":                 "text/javascript; charset=utf-8",
		"Cache-Control":                "no-cache",
		"Cross-Origin-Resource-Policy": "same-origin",
		"X-Content-Type-Options":       "nosniff",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	body := w.Body.String()
	if w.Code != http.StatusOK || len(body) >= 2<<10 {
		t.Errorf("%d with %d bytes, want 200 with less than 2 KB", w.Code, len(body))
	}
	for _, key := range []string{"warn.title", "warn.lead", "warn.stay", "warn.out", "ended.title", "ended.button"} {
		if !strings.Contains(body, `"`+texts[key]+`"`) {
			t.Errorf("the script does not say %s", key)
		}
	}
	// What a portal's Content-Security-Policy of 'self' forbids.
	for _, no := range []string{"eval", "Function(", "innerHTML", `setAttribute("style"`, "SPDX", "//"} {
		if strings.Contains(body, no) {
			t.Errorf("the script has %s in it", no)
		}
	}
}

func TestSessionScriptIsAskedForAgain(t *testing.T) {
	first := serveSession(ui(t, willow()), "GET")
	tag := first.Header().Get("ETag")
	if w := serveSession(ui(t, willow()), "GET", "If-None-Match", tag); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
		t.Errorf("the same script again: %d with %d bytes, want 304", w.Code, w.Body.Len())
	}
	p := willow()
	p.Accent = "#8a3324"
	if w := serveSession(ui(t, p), "GET", "If-None-Match", tag); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), p.Accent) {
		t.Errorf("the script in another colour: %d, want 200", w.Code)
	}
	if w := serveSession(ui(t, willow()), "HEAD"); w.Code != http.StatusOK || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d with %d bytes", w.Code, w.Body.Len())
	}
}

// A path is the operator's, and no part of the program.
func TestSessionScriptQuotes(t *testing.T) {
	p := willow()
	p.Path = `/x");alert("1`
	if body := serveSession(ui(t, p), "GET").Body.String(); !strings.HasSuffix(body, `"#ffffff")`+"\n") || !strings.Contains(body, `"/x\");alert(\"1"`) {
		t.Errorf("the path got out of its quotes: %s", body[len(body)-300:])
	}
}

func TestCompact(t *testing.T) {
	const script = `// a notice

(a => {
	// Why.
	let b = a ? 1 : "two  =  three; four"; // because
	async function c (d) {
		if (!b) d ();
		else b = 1e3 * (b - 2);
	}
})
`
	const want = `(a=>{let b=a?1:"two  =  three; four";async function c(d){if(!b)d();else b=1e3*(b-2);}})`
	if got := compact(script); got != want {
		t.Errorf("compact:\n%s\nwant\n%s", got, want)
	}
}
