// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"net/http"
	"testing"
	"time"
)

// What guessing at what a program asks for comes to.

// TestProgramGuesses: whoever guesses at what a program has sent has five tries,
// with whatever cookies, and an address costs so many messages an hour.
func TestProgramGuesses(t *testing.T) {
	s := texts()
	w := withPhones(t, programs("text", s))
	b := w.browser()
	f := b.by("text", "email", "ada@example.com").form("/sign-in/m/text")
	old := b.copy()
	for range 5 {
		b.send(f, "code", "0000").is(422)
	}
	old.send(f, "code", "4711").is(http.StatusTooManyRequests)
	for i := range 4 {
		w.clock.advance(time.Minute)
		w.browser().from("192.0.2."+string(rune('1'+i))).by("text", "email", "ada@example.com").is(200)
	}
	w.clock.advance(time.Minute)
	w.browser().from("192.0.2.9").by("text", "email", "ada@example.com").is(http.StatusTooManyRequests)
	w.browser().from("192.0.2.9").by("text", "email", "bob@example.com").is(200)
}
