// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/store"
)

// What has become of a client's mails is kept in a value of its own beside the
// access record, because it decides nothing about who gets in. Neither address
// nor link is in it.

const (
	maxMails = 16                  // remembered of one client
	mailLife = 90 * 24 * time.Hour // how long a mail's fate is told
)

// Mailed is one mail to a client, and what has become of it.
type Mailed struct {
	// ID is the local part of its Message-ID.
	ID string `json:"id"`
	// Kind is "link", "invitation" or "notice"; "mail" as long as no more than a
	// report of it is known, which came sooner.
	Kind string `json:"kind"`
	// Asked is when it was asked for, At when its fate was last heard of.
	Asked time.Time `json:"asked_at"`
	At    time.Time `json:"at"`
	Fate  mail.Fate `json:"fate"`
	// Reason explains the fate in plain words; empty if there is nothing to
	// explain.
	Reason string `json:"reason,omitempty"`
}

// Mails returns the mails to a client, newest first. withheld reports that
// nothing is sent because a mail was called spam, until [Runtime.Unlock]. It
// returns directory.ErrNotFound for who is not on file, and an error that wraps
// store.ErrUnknown if nobody can tell.
func (rt *Runtime) Mails(ctx context.Context, client string) (all []Mailed, withheld bool, err error) {
	e, c, err := rt.desk(ctx)
	if err != nil {
		return nil, false, err
	}
	if _, err := c.Clients.ByID(ctx, client); err != nil {
		return nil, false, err
	}
	tag := e.records.Tag(client)
	p, err := e.postbag(ctx, tag)
	if err != nil {
		return nil, false, err
	}
	now := rt.now()
	for i := len(p.Mails) - 1; i >= 0; i-- {
		all = append(all, p.Mails[i].public(now))
	}
	r, err := e.records.Again(ctx, tag)
	if err = ignoreNotFound(err); err != nil {
		return nil, false, err
	}
	return all, r != nil && r.NoMail(), nil
}

// postbag is what is kept of the mails to one client.
type postbag struct {
	Client string     `json:"i"`
	Mails  []mailNote `json:"m,omitempty"` // oldest first
}

// mailNote is what is kept of one mail. Times are Unix seconds.
type mailNote struct {
	ID     string      `json:"i"`
	Kind   string      `json:"k"`
	To     access.Hash `json:"a"` // keyed hash of the address
	Asked  int64       `json:"c"`
	Until  int64       `json:"x"` // when it is given up
	Fate   mail.Fate   `json:"f"`
	At     int64       `json:"t"`
	Reason string      `json:"r,omitempty"`
}

func (r mailNote) public(now time.Time) Mailed {
	m := Mailed{
		ID: r.ID, Kind: r.Kind, Asked: time.Unix(r.Asked, 0).UTC(), At: time.Unix(r.At, 0).UTC(), Fate: r.Fate, Reason: r.Reason,
	}
	if now.Unix() >= r.Until && (r.Fate == mail.Queued || r.Fate == mail.Delayed) {
		m.Reason = "given up, because it would come too late"
	}
	return m
}

// find returns what is kept of a mail; nil if nothing is.
func (p *postbag) find(id string) *mailNote {
	for i := range p.Mails {
		if p.Mails[i].ID == id {
			return &p.Mails[i]
		}
	}
	return nil
}

// note notes what is so with a mail, unless more is known already, as from a
// report that came sooner.
func (p *postbag) note(r mailNote, at time.Time) {
	had := p.find(r.ID)
	if had == nil {
		r.At = at.Unix()
		p.Mails = append(p.Mails, r)
		p.Mails = p.Mails[max(0, len(p.Mails)-maxMails):]
		return
	}
	had.Kind, had.To, had.Asked, had.Until = r.Kind, r.To, r.Asked, r.Until
	p.became(r.ID, r.Fate, r.Reason, at)
}

// became notes the fate of a mail, unless a later one is known. It reports
// whether that is news.
func (p *postbag) became(id string, f mail.Fate, reason string, at time.Time) bool {
	r := p.find(id)
	if r == nil || !f.After(r.Fate) || f == r.Fate && reason == r.Reason {
		return false
	}
	r.Fate, r.Reason, r.At = f, reason, at.Unix()
	return true
}

// postbag returns what is kept of the mails to one client.
func (e *engine) postbag(ctx context.Context, tag string) (postbag, error) {
	v, err := e.backend.Get(ctx, "mails/"+tag)
	if err = ignoreNotFound(err); err != nil {
		return postbag{}, err
	}
	return decodePostbag(v.Data)
}

func decodePostbag(data []byte) (p postbag, err error) {
	if data == nil {
		return p, nil
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return p, errors.Join(store.ErrUnknown, fmt.Errorf("decoding what was mailed: %v", err))
	}
	return p, nil
}

// keepPostbag changes what is kept of the mails to one client. f may be called
// more than once.
func (e *engine) keepPostbag(ctx context.Context, tag string, f func(now time.Time, p *postbag)) error {
	return e.backend.Update(ctx, "mails/"+tag, func(now time.Time, old store.Value) (store.Value, error) {
		p, err := decodePostbag(old.Data)
		if err != nil {
			return store.Value{}, err
		}
		f(now, &p)
		for len(p.Mails) > 0 && now.Sub(time.Unix(p.Mails[0].At, 0)) > mailLife {
			p.Mails = p.Mails[1:]
		}
		if len(p.Mails) == 0 {
			return store.Value{}, nil
		}
		data, err := json.Marshal(p)
		return store.Value{Data: data, Expires: now.Add(mailLife)}, err
	})
}
