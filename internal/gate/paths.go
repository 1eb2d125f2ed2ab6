// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"net/url"
	"path"
	"strings"
)

// pattern is a public path: exact, or a prefix if it ended in "*".
type pattern struct {
	path   string
	prefix bool
}

// parsePatterns reads a list of paths of a kind.
func parsePatterns(kind string, paths []string) (all []pattern, err error) {
	for _, s := range paths {
		p, err := parsePattern(s)
		if err != nil {
			return nil, fmt.Errorf("%s path %w", kind, err)
		}
		all = append(all, p)
	}
	return all, nil
}

// CheckPassive reports why paths cannot be [Config].Passive, before there is a
// Handler to refuse them.
func CheckPassive(paths []string) error {
	_, err := parsePatterns("passive", paths)
	return err
}

func parsePattern(s string) (pattern, error) {
	p, star := strings.CutSuffix(s, "*")
	switch {
	case !strings.HasPrefix(p, "/"):
		return pattern{}, fmt.Errorf("%q must begin with /", s)
	case strings.Contains(p, "*"):
		return pattern{}, fmt.Errorf("%q may have one *, at its end", s)
	case star && !strings.HasSuffix(p, "/"):
		return pattern{}, fmt.Errorf("%q must have a / before its *, or it means more than one folder", s)
	case star && p == "/":
		return pattern{}, fmt.Errorf("%q is every path there is", s)
	case p != "/" && path.Clean(p) != strings.TrimSuffix(p, "/"):
		return pattern{}, fmt.Errorf("%q is not in its simplest form", s)
	}
	return pattern{p, star}, nil
}

func (p pattern) match(s string) bool {
	return s == p.path || p.prefix && strings.HasPrefix(s, p.path)
}

// isPublic reports whether both the path that was asked for and the one that
// it was rewritten to are public. They are compared decoded and not cleaned:
// what could be read in another way is ambiguous, and served to nobody who is
// not signed in.
func (v *visit) isPublic() bool {
	return matchesAny(v.public, v.path) && matchesAny(v.public, v.r.URL.Path)
}

func matchesAny(patterns []pattern, s string) bool {
	for _, p := range patterns {
		if p.match(s) {
			return true
		}
	}
	return false
}

// ambiguous reports whether a path can be read in two ways by two programs: it
// has encoded or doubled separators, dot segments, parameters or a backslash.
func ambiguous(u *url.URL) bool {
	raw := u.EscapedPath()
	lower := strings.ToLower(raw)
	clean := path.Clean(u.Path)
	if strings.HasSuffix(u.Path, "/") && clean != "/" {
		clean += "/"
	}
	return clean != u.Path || strings.ContainsAny(u.Path, "\\;\x00") ||
		strings.Contains(lower, "%2f") || strings.Contains(lower, "%25") || strings.Contains(lower, "%2e") ||
		strings.ContainsFunc(u.Path, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\ufffd' })
}

// maxReturn bounds a return path.
const maxReturn = 512

// safeReturn returns the page of this site to which s leads, or "/". Only a
// path is let through, rebuilt from its parts: what a browser could read as
// another site is not repaired but dropped. Pages of the gate itself are no
// place to return to.
func safeReturn(s, own string) string {
	if len(s) > maxReturn || !strings.HasPrefix(s, "/") {
		return "/"
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == '#' {
			return "/"
		}
	}
	u, err := url.ParseRequestURI(s)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return "/"
	}
	// A path that has been decoded once by us and once more by somebody else
	// must still be a path.
	twice, err := url.PathUnescape(u.Path)
	if err != nil {
		twice = u.Path
	}
	for _, p := range []string{u.Path, twice} {
		if !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") ||
			strings.ContainsFunc(p, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\\' }) {
			return "/"
		}
	}
	clean := path.Clean(u.Path)
	if clean == own || strings.HasPrefix(clean, own+"/") {
		return "/"
	}
	back := (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}).String()
	if !strings.HasPrefix(back, "/") || strings.HasPrefix(back, "//") || len(back) > maxReturn {
		return "/"
	}
	return back
}

// returnQuery is the query that carries a return path; nothing for "/".
func returnQuery(back string) string {
	if back == "/" || back == "" {
		return ""
	}
	return "?return_to=" + url.QueryEscape(back)
}
