// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"strings"
)

var (
	//go:embed inbox.html
	pageHTML string
	//go:embed inbox.css
	pageCSS string

	page = template.Must(template.New("inbox").Parse(pageHTML))

	// The one style sheet is in the page and named by its hash, so that the
	// policy need not allow any other.
	pagePolicy = "default-src 'none'; style-src '" + hash(pageCSS) + "'; frame-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// A mail is shown as a mail program shows it: no script, nothing from
// elsewhere, and its links open in windows of their own. The policy says so
// a second time, for whoever opens the mail outside its frame.
const (
	sandbox    = "allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"
	mailPolicy = "sandbox " + sandbox + "; default-src 'none'; style-src 'unsafe-inline'; img-src data:; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)

// Handler returns the mailbox: GET / is the list, GET /m/<id> one mail,
// GET /m/<id>/html its HTML part alone, GET /messages.json all of them, newest
// first. Put Loopback in front of it.
func (b *Box) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		list := b.Messages()
		v := view{Home: true, List: list}
		if len(list) > 0 {
			v.Open = &list[0]
		}
		v.write(w)
	})
	mux.HandleFunc("GET /m/{id}", func(w http.ResponseWriter, r *http.Request) {
		v := view{List: b.Messages(), Plain: r.URL.Query().Has("plain")}
		v.Open = find(v.List, r.PathValue("id"))
		v.write(w)
	})
	mux.HandleFunc("GET /m/{id}/html", func(w http.ResponseWriter, r *http.Request) {
		e := find(b.Messages(), r.PathValue("id"))
		if e == nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", mailPolicy)
		w.Write([]byte(inNewWindows(e.HTML)))
	})
	mux.HandleFunc("GET /messages.json", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.Encode(b.Messages())
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("Cross-Origin-Resource-Policy", "same-origin") // no other site's <script src> gets the mails
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

// view is what the page shows.
type view struct {
	List []Entry
	// Open is the mail in the reading pane. Nil on a page about one mail means
	// that it is gone.
	Open *Entry
	// Home reports whether this is the list; a phone then shows no mail.
	Home bool
	// Plain shows the text part.
	Plain bool
}

// Up leads to the list, wherever the mailbox is mounted.
func (v view) Up() string {
	if v.Home {
		return "./"
	}
	return "../"
}

// Style and Sandbox are the page's constants.
func (view) Style() template.CSS { return template.CSS(pageCSS) }
func (view) Sandbox() string     { return sandbox }

func (v view) write(w http.ResponseWriter) {
	var body bytes.Buffer
	if err := page.Execute(&body, v); err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if v.Open == nil && !v.Home {
		w.WriteHeader(http.StatusNotFound)
	}
	w.Write(body.Bytes())
}

func find(list []Entry, id string) *Entry {
	for i := range list {
		if list[i].ID == id {
			return &list[i]
		}
	}
	return nil
}

// inNewWindows makes the links of an HTML mail open in a window of their own.
func inNewWindows(html string) string {
	const base = `<base target="_blank">`
	if before, after, ok := strings.Cut(html, "<head>"); ok {
		return before + "<head>" + base + after
	}
	return base + html
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
