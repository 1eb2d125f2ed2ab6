// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"testing"
	"time"
)

func TestWait(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                "less than a minute",
		0:                           "less than a minute",
		59 * time.Second:            "less than a minute",
		time.Minute:                 "about 1 minute",
		61 * time.Second:            "about 2 minutes",
		4 * time.Minute:             "about 4 minutes",
		90 * time.Minute:            "about 90 minutes",
		90*time.Minute + 1:          "about 2 hours",
		2*time.Hour + time.Second:   "about 3 hours",
		24 * time.Hour:              "about 24 hours",
		48*time.Hour + time.Second:  "about 3 days",
		100*time.Hour + time.Second: "about 5 days",
	} {
		if got := Wait(d); got != want {
			t.Errorf("Wait(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestLife(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Second:                     "less than a minute",
		time.Minute:                     "1 minute",
		30 * time.Minute:                "30 minutes",
		30*time.Minute + 59*time.Second: "30 minutes",
		time.Hour:                       "1 hour",
		90 * time.Minute:                "90 minutes",
		24 * time.Hour:                  "24 hours",
		48 * time.Hour:                  "2 days",
		7 * 24 * time.Hour:              "7 days",
	} {
		if got := Life(d); got != want {
			t.Errorf("Life(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestWhen(t *testing.T) {
	p := willow()
	p.Zone = time.FixedZone("", -6*3600)
	at := time.Date(2026, 3, 3, 1, 5, 0, 0, time.UTC)
	if g, w := ui(t, p).When(at), "2 March, 19:05"; g != w {
		t.Errorf("When = %q, want %q", g, w)
	}
}

func TestDayAndClock(t *testing.T) {
	at := time.Date(2026, 3, 3, 1, 5, 0, 0, time.UTC)
	p := willow()
	if u := ui(t, p); u.Day(at) != "3 March" || u.Clock(at) != "01:05 UTC" {
		t.Errorf("without a zone: %q, %q; want one to be told which it is", u.Day(at), u.Clock(at))
	}
	p.Zone = time.FixedZone("", -6*3600)
	if u := ui(t, p); u.Day(at) != "2 March" || u.Clock(at) != "19:05" {
		t.Errorf("six hours to the west: %q, %q", u.Day(at), u.Clock(at))
	}
}
