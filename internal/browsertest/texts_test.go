// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"encoding/json"
	"html"
	"os"
	"strings"
	"testing"
)

// TestEveryPageIsInTheCatalogue keeps the catalogue whole: a page that is not
// in it is a page that nobody has looked at.
func TestEveryPageIsInTheCatalogue(t *testing.T) {
	var texts map[string]string
	data, err := os.ReadFile("../ui/en.json")
	if err == nil {
		err = json.Unmarshal(data, &texts)
	}
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	c := everyPage(t)
	for _, p := range c.pages {
		_, body, _ := strings.Cut(p.body, "<body>")
		all.WriteString(plain(body))
	}
	all.WriteString(c.told)
	// What session.js says is in TestWarningCanBeUsedByEverybody.
	all.WriteString(warned)
	for key, text := range texts {
		if strings.HasPrefix(key, "mail.") || strings.HasPrefix(key, "time.") || strings.HasPrefix(key, "all.page") ||
			strings.HasPrefix(key, "desk.") || // read out by staff, and on no page
			strings.HasPrefix(key, "why.") { // told to staff: TestT9_Why says each
			continue
		}
		// The longest stretch without a slot has to stand on some page.
		longest := ""
		for text != "" {
			words, rest, _ := strings.Cut(text, "{")
			if len(words) > len(longest) {
				longest = words
			}
			_, text, _ = strings.Cut(rest, "}")
		}
		if !strings.Contains(all.String(), strings.TrimSpace(longest)) {
			t.Errorf("no page says %s: %q", key, longest)
		}
	}
}

func plain(body string) string {
	var b strings.Builder
	for body != "" {
		words, rest, _ := strings.Cut(body, "<")
		b.WriteString(words)
		_, body, _ = strings.Cut(rest, ">")
	}
	return html.UnescapeString(b.String())
}
