// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/store"
)

// Sheet is what staff see of one client: what is on file, and how it stands with
// getting in. It holds no secret and no hash of one.
type Sheet struct {
	Client directory.Client `json:"-"`
	// LastSignIn is when the client last signed in, as far as that is
	// remembered: for 180 days. Zero if it is not.
	LastSignIn time.Time `json:"last_sign_in_at,omitzero"`
	// Sessions are those that are going on, oldest first.
	Sessions []Signed `json:"sessions"`
	// LinkUntil is until when the last of the mailed links works, and PINUntil
	// until when the PIN does. Zero if there is none.
	LinkUntil time.Time `json:"link_until,omitzero"`
	PINUntil  time.Time `json:"pin_until,omitzero"`
	// Accounts are those at other places that let the client in.
	Accounts []Account `json:"accounts"`
	// WrongPINs and WrongCodes count the wrong ones since the last right one.
	WrongPINs  int `json:"wrong_pins"`
	WrongCodes int `json:"wrong_codes"`
	// PINsOff and CodesOff report that there were too many in a row, and PINsRest
	// until when no PIN is taken because there were too many in a day.
	PINsOff  bool      `json:"pins_off"`
	CodesOff bool      `json:"codes_off"`
	PINsRest time.Time `json:"pins_rest_until,omitzero"`
	// Mails are those to the client, newest first; Withheld reports that no more
	// are sent because one was called spam.
	Mails    []Mailed `json:"mails"`
	Withheld bool     `json:"mails_withheld"`
}

// Signed is one place where a client is signed in.
type Signed struct {
	// ID names the session to the upstream and to nobody's browser.
	ID     string `json:"sid"`
	Method string `json:"method"`
	// Kind is the kind of browser, as it says itself.
	Kind   string    `json:"kind"`
	Begun  time.Time `json:"begun_at"`
	Used   time.Time `json:"used_at"`
	Shared bool      `json:"shared"`
}

// Account is an account at another place that belongs to a client.
type Account struct {
	Method string    `json:"method"`
	Linked time.Time `json:"linked_at"`
}

// ClientByID returns what there is to see of a client: directory.ErrNotFound, or
// an error that wraps store.ErrUnknown.
func (rt *Runtime) ClientByID(ctx context.Context, id string) (Sheet, error) {
	e, c, err := rt.desk(ctx)
	if err != nil {
		return Sheet{}, err
	}
	who, err := c.Clients.ByID(ctx, id)
	if err != nil {
		return Sheet{}, rosterError(err)
	}
	s := Sheet{Client: who, Sessions: []Signed{}, Accounts: []Account{}}
	if s.Mails, _, err = rt.Mails(ctx, id); err != nil {
		return Sheet{}, err
	}
	if s.Mails == nil {
		s.Mails = []Mailed{}
	}
	to, bad := address.Parse(who.Email)
	err = e.records.Update(ctx, e.records.Tag(id), func(now time.Time, r *access.Record) error {
		s.read(now, r)
		if bad == nil {
			s.Withheld = r.Spam != "" && r.Spam == e.records.Address(to)
		}
		var bound access.Hash
		if bad == nil && who.Access {
			bound = e.records.Address(to)
		}
		r.Bind(now, id, bound) // what does not count for this address is not shown
		s.readLive(now, r, c.Session)
		return store.ErrUnchanged
	})
	return s, err
}

// read reads what stays, whatever the address.
func (s *Sheet) read(now time.Time, r *access.Record) {
	last := int64(0)
	for _, x := range r.Sessions {
		last = max(last, x.Made)
	}
	for _, x := range r.Known {
		last = max(last, x.Used)
	}
	for _, x := range r.Past {
		if x.State == access.Used {
			last = max(last, x.At)
		}
	}
	s.LastSignIn = moment(last)
	s.WrongCodes, s.CodesOff, s.PINsOff = r.WrongCodes, r.CodesOff(), r.PINsOff()
	if r.PINs != nil {
		s.WrongPINs = r.PINs.Row
		if r.PINsClosed(now) && !r.PINsOff() {
			s.PINsRest = moment(r.PINs.Day + int64(24*time.Hour/time.Second))
		}
	}
}

// readLive reads what lets somebody in.
func (s *Sheet) readLive(now time.Time, r *access.Record, lt access.Lifetimes) {
	s.Sessions, s.Accounts = []Signed{}, []Account{} // this may be another try
	for _, x := range r.Live(now, lt) {
		s.Sessions = append(s.Sessions, Signed{
			ID: session.ID(x.Hash), Method: x.Method, Kind: x.Kind, Begun: moment(x.Made), Used: moment(x.Used), Shared: x.Shared,
		})
	}
	s.LinkUntil, s.PINUntil = time.Time{}, time.Time{}
	for _, l := range r.Links {
		if until := moment(l.Expires); now.Before(until) && until.After(s.LinkUntil) {
			s.LinkUntil = until
		}
	}
	if p, ok := r.LivePIN(now); ok && !r.PINsClosed(now) {
		s.PINUntil = moment(p.Expires)
	}
	for _, a := range r.Subjects {
		s.Accounts = append(s.Accounts, Account{Method: a.Method, Linked: moment(a.Made)})
	}
}

// Sessions returns where a client is signed in, oldest first.
func (rt *Runtime) Sessions(ctx context.Context, client string) ([]Signed, error) {
	s, err := rt.ClientByID(ctx, client)
	return s.Sessions, err
}

// moment is a time in Unix seconds; the zero time if there is none.
func moment(t int64) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(t, 0).UTC()
}
