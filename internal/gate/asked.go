// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"time"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/mail"
)

// A caller may wait in vain for a mail, because the address that was typed is not
// the one on file. What is written in the place of a mail to nobody tells staff,
// without the address: a keyed hash of it, and when.

// askedLife is for how long staff are told that a link was asked for.
const askedLife = 24 * time.Hour

// noteAsked is that for mode "reveal", in which nothing is queued for nobody.
func (e *engine) noteAsked(ctx context.Context, c *Config, to address.Address, now time.Time) {
	e.noteMail(ctx, c, parcel{tag: e.records.Scratch(to), nobody: true, mailNote: mailNote{
		ID: messageID(itemID()), Kind: letter{}.kind(), To: e.records.Address(to), Asked: now.Unix(), Until: now.Unix(),
	}}, mail.Sent, "")
}

// LinkAsked returns when a link was last asked for with an address that is not on
// file, within a day; the zero time if none was, or if it is no address. With one
// in 4 096 of other addresses that are not on file the same place is used anew,
// and it is told that none was.
func (rt *Runtime) LinkAsked(ctx context.Context, email string) (time.Time, error) {
	e, _, err := rt.desk(ctx)
	if err != nil {
		return time.Time{}, err
	}
	to, err := address.Parse(email)
	if err != nil {
		return time.Time{}, nil
	}
	p, err := e.postbag(ctx, e.records.Scratch(to))
	if err != nil {
		return time.Time{}, err
	}
	for _, m := range p.Mails {
		if at := moment(m.Asked); m.To == e.records.Address(to) && rt.now().Sub(at) < askedLife {
			return at, nil
		}
	}
	return time.Time{}, nil
}
