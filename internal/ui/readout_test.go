// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"testing"
	"time"
)

func TestReadOut(t *testing.T) {
	at := time.Date(2026, 11, 27, 14, 5, 0, 0, time.UTC)
	want := `Go to portal.example.com. Press "I have a PIN".
Type the email address ada.l+x_1@mail-box.example.com. (spelled: a, d, a, dot, l, plus, x, underscore, 1, at, mail-box, dot, example, dot, com)
Type the PIN: zero four two, one three seven. Press Sign in.
It works once, until 27 November, 14:05 UTC.`
	u := ui(t, willow())
	if got := u.ReadOut("ada.l+x_1@mail-box.example.com", "042137", at); got != want {
		t.Errorf("ReadOut:\n%s\nwant\n%s", got, want)
	}
	for pin, want := range map[string]string{"9999999": "nine nine nine nine, nine nine nine", "0123456789": "zero one two three four, five six seven eight nine"} {
		if got := spoken(pin); got != want {
			t.Errorf("spoken(%s) = %q, want %q", pin, got, want)
		}
	}
}
