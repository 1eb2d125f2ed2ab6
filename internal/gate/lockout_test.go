// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"testing"
	"time"
)

// A stranger uses up a limit of their own and then goes on typing a client's
// address. Each ask is refused and no mail is sent; it must not be counted
// against the client's mailbox either, or the client could be kept from ever
// getting a link for the price of a few requests an hour.
func TestRefusedAsksUseUpNothing(t *testing.T) {
	w := newWorld(t)
	stranger := w.browser().from("192.0.2.66")
	for range 20 {
		for i := range 12 {
			stranger.ask("junk" + string(rune('a'+i)) + "@example.org")
		}
		stranger.ask("ada@example.com").is(429)
		w.clock.advance(2 * time.Minute)
	}
	w.browser().from("198.51.100.7").ask("ada@example.com").is(200).says("sent.title")
	w.letters("ada@example.com", 1)
}

// The same by asking for the client's link many times at once: one mail goes
// out, and what was refused does not use up the day.
func TestImpatientAsksUseUpNothing(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.ask("ada@example.com").is(200)
	for range 9 {
		b.ask("ada@example.com").is(429)
	}
	w.clock.advance(11 * time.Minute)
	w.browser().from("198.51.100.7").ask("ada@example.com").is(200).says("sent.title")
	w.letters("ada@example.com", 2)
}
