// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"net/http"
	"net/url"
	"time"

	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/reply"
)

// Events is one page of what happened, newest first.
type Events struct {
	Events []audit.Event `json:"events"`
	// Next is the cursor of the next page; left out after the last.
	Next string `json:"next,omitempty"`
}

// ClientEvents is what has happened to a client.
type ClientEvents struct {
	Events
	// Mails are the last ones, newest first, and what has become of each.
	Mails []gate.Mailed `json:"mails"`
	// Withheld reports that no more are sent, because the client has called one
	// spam; unlocking the client sends them again.
	Withheld bool `json:"mails_withheld"`
}

// allEvents tells what has happened.
func (v *visit) allEvents() {
	q, ok := v.asked("client", "by", "what", "since", "until", "cursor", "limit")
	if !ok {
		return
	}
	f, err := filter(q)
	if err != nil {
		v.failed(err)
		return
	}
	page, err := v.trail(f)
	if err != nil {
		v.failed(err)
		return
	}
	reply.JSON(v.w, v.r, http.StatusOK, page)
}

// events tells what has happened to the client that the path names.
func (v *visit) events() {
	q, ok := v.asked("cursor", "limit")
	if !ok {
		return
	}
	id, ok := v.client()
	if !ok {
		return
	}
	mails, withheld, err := v.Gate.Mails(v.r.Context(), id)
	if err != nil {
		v.failed(err)
		return
	}
	if mails == nil {
		mails = []gate.Mailed{}
	}
	f, err := filter(q)
	if err != nil {
		v.failed(err)
		return
	}
	f.Client = id
	page, err := v.trail(f)
	if err != nil {
		v.failed(err)
		return
	}
	reply.JSON(v.w, v.r, http.StatusOK, ClientEvents{Events: page, Mails: mails, Withheld: withheld})
}

// trail returns what happened.
func (v *visit) trail(f audit.Filter) (Events, error) {
	found, next, err := v.Gate.Events(v.r.Context(), f)
	if found == nil {
		found = []audit.Event{}
	}
	return Events{Events: found, Next: next}, err
}

// filter reads which events are wanted. Times are RFC 3339.
func filter(q url.Values) (audit.Filter, error) {
	f := audit.Filter{Client: q.Get("client"), By: q.Get("by"), What: q.Get("what"), Cursor: q.Get("cursor")}
	for name, at := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		if s := q.Get(name); s != "" {
			t, err := time.Parse(time.RFC3339, s)
			if err != nil {
				return f, wrongField(name, "field.time")
			}
			*at = t
		}
	}
	var err error
	f.Limit, err = count(q.Get("limit"))
	return f, err
}
