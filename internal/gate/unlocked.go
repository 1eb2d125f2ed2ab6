// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/store"
)

// announceUnlocked queues the notice that a client's PINs and codes are on
// again. They are, whether or not it can be: that lets nobody in by itself.
func (rt *Runtime) announceUnlocked(ctx context.Context, client string) {
	e, c, err := rt.desk(ctx)
	if err == nil {
		now := rt.now()
		err = e.enqueueNow(ctx, itemID(), letter{Made: now.Unix(), Tag: e.records.Tag(client), Unlocked: true}, now, now.Add(24*time.Hour))
	}
	if err != nil && c != nil {
		c.Log.Error("a client is not told that PINs and codes are on again", zap.String("client", client), zap.Error(err))
	}
}

// tellUnlocked mails that notice, if there is somebody to tell.
func (e *engine) tellUnlocked(ctx context.Context, c *Config, it store.Item, l letter) (came, error) {
	none := came{what: "notice"}
	r, err := e.records.Get(ctx, l.Tag)
	if err = ignoreNotFound(err); err != nil || r == nil {
		return none, err
	}
	to, bound, err := e.records.OnFile(ctx, c.Clients, r.Client)
	if err != nil || !r.BoundTo(r.Client, bound) || !to.EmailOK {
		return none, err
	}
	letters, err := mail.NewComposer(c.UI, c.Templates)
	if err != nil {
		return none, err
	}
	id := messageID("unlocked " + it.ID)
	m, err := letters.Unlocked(mail.Notice{ID: id, To: to.Email, First: firstName(to)})
	if err != nil {
		return none, err
	}
	return e.post(ctx, c, parcel{tag: l.Tag, client: to.ID, withheld: r.NoMail(), mailNote: mailNote{
		ID: id, Kind: "notice", To: bound, Asked: l.Made, Until: it.Expires.Unix(),
	}}, m)
}
