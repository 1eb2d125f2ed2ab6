// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"time"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/store"
)

// A client is told by mail that staff have withdrawn portal access, or have taken
// the client off the list.

// announceWithdrawn queues the notice that access is withdrawn from a client, who
// is given as on file until then, if the client has ever been here and may be
// mailed. It comes before the change is made, so that no crash can make it in
// silence.
func (rt *Runtime) announceWithdrawn(ctx context.Context, e *engine, client directory.Client) error {
	at, bad := address.Parse(client.Email)
	if bad != nil || !client.EmailOK {
		return nil
	}
	tag := e.records.Tag(client.ID)
	r, err := e.records.Get(ctx, tag)
	if err = ignoreNotFound(err); err != nil || r == nil || r.Client != client.ID {
		return err
	}
	if r.NoMailTo(e.records.Address(at)) {
		return nil // that is known now: it is forgotten with whoever is taken off the list
	}
	return e.announceAt(ctx, at, "off"+tag, letter{Made: rt.now().Unix(), Tag: tag, Withdrawn: true})
}

// tellWithdrawn mails it, if it is so and there is still somebody to tell.
func (e *engine) tellWithdrawn(ctx context.Context, c *Config, now time.Time, it store.Item, l letter) (came, error) {
	none := came{what: "notice"}
	at, bad := address.Parse(l.Address)
	r, err := e.records.Get(ctx, l.Tag)
	if err = ignoreNotFound(err); err != nil || bad != nil || r == nil {
		return none, err
	}
	on, bound, err := e.records.OnFile(ctx, c.Clients, r.Client)
	switch gone := on.ID == ""; {
	case err != nil:
		return none, err
	case bound != "" && now.Unix() < l.Made+int64(noticeLate/time.Second):
		return none, errEarly // it is not withdrawn yet
	case bound != "" || !gone && !on.EmailOK:
		return none, nil
	}
	return e.tellAt(ctx, c, it, l, r, at, on, func(letters *mail.Composer, n mail.Notice) (mail.Message, error) {
		if on.Email == at.String() {
			n.First = firstName(on)
		}
		return letters.Withdrawn(n)
	})
}
