// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"strings"
	"time"
)

// ReadOut is what staff read to a caller who gets a PIN: where to go, what to
// type, and how long it works. The PIN is said in words, and the address is
// spelled, for on a telephone neither can be seen.
func (u *UI) ReadOut(address, pin string, expires time.Time) string {
	return strings.Join([]string{
		u.Text("desk.read.1", nil),
		u.Text("desk.read.2", Slots{"address": address, "spelled": spelled(address)}),
		u.Text("desk.read.3", Slots{"spoken": spoken(pin)}),
		u.Text("desk.life", Slots{"date": u.Day(expires), "time": u.Clock(expires)}),
	}, "\n")
}

// spelled says an address as one spells it: what is before the "@" letter by
// letter, a domain in words.
func spelled(address string) string {
	local, domain, _ := strings.Cut(address, "@")
	var said []string
	for _, r := range local {
		said = append(said, sign(string(r)))
	}
	said = append(said, sign("@"))
	for i, label := range strings.Split(domain, ".") {
		if i > 0 {
			said = append(said, sign("."))
		}
		said = append(said, label)
	}
	return strings.Join(said, ", ")
}

// sign says one sign: by its name, if it has one.
func sign(s string) string {
	if key, ok := map[string]string{"@": "at", ".": "dot", "-": "dash", "_": "underscore", "+": "plus"}[s]; ok {
		return texts["desk.say."+key]
	}
	return s
}

// spoken says a PIN digit by digit, in two parts.
func spoken(pin string) string {
	var b strings.Builder
	for i, digit := range pin {
		switch {
		case i == (len(pin)+1)/2:
			b.WriteString(", ")
		case i > 0:
			b.WriteByte(' ')
		}
		b.WriteString(texts["desk.say."+string(digit)])
	}
	return b.String()
}
