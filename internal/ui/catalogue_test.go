// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	slotPattern  = regexp.MustCompile(`\{([^}]*)\}`)
	sentenceEnds = regexp.MustCompile(`[.?!:]+(\s+|$)`)
	// Words that frighten, blame or mean nothing to most people.
	avoided = regexp.MustCompile(`(?i)\b(please|sorry|invalid|errors?|sessions?|tokens?|devices?|authenticat\w*|browsers?)\b`)
)

func TestCatalogueIsReadable(t *testing.T) {
	for key, text := range texts {
		for sentence := range strings.SplitSeq(sentenceEnds.ReplaceAllString(text, "\n"), "\n") {
			if n := len(strings.Fields(sentence)); n > 20 {
				t.Errorf("%s: a sentence of %d words: %q", key, n, sentence)
			}
		}
		// Screen readers announce a page with a wrong field by this one word.
		if w := avoided.FindString(text); w != "" && key != "all.page.wrong" {
			t.Errorf("%s says %q", key, w)
		}
		if text == "" || strings.TrimSpace(text) != text {
			t.Errorf("%s is empty or has space around it: %q", key, text)
		}
	}
}

func TestCatalogueSlotsAreKnown(t *testing.T) {
	known := strings.Fields("practice phone mail from portal reach typed masked suggestion first wait life kind date time method stop title n digits address spelled spoken google name by id value typed text client from what outcome fate place field when because")
	for key, text := range texts {
		for _, m := range slotPattern.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(known, m[1]) {
				t.Errorf("%s has an unknown slot %s", key, m[0])
			}
			// Nobody is greeted with a gap.
			for _, w := range without {
				if m[1] == w.slot && texts[key+w.ending] == "" {
					t.Errorf("%s has no %s%s for when there is no %s", key, key, w.ending, m[0])
				}
			}
		}
	}
}

func TestCatalogueIsSorted(t *testing.T) {
	for _, file := range [][]byte{english, englishDesk} {
		sorted(t, file)
	}
}

func sorted(t *testing.T, file []byte) {
	var keys []string
	d := json.NewDecoder(bytes.NewReader(file))
	for d.More() {
		key, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		if key == json.Delim('{') {
			continue
		}
		keys = append(keys, key.(string))
		if _, err := d.Token(); err != nil {
			t.Fatal(err)
		}
	}
	for i := 1; i < len(keys); i++ {
		if keys[i-1] >= keys[i] {
			t.Errorf("%s stands before %s", keys[i-1], keys[i])
		}
	}
}

func TestText(t *testing.T) {
	noPhone := willow()
	noPhone.Phone = ""
	tests := []struct {
		name     string
		practice Practice
		key      string
		slots    Slots
		want     string
	}{
		{"plain", willow(), "landing.lead", nil, "You do not need a password."},
		{"practice's own", willow(), "landing.title", nil, "Sign in to Willow Creek Counseling"},
		{"reach by phone", willow(), "all.reach", nil, "Call Willow Creek Counseling on +1 555 0100."},
		{"reach by mail", noPhone, "all.reach", nil, "Write to Willow Creek Counseling at hello@willow.example."},
		{"reach inside", willow(), "used.notyou", nil, "Did someone else use it? Call Willow Creek Counseling on +1 555 0100."},
		{"name", willow(), "mail.hello", Slots{"first": "Ada"}, "Hello Ada,"},
		{"no name", willow(), "mail.hello", Slots{"first": ""}, "Hello,"},
		{"no name given", willow(), "here.lead", nil, "Your portal is ready for you."},
		{"signed", willow(), "mail.sign", nil, "Willow Creek Counseling, +1 555 0100"},
		{"signed without a phone", noPhone, "mail.sign", nil, "Willow Creek Counseling, hello@willow.example"},
		{"a value is no text", willow(), "typo.no", Slots{"typed": "{phone}{x"}, "No, keep {phone}{x"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got := ui(t, tc.practice).Text(tc.key, tc.slots); got != tc.want {
				t.Errorf("Text(%q) = %q, want %q", tc.key, got, tc.want)
			}
		})
	}
}

// A name or an address can hold line ends, to add a header to a mail, or the
// signs that turn the reading direction, to make one address look like another.
func TestE14_ValuesKeepTheirPlace(t *testing.T) {
	u := ui(t, willow())
	for in, want := range map[string]string{
		"Ada\r\nBcc: eve@example.com":  "AdaBcc: eve@example.com",
		"Ada\x00\x1b[31m":              "Ada[31m",
		"\u202egro.elpmaxe@ada":        "gro.elpmaxe@ada",
		"\u2066ada\u2069\u200f\u061c":  "ada",
		"ada\u2028\u2029eve":           "adaeve",
		"ada\xff":                      "ada\ufffd",
		"Zoë O'Neill-Łuczak 李 🙂\u200d": "Zoë O'Neill-Łuczak 李 🙂\u200d",
	} {
		if got := u.Text("typo.no", Slots{"typed": in}); got != "No, keep "+want {
			t.Errorf("value %q became %q, want %q", in, got, want)
		}
	}
}

func TestMissingTextStopsATest(t *testing.T) {
	u := ui(t, willow())
	for name, slots := range map[string]Slots{"no.such.text": nil, "typo.no": nil} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Text(%q) went unnoticed", name)
				}
			}()
			u.Text(name, slots)
		}()
	}
}

func TestDialled(t *testing.T) {
	for in, want := range map[string]string{
		"+1 555 0100": "+15550100", "(020) 7946-0018": "02079460018",
		"555 0100 ext. 7": "", "0800 CALL": "", "": "",
	} {
		if got := dialled(in); got != want {
			t.Errorf("dialled(%q) = %q, want %q", in, got, want)
		}
	}
}
