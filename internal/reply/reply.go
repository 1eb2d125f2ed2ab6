// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package reply is how programs are answered: with JSON, and with a problem
// document (RFC 9457) where something is wrong. Every answer says to a browser
// that it is to be kept nowhere, framed by nobody and read by no other site.
//
// What is answered, and to whom, is decided elsewhere.
package reply

import (
	"encoding/json"
	"maps"
	"net/http"
)

// JSON answers with a document.
func JSON(w http.ResponseWriter, r *http.Request, status int, doc any) {
	write(w, r, status, "application/json", doc)
}

// Problem answers that something is wrong. kind is the last part of its type,
// which programs go by and which stays; title is for people; more are further
// members.
func Problem(w http.ResponseWriter, r *http.Request, status int, kind, title string, more map[string]any) {
	doc := map[string]any{"type": "urn:portalgate:problem:" + kind, "title": title, "status": status}
	maps.Copy(doc, more)
	write(w, r, status, "application/problem+json", doc)
}

func write(w http.ResponseWriter, r *http.Request, status int, kind string, doc any) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_ = json.NewEncoder(w).Encode(doc) // the client may be gone
	}
}
