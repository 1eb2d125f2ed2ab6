// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"slices"
	"testing"
)

// TestLaterIsNobodysToFill: whoever holds a used link presses it in a loop, from each
// of the addresses that one customer has of IPv6. Of that one event waits at a time, and what staff have done is not pushed out by more than
// anybody could send.
func TestLaterIsNobodysToFill(t *testing.T) {
	c := New(nil, nil)
	c.Later(Event{ID: "s", What: "client_added", Client: "c-new", By: "desk"})
	for n := range 300 {
		c.Later(Event{ID: fmt.Sprint(n), What: "link_refused", Client: "c-eve", From: "192.0.2.1", Outcome: "used"})
	}
	for n := range 300 {
		c.Later(Event{ID: fmt.Sprint("v6-", n), What: "link_refused", Client: "c-eve", From: fmt.Sprintf("2001:db8::%x", n), Outcome: "used"})
	}
	if n := len(c.queued); n != 3 {
		t.Errorf("%d events wait, want 3", n)
	}
	c.Later(Event{ID: "o", What: "link_refused", Client: "c-eve", From: "2001:db8:0:1::1", Outcome: "used"})
	if n := len(c.queued); n != 4 {
		t.Errorf("%d events wait with one from another network, want 4", n)
	}
	for n := range 2 * maxQueued {
		c.Later(Event{ID: fmt.Sprint("m", n), What: "notice_sent", Client: "c-eve"})
	}
	if n := len(c.queued); n != maxQueued {
		t.Errorf("%d events wait, want %d", n, maxQueued)
	}
	if !slices.ContainsFunc(c.queued, func(e Event) bool { return e.By == "desk" }) {
		t.Error("what staff did was pushed out")
	}
}
