// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/store"
)

// A client whose address on file is another is told at both: whoever talks staff
// into changing it has taken the portal over, and the old mailbox is where the
// client reads of it.

// movedWait is how long these notices wait: longer than it takes every gate that
// reads the same list to find the change, so that they are queued once.
const movedWait = 15 * time.Second

// announceMoved queues the notices that a client's address was another and is this
// one, if that is so and the client has ever been here. It comes before the change is
// made to the record, so that no crash can make it in silence.
func (rt *Runtime) announceMoved(ctx context.Context, e *engine, was, is directory.Client) error {
	none := address.Address{}
	from, _ := address.Parse(was.Email)
	to, _ := address.Parse(is.Email)
	if from == none || to == none || from.Canonical() == to.Canonical() {
		return nil
	}
	tag, now := e.records.Tag(is.ID), rt.now()
	r, err := e.records.Get(ctx, tag)
	if err = ignoreNotFound(err); err != nil || r == nil || r.Client != is.ID {
		return err
	}
	what := fmt.Sprint("moved", tag, e.records.Address(from), e.records.Address(to))
	l := letter{Made: now.Unix(), Tag: tag, Moved: true}
	if err := e.announceAt(ctx, to, what, l); err != nil {
		return err
	}
	// Whoever takes a portal over gives the address to somebody they have made up, takes
	// the access away for a while, or the client off the list: the notice goes there all
	// the same. Only what one change of a list gives to somebody else is theirs.
	has, err := rt.conf.Load().Clients.ByAddress(ctx, from)
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		return err
	}
	l.Left = err != nil || has.ID == is.ID
	l.Consents = is.EmailOK && !r.NoMailTo(e.records.Address(from))
	return e.announceAt(ctx, from, what, l)
}

// announceAt queues a notice of what has become of an address on file, to the
// address at. All gates that see the same change queue the same one.
func (e *engine) announceAt(ctx context.Context, at address.Address, what string, l letter) error {
	l.Address = at.String()
	id := access.HashOf([]byte(fmt.Sprint(what, e.records.Address(at))))
	made := time.Unix(l.Made, 0)
	return e.enqueue(ctx, "notice-moved-"+string(id), l, made.Add(movedWait), made.Add(24*time.Hour))
}

// tellMoved mails one of them, if there is still somebody to tell there.
func (e *engine) tellMoved(ctx context.Context, c *Config, now time.Time, it store.Item, l letter) (came, error) {
	none := came{what: "notice"}
	at, bad := address.Parse(l.Address)
	r, err := e.records.Get(ctx, l.Tag)
	if err = ignoreNotFound(err); err != nil || bad != nil || r == nil {
		return none, err
	}
	on, bound, err := e.records.OnFile(ctx, c.Clients, r.Client)
	there, _ := address.Parse(on.Email)
	gone, here := on.ID == "", on.ID != "" && there.Canonical() == at.Canonical()
	unmade := bound != "" && !r.BoundTo(r.Client, bound) || bound == "" && here
	switch {
	case err != nil:
		return none, err
	case gone && !l.Consents, bound == "" && !l.Left, !gone && !on.EmailOK && here:
		return none, nil
	case !gone && !on.EmailOK:
		// Without consent there is no mail, not even this one. That nobody was told is
		// written down.
		return came{what: "notice", client: r.Client, fate: mail.Withheld, reason: "the address is another, and there is no consent to mail"}, nil
	case unmade && now.Unix() < l.Made+int64(noticeLate/time.Second):
		return none, errEarly
	case unmade && bound == "":
		return none, nil // nor will it be
	}
	return e.tellAt(ctx, c, it, l, r, at, on, func(letters *mail.Composer, n mail.Notice) (mail.Message, error) {
		if e.records.Address(at) == bound {
			n.First = firstName(on)
			return letters.MovedHere(n)
		}
		return letters.MovedAway(n) // to whom it may concern
	})
}

// tellAt mails what write writes to the address at, which is the client's or was,
// unless it is on file for somebody else now and that counts: see letter. on is what
// is on file for the client.
func (e *engine) tellAt(ctx context.Context, c *Config, it store.Item, l letter, r *access.Record, at address.Address, on directory.Client,
	write func(*mail.Composer, mail.Notice) (mail.Message, error)) (came, error) {
	none := came{what: "notice"}
	if !l.Left {
		other, err := c.Clients.ByAddress(ctx, at)
		if err != nil && !errors.Is(err, directory.ErrNotFound) {
			return none, err
		}
		if err == nil && other.ID != r.Client {
			return none, nil // nor is it the business of who has that address now
		}
	}
	letters, err := mail.NewComposer(c.UI, c.Templates)
	if err != nil {
		return none, err
	}
	n := mail.Notice{ID: messageID(fmt.Sprint(it.ID, l.Made)), To: at.String(), When: time.Unix(l.Made, 0)}
	m, err := write(letters, n)
	if err != nil {
		return none, err
	}
	here := e.records.Address(at)
	return e.post(ctx, c, parcel{tag: l.Tag, client: r.Client, withheld: r.NoMailTo(here), gone: on.ID == "", mailNote: mailNote{
		ID: n.ID, Kind: "notice", To: here, Asked: l.Made, Until: it.Expires.Unix(),
	}}, m)
}
