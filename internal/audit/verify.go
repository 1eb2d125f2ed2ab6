// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"fmt"
	"iter"
)

// Report is what Verify found in a log that holds.
type Report struct {
	// First and Last are the numbers of its first and last event; both are 0 if
	// there is none.
	First int64 `json:"first"`
	Last  int64 `json:"last"`
	// Head is the hash of the last one. Kept elsewhere, it shows later whether
	// the end was cut off.
	Head string `json:"head"`
}

// Broken is the error for a log that does not hold.
type Broken struct {
	// Seq and ID name the first event that is not as it was written. There is no
	// ID of one that is missing.
	Seq int64  `json:"seq"`
	ID  string `json:"id,omitempty"`
	// How is "changed", "removed", "moved", or "cut" for an end that is not there.
	How string `json:"how"`
}

func (b *Broken) Error() string {
	if b.How == "cut" {
		return fmt.Sprintf("the log does not have the event that was its last before: its end, from some event up to %d on, was cut off or written anew", b.Seq)
	}
	if b.ID == "" {
		return fmt.Sprintf("event %d was %s", b.Seq, b.How)
	}
	return fmt.Sprintf("event %d (%s) was %s", b.Seq, b.ID, b.How)
}

// Verify goes through events in the order they are kept in, and returns a *Broken
// for the first that is missing, changed or not in its place. head is the hash of
// an event that must be among them; empty is none.
//
// What it cannot find without head: that the newest events were cut off, or that
// all from one on were written anew by somebody who made their hashes anew as
// well. Nor can it find, ever, that the oldest are gone: those are removed when
// their time is up. Report.First says where the log begins now.
func Verify(events iter.Seq2[Event, error], head string) (Report, error) {
	var r Report
	var bad *Broken
	var prev Event
	seen := head == ""
	for ev, err := range events {
		if err != nil {
			return r, err
		}
		switch {
		case bad != nil:
			// Is what seemed to be removed farther on?
			if bad.How == "removed" && ev.Seq == bad.Seq && ev.Hash == ev.hash() {
				bad.How, bad.ID = "moved", ev.ID
			}
			continue
		case ev.Hash != ev.hash():
			bad = &Broken{Seq: max(prev.Seq+1, 1), ID: ev.ID, How: "changed"}
			if prev.Seq == 0 {
				bad.Seq = ev.Seq
			}
			continue
		case prev.Seq == 0 && ev.Seq == 1 && ev.Prev != "":
			bad = &Broken{Seq: 1, ID: ev.ID, How: "changed"}
			continue
		case prev.Seq == 0:
			r.First = ev.Seq
		case ev.Seq > prev.Seq+1:
			bad = &Broken{Seq: prev.Seq + 1, How: "removed"}
			continue
		case ev.Seq <= prev.Seq:
			bad = &Broken{Seq: ev.Seq, ID: ev.ID, How: "moved"}
			continue
		case ev.Prev != prev.Hash:
			// It continues another event than the one before it, whose hash was
			// made anew.
			bad = &Broken{Seq: prev.Seq, ID: prev.ID, How: "changed"}
			continue
		}
		prev = ev
		r.Last, r.Head = ev.Seq, ev.Hash
		seen = seen || ev.Hash == head
	}
	if bad != nil {
		return r, bad
	}
	if !seen {
		return r, &Broken{Seq: r.Last + 1, How: "cut"}
	}
	return r, nil
}

// Events goes through what the store has of the chain, the oldest first.
func (c *Chain) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		n, err := c.firstAfter(ctx, 0)
		for ; err == nil; n++ {
			var s *segment
			if s, err = c.segment(ctx, n); s == nil {
				break
			}
			for _, ev := range s.Events {
				if !yield(ev, nil) {
					return
				}
			}
			if !s.Closed {
				break
			}
		}
		if err != nil {
			yield(Event{}, err)
		}
	}
}

// firstAfter returns the piece with the event after seq, or the oldest there is
// if that has begun later.
func (c *Chain) firstAfter(ctx context.Context, seq int64) (int64, error) {
	h, err := c.head(ctx)
	if err != nil {
		return 0, err
	}
	n := h.N
	for n > 1 {
		if n == h.N && h.Seq <= seq {
			return n, nil
		}
		s, err := c.segment(ctx, n-1)
		if err != nil {
			return 0, err
		}
		if s == nil {
			break
		}
		n--
		if s.Seq <= seq {
			break
		}
	}
	return n, nil
}
