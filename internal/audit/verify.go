// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package audit

import "fmt"

// Broken says where a chain does not hold together.
type Broken struct {
	// Seq is the first event that is not what was written, or after which one
	// is missing.
	Seq int64
	Why string
}

func (b *Broken) Error() string { return fmt.Sprintf("event %d %s", b.Seq, b.Why) }

// Check holds events, one after the other, to being a chain. Its zero value
// takes any event as the first: what was before has been forgotten.
//
// It finds an event that was changed, removed from between others, added or
// moved. It cannot find that the newest ones were cut off: for that, Last has to
// be compared with one that was noted elsewhere. Nor can it find a chain that
// somebody wrote anew from end to end; a Hash that was noted elsewhere does.
type Check struct {
	last Event
}

// Next takes the next event. It returns *Broken if it does not follow.
func (c *Check) Next(e Event) error {
	switch {
	case e.hash() != e.Hash:
		return &Broken{e.Seq, "was changed"}
	case c.last.Seq != 0 && e.Seq <= c.last.Seq:
		return &Broken{e.Seq, fmt.Sprintf("comes after event %d", c.last.Seq)}
	case c.last.Seq != 0 && e.Seq != c.last.Seq+1:
		return &Broken{c.last.Seq + 1, "is missing"}
	case c.last.Seq != 0 && e.Prev != c.last.Hash:
		return &Broken{e.Seq, "does not follow from the one before"}
	case c.last.Seq == 0 && e.Seq == 1 && e.Prev != "":
		return &Broken{1, "is not the first"}
	}
	c.last = e
	return nil
}

// Last returns the newest event so far.
func (c *Check) Last() Event { return c.last }
