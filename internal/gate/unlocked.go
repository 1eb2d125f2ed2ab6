// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"cmp"
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/store"
)

// tellHelped queues the notice of what staff have done for a client, which l says:
// that PINs and codes are on again, that a wait is over, or that an account was
// taken away. It is done,
// whether or not it can be told: that lets nobody in by itself.
func (rt *Runtime) tellHelped(ctx context.Context, client string, l letter) {
	e, c, err := rt.desk(ctx)
	if err == nil {
		now := rt.now()
		l.Made, l.Tag = now.Unix(), e.records.Tag(client)
		err = e.enqueueNow(ctx, itemID(), l, now, now.Add(24*time.Hour))
	}
	if err != nil && c != nil {
		c.Log.Error("a client is not told what staff have done", zap.String("client", client), zap.Error(err))
	}
}

// tellOfHelp mails that notice, if there is somebody to tell.
func (e *engine) tellOfHelp(ctx context.Context, c *Config, it store.Item, l letter) (came, error) {
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
	n := mail.Notice{ID: id, To: to.Email, First: firstName(to)}
	var m mail.Message
	switch {
	case l.Unlocked:
		m, err = letters.Unlocked(n)
	case l.Lifted:
		m, err = letters.Lifted(n)
	default:
		m, err = letters.Unlinked(n, cmp.Or(c.label(l.Unlinked), l.Unlinked))
	}
	if err != nil {
		return none, err
	}
	return e.post(ctx, c, parcel{tag: l.Tag, client: to.ID, withheld: r.NoMail(), mailNote: mailNote{
		ID: id, Kind: "notice", To: bound, Asked: l.Made, Until: it.Expires.Unix(),
	}}, m)
}

// label is what a method is called; empty if the gate has none of that name.
func (c *Config) label(method string) string {
	m, ok := c.method(method)
	if !ok {
		return ""
	}
	return m.Describe().Label
}
