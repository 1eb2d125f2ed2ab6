// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// Wait says how long somebody has to wait, rounded up so that it is never too
// early to try again: "about 4 minutes", over 90 minutes in hours, over 48
// hours in days.
func Wait(d time.Duration) string {
	switch {
	case d < time.Minute:
		return texts["time.moment"]
	case d <= 90*time.Minute:
		return about(count("time.minute", d, time.Minute))
	case d <= 2*day:
		return about(count("time.hour", d, time.Hour))
	}
	return about(count("time.day", d, day))
}

// Life says how long something lasts, rounded down so that nobody is promised
// too much: "24 hours", "1 hour", "30 minutes", "2 days".
func Life(d time.Duration) string {
	switch {
	case d < time.Minute:
		return texts["time.moment"]
	case d >= 2*day && d%day == 0:
		return count("time.day", d, day)
	case d >= time.Hour && d%time.Hour == 0:
		return count("time.hour", d, time.Hour)
	}
	return count("time.minute", d.Truncate(time.Minute), time.Minute)
}

// When says a moment in the practice's own time zone: "3 March, 14:05".
func (u *UI) When(t time.Time) string {
	return t.In(u.practice.Zone).Format("2 January, 15:04")
}

// Day and Clock say it in two parts: "3 March" and "14:05". A practice that
// has not said where its clocks are has its clients read which zone it is.
func (u *UI) Day(t time.Time) string { return t.In(u.practice.Zone).Format("2 January") }

// Clock is the other part of [UI.Day].
func (u *UI) Clock(t time.Time) string {
	if u.practice.Zone == time.UTC {
		return t.UTC().Format("15:04 UTC")
	}
	return t.In(u.practice.Zone).Format("15:04")
}

// count says how many units d is, rounded up.
func count(key string, d, unit time.Duration) string {
	n := (d + unit - 1) / unit
	if n == 1 {
		return texts[key]
	}
	return strings.ReplaceAll(texts[key+"s"], "{n}", strconv.FormatInt(int64(n), 10))
}

func about(s string) string { return strings.ReplaceAll(texts["time.about"], "{time}", s) }
