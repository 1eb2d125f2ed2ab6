// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"slices"
	"time"
)

// Bounds of an event's texts, in bytes.
const (
	maxWho      = 64
	maxNote     = 400
	maxAnything = 48
)

// Event is one thing that happened. It waits in the record, in which it was
// written with the change that it tells of, until it is in the audit log.
type Event struct {
	// N tells the same things of one second from one another: the microsecond, or
	// one after. 0 was written by an earlier version.
	N      int64  `json:"n,omitempty"`
	At     int64  `json:"t"`
	What   string `json:"w"`
	Method string `json:"m,omitempty"`
	// By, From and Note are as in [Cause].
	By   string `json:"b,omitempty"`
	From string `json:"f,omitempty"`
	Note string `json:"x,omitempty"`
	// Outcome is empty if it was done; else a word for why not.
	Outcome string `json:"o,omitempty"`
}

// Cause is who makes a change, and from where: for the events it comes to.
type Cause struct {
	// By is the id of a member of staff, or "operator"; empty is the client.
	By string
	// From is the network address.
	From string
	// Note is what staff wrote.
	Note string
}

// change is what is known of a change while it is made, and of how it went.
type change struct {
	Cause
	crowded bool // see Crowded
}

// Because says who makes the changes that follow, until the record is encoded.
func (r *Record) Because(c Cause) {
	r.change = &change{Cause: Cause{By: clip(c.By, maxWho), From: clip(c.From, maxWho), Note: clip(c.Note, maxNote)}}
}

// Refused adds what was tried and did not come to anything.
func (r *Record) Refused(now time.Time, what, method, outcome string) {
	r.event(now, what, method)
	r.Events[len(r.Events)-1].Outcome = clip(outcome, maxAnything)
}

func (r *Record) event(now time.Time, what, method string) {
	e := Event{N: int64(now.Nanosecond()/1000) + 1, At: now.Unix(), What: what, Method: clip(method, maxKind)}
	for slices.ContainsFunc(r.Events, e.is) {
		e.N++
	}
	if c := r.change; c != nil {
		e.By, e.From, e.Note = c.By, c.From, c.Note
	}
	r.Events = append(r.Events, e)
}

func (e Event) is(o Event) bool { return o.N == e.N && o.At == e.At && o.What == e.What }

// lesser reports whether an event is what strangers can bring about. It is given
// up where there is no room: they must not end a session, or lock anybody out.
func (e Event) lesser() bool { return e.Outcome != "" || e.What == "link_made" }

// spareEvents gives up the oldest of the lesser events while there are more than
// n, and reports whether there was one.
func (r *Record) spareEvents(n int) (spared bool) {
	for len(r.Events) > max(n, 0) {
		i := slices.IndexFunc(r.Events, Event.lesser)
		if i < 0 {
			break
		}
		r.Events, spared = slices.Delete(r.Events, i, i+1), true
	}
	return spared
}

// Crowded reports, of a record that was just encoded, that it had to give up
// something for events that are not given up, or is overfull. If events waited
// from before the change they should be moved, and the change made then. What
// strangers bring about never makes it so: how long they wait would tell who is on
// file.
func (r *Record) Crowded() bool { return r.change != nil && r.change.crowded || r.Overfull() }

// Overfull reports that more events wait than may. Such a record is not written.
func (r *Record) Overfull() bool { return len(r.Events) > maxEvents }

// Moved drops events that are in the audit log now, and reports whether any of
// them were there.
func (r *Record) Moved(events []Event) bool {
	had := len(r.Events)
	r.Events = keep(r.Events, func(e Event) bool {
		return !slices.ContainsFunc(events, e.is)
	})
	return len(r.Events) < had
}
