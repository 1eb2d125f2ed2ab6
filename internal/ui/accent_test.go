// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestAccent(t *testing.T) {
	tests := []struct {
		accent string
		refuse string // part of the error, or empty
	}{
		{"#2f6f5e", ""},
		{"#2F6F5E", ""},
		{"#000000", ""},
		{"#0000ff", ""},
		{"#7a1f3d", ""},
		{"#ffcc00", "the nearest that can is #8"},
		{"#ffffff", "the nearest that can is #"},
		{"#777777", "the nearest that can is #"},
		{"2f6f5e", "not written as #rrggbb"},
		{"#2f6", "not written as #rrggbb"},
		{"#2f6f5g", "not written as #rrggbb"},
		{"#2f6f5e;}", "not written as #rrggbb"},
		{"red", "not written as #rrggbb"},
	}
	for _, tc := range tests {
		p := willow()
		p.Accent = tc.accent
		_, err := New(p)
		switch {
		case tc.refuse == "" && err != nil:
			t.Errorf("accent %s: %v", tc.accent, err)
		case tc.refuse != "" && (err == nil || !strings.Contains(err.Error(), tc.refuse)):
			t.Errorf("accent %s: error %v, want one with %q", tc.accent, err, tc.refuse)
		}
	}
}

// Whatever colour a practice chooses, either everything in it can be read or
// the error names one close by in which it can.
func TestAccentIsReadableOrRefused(t *testing.T) {
	nearest := regexp.MustCompile(`#[0-9a-f]{6}$`)
	const step = 17
	for r := 0; r < 256; r += step {
		for g := 0; g < 256; g += step {
			for b := 0; b < 256; b += step {
				accent := fmt.Sprintf("#%02x%02x%02x", r, g, b)
				light, lightLabel, dark, darkLabel, err := accents(accent)
				if err != nil {
					instead := nearest.FindString(err.Error())
					if light, lightLabel, dark, darkLabel, err = accents(instead); err != nil {
						t.Fatalf("%s: %s was named instead: %v", accent, instead, err)
					}
					// And it is the nearest: a shade brighter is too bright.
					if got := ratio(mustColour(light), mustColour(lightPage)); got > contrast+0.25 {
						t.Errorf("%s: %s is darker than it has to be (%.2f)", accent, light, got)
					}
				} else if light != accent {
					t.Errorf("%s became %s", accent, light)
				}
				for _, pair := range [][2]string{
					{light, lightPage}, {light, lightCard}, {light, lightLabel},
					{dark, darkPage}, {dark, darkCard}, {dark, darkLabel},
				} {
					if got := ratio(mustColour(pair[0]), mustColour(pair[1])); got < contrast {
						t.Errorf("%s: %s on %s has contrast %.2f", accent, pair[0], pair[1], got)
					}
				}
			}
		}
	}
}

// The style sheet's own colours, in light and in dark.
func TestStyleContrast(t *testing.T) {
	value := regexp.MustCompile(`--(page|card|ink|soft|edge|wrong|wash): (#[0-9a-f]{6});`)
	light, dark, found := strings.Cut(style, "@media (prefers-color-scheme: dark)")
	if !found {
		t.Fatal("the style sheet has no dark half")
	}
	for name, tc := range map[string]struct{ css, page, card string }{
		"light": {light, lightPage, lightCard},
		"dark":  {dark, darkPage, darkCard},
	} {
		c := map[string]string{}
		for _, m := range value.FindAllStringSubmatch(tc.css, -1) {
			c[m[1]] = m[2]
		}
		if c["page"] != tc.page || c["card"] != tc.card {
			t.Errorf("%s: the style sheet has page %s and card %s, accents are checked against %s and %s",
				name, c["page"], c["card"], tc.page, tc.card)
		}
		for _, pair := range []struct {
			on   string
			what string
			need float64
		}{
			{"page", "ink", 7}, {"card", "ink", 7}, {"page", "soft", contrast}, {"card", "soft", contrast},
			{"wash", "wrong", contrast}, {"card", "wrong", 3}, {"card", "edge", 3},
		} {
			if got := ratio(mustColour(c[pair.what]), mustColour(c[pair.on])); got < pair.need {
				t.Errorf("%s: %s on %s has contrast %.2f, want %.1f", name, pair.what, pair.on, got, pair.need)
			}
		}
	}
}
