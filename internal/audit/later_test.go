// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/store"
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
	for n := range maxQueued + 200 {
		c.Later(Event{ID: fmt.Sprint("m", n), What: "notice_sent", Client: "c-eve"})
	}
	if n := len(c.queued); n != maxQueued {
		t.Errorf("%d events wait, want %d", n, maxQueued)
	}
	if !slices.ContainsFunc(c.queued, func(e Event) bool { return e.By == "desk" }) {
		t.Error("what staff did was pushed out")
	}
}

// away is a store that is down, at which something happens until that is known.
type away struct {
	store.Store
	meanwhile func()
}

func (a away) Get(context.Context, string) (store.Value, error) {
	a.meanwhile()
	return store.Value{}, store.ErrUnknown
}

// TestLaterWhileTheStoreIsAway: what could not be flushed and what came meanwhile
// are too much together. What staff have done stays then too.
func TestLaterWhileTheStoreIsAway(t *testing.T) {
	var c *Chain
	c = New(away{meanwhile: func() {
		for n := range maxQueued {
			c.Later(Event{ID: fmt.Sprint(n), What: "notice_sent", Client: "c-eve"})
		}
	}}, nil)
	c.Later(Event{ID: "s", What: "client_added", Client: "c-new", By: "desk"})
	for n, lost := range []int{1, maxQueued + 1, 2*maxQueued + 1} {
		if err := c.Flush(t.Context()); err == nil {
			t.Fatal("a store that is away was written to")
		}
		if n := len(c.queued); n != maxQueued || c.lost != lost {
			t.Errorf("%d events wait and %d are lost, want %d and %d", n, c.lost, maxQueued, lost)
		}
		if c.queued[0].By != "desk" || slices.ContainsFunc(c.queued, func(e Event) bool { return e.By == "gate" }) {
			t.Errorf("after %d s what staff did is pushed out, or the queue is full of what was lost", n)
		}
	}
}

// TestLaterOfStaffAlone: where there is too much of what staff have done as well, a
// stranger's goes first, and then the oldest.
func TestLaterOfStaffAlone(t *testing.T) {
	c := New(nil, nil)
	for n := range maxQueued + 2 {
		c.queued = append(c.queued, Event{ID: fmt.Sprint(n), What: "client_added", By: "desk"})
	}
	c.Later(Event{ID: "m", What: "notice_sent", Client: "c-eve"})
	if n := len(c.queued); n != maxQueued || c.lost != 3 || c.queued[0].ID != "2" || c.queued[n-1].ID != fmt.Sprint(maxQueued+1) {
		t.Errorf("%d events wait from %q on, and %d are lost", n, c.queued[0].ID, c.lost)
	}
}

// TestLostAreToldOnce: a gap that nobody knows of is worse than a gap.
func TestLostAreToldOnce(t *testing.T) {
	c := New(nil, nil)
	c.lost = 3
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(c.queued) != 1 || c.queued[0].What != "events_lost" || c.queued[0].Note != "3 events had no room" || c.lost != 0 {
		t.Errorf("what waits is %+v, and %d are lost still", c.queued, c.lost)
	}
}

// TestUnlikeRefusalsAreKept: who presses one dead link in a loop hides no other
// refusal, least of all one that is about somebody else.
func TestUnlikeRefusalsAreKept(t *testing.T) {
	c := New(nil, nil)
	for range 2 {
		for _, change := range []func(*Event){
			func(*Event) {},
			func(e *Event) { e.What = "code_refused" },
			func(e *Event) { e.Client = "c-ada" },
			func(e *Event) { e.From = "192.0.2.2" },
			func(e *Event) { e.Method = "pin" },
			func(e *Event) { e.Outcome = "late" },
		} {
			e := Event{What: "link_refused", Client: "c-eve", From: "192.0.2.1", Method: "email", Outcome: "used"}
			change(&e)
			c.Later(e)
		}
	}
	if n := len(c.queued); n != 6 {
		t.Errorf("%d events wait, want 6", n)
	}
}

// TestT10_EveryFieldIsHashed: somebody who can write the files changes any one thing
// of an event, such as when it was, and its hash no longer fits.
func TestT10_EveryFieldIsHashed(t *testing.T) {
	empty := new(Event).hash()
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Event]()) {
		var e Event
		switch v := reflect.ValueOf(&e).Elem().FieldByIndex(f.Index); v.Interface().(type) {
		case string:
			v.SetString("changed")
		case int64:
			v.SetInt(1)
		case time.Time:
			v.Set(reflect.ValueOf(time.UnixMilli(1)))
		default:
			t.Errorf("%s: this test cannot change it", f.Name)
		}
		if hashed := e.hash() != empty; hashed != (f.Name != "Hash") {
			t.Errorf("%s: hashed is %t", f.Name, hashed)
		}
	}
}
