// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package wiretest

import (
	"encoding/base64"
	"encoding/hex"
	"mime/quotedprintable"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// secrets are values that nobody but their owner may ever see.
type secrets struct {
	mu  sync.Mutex
	all map[string]bool
}

// add adds values that are long enough to be a secret.
func (s *secrets) add(values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[string]bool)
	}
	for _, v := range values {
		if len(v) >= 8 {
			s.all[v] = true
		}
		// "<tag>.<secret>" is as good without its tag; that of a sealed value is none.
		if _, secret, ok := strings.Cut(v, "."); ok && strings.Count(v, ".") == 1 && len(secret) >= 20 {
			s.all[secret] = true
		}
	}
}

// absent fails the test if a secret is in what was seen somewhere, as it is or
// as somebody may have encoded it. It never prints one.
func (s *secrets) absent(t *testing.T, where, seen string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) == 0 || seen == "" {
		t.Fatalf("%s: %d secrets, %d bytes: nothing was compared", where, len(s.all), len(seen))
	}
	for v := range s.all {
		if len(v) == 8 { // a code; so few digits may stand in a larger number
			if m := regexp.MustCompile(`(^|[^0-9.])` + v[:4] + `[ +-]?(%20)?` + v[4:] + `($|[^0-9])`).FindStringIndex(seen); m != nil {
				t.Errorf("%s has a code: %s", where, around(seen, m[0], v))
			}
			continue
		}
		for kind, e := range encodings(v) {
			if i := strings.Index(seen, e); i >= 0 {
				t.Errorf("%s has a secret of %d bytes (%s): %s", where, len(v), kind, around(seen, i, e))
				break
			}
		}
	}
}

// around is the beginning of the line of a hit, without it: which logger, and
// which message. What follows may be another secret.
func around(seen string, at int, hit string) string {
	from := strings.LastIndexByte(seen[:at], '\n') + 1
	return strings.ReplaceAll(seen[from:min(from+180, len(seen))], hit, "<SECRET>")
}

func encodings(v string) map[string]string {
	var qp strings.Builder
	w := quotedprintable.NewWriter(&qp)
	_, _ = w.Write([]byte(v))
	_ = w.Close()
	all := map[string]string{
		"as it is": v, "in a query": url.QueryEscape(v), "in a path": url.PathEscape(v),
		"quoted-printable": qp.String(), "hex": hex.EncodeToString([]byte(v)),
	}
	// In base64 a text looks different by where it begins.
	for skip, name := range []string{"base64", "base64 after 1", "base64 after 2"} {
		whole := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", skip) + v))
		inner := whole[4*min(skip, 1) : len(whole)-2]
		all[name] = inner
		all[name+" for URLs"] = strings.NewReplacer("+", "-", "/", "_").Replace(inner)
	}
	return all
}
