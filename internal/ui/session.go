// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"
)

//go:embed session.js
var sessionJS string

var warning = compact(sessionJS)

// ServeSession answers with the script that a portal's own pages include, to
// warn whoever is at them before they are signed out. It says nothing about
// anybody and is the same for everybody.
func (u *UI) ServeSession(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("ETag", u.sessionTag)
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(u.session))
}

// sessionScript returns the script with the practice's words and colours.
func (u *UI) sessionScript() string {
	say := func(key string) string { return u.Text(key, nil) }
	light, label, _, _, err := accents(u.practice.Accent)
	args, jsonErr := json.Marshal([]string{
		u.practice.Path, say("warn.title"), say("warn.lead"), say("warn.stay"), say("warn.out"),
		say("ended.title"), say("ended.button"), light, label,
	})
	if err != nil || jsonErr != nil {
		panic("ui: the accent was checked and strings always encode")
	}
	return warning + "(" + strings.Trim(string(args), "[]") + ")\n"
}

var (
	comment = regexp.MustCompile(`(?m)^\s*//.*$| // .*$`)
	spaced  = regexp.MustCompile(`"[^"]*"|\s*[-=+*/?:,{}()<>&|;!]+\s*`)
)

// compact takes the comments and the space around signs out of a script whose
// statements end in semicolons and whose strings hold no quotes.
func compact(script string) string {
	script = comment.ReplaceAllString(script, "")
	return strings.TrimSpace(spaced.ReplaceAllStringFunc(script, func(s string) string {
		if s[0] == '"' {
			return s
		}
		return strings.TrimSpace(s)
	}))
}
