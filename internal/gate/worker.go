// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/store"
)

const (
	leaseTime = time.Minute
	sendTime  = leaseTime / 2 // for one mail, so that nobody else takes it up meanwhile
	firstWait = 2 * time.Second
	longWait  = 10 * time.Minute
)

// deliver takes what is due from the queue and mails it, until ctx is done.
func (rt *Runtime) deliver(ctx context.Context, e *engine) {
	tick := time.NewTicker(time.Second) // for what another try is due for
	defer tick.Stop()
	pause := time.NewTimer(time.Hour)
	defer pause.Stop()
	for {
		items, err := e.backend.Lease(ctx, 16, leaseTime)
		for _, it := range items {
			rt.work(ctx, e, it)
		}
		if err == nil && len(items) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-e.wake:
			// Not at the heels of the request: what the worker does for an
			// address on file must not show in the answers that follow.
			if rt.o.Pause > 0 {
				pause.Reset(rand.N(rt.o.Pause))
				select {
				case <-ctx.Done():
					return
				case <-pause.C:
				}
			}
		case <-tick.C:
		}
	}
}

// work sends one mail, or gives the item back for another try.
func (rt *Runtime) work(ctx context.Context, e *engine, it store.Item) {
	c := rt.conf.Load()
	what, client, err := e.send(ctx, c, it, rt.o.Now())
	switch {
	case errors.Is(err, errEarly):
		err = e.backend.Retry(ctx, it.ID, rt.o.Now().Add(noticeWait))
	case ctx.Err() != nil: // it stays leased, and is sent after the restart
	case err != nil:
		c.Log.Error("sending mail", zap.String("what", what), zap.Int("try", it.Tries), zap.Error(err))
		rt.meter.retried(what)
		wait := min(firstWait<<min(it.Tries, 16), longWait)
		wait += rand.N(wait) // the other mails that failed now try at other times
		err = e.backend.Retry(ctx, it.ID, rt.o.Now().Add(wait))
	default:
		if client == "" {
			what += "_not"
		}
		rt.audit(c, what+"_sent", zap.String("client", client))
		err = e.backend.Done(ctx, it.ID)
	}
	if err != nil && ctx.Err() == nil {
		c.Log.Error("keeping the queue", zap.Error(err))
	}
}

// send does what a queue item asks for. It returns what that is, and the client
// who was mailed; none if nobody was to be.
func (e *engine) send(ctx context.Context, c *Config, it store.Item, now time.Time) (what, client string, err error) {
	var l letter
	if json.Unmarshal(it.Data, &l) != nil || l.Made < e.floor {
		// Not ours to guess at, or made before an earlier copy of the store was
		// put back: dropped.
		return "mail", "", nil
	}
	if l.Session != "" {
		client, err = e.tell(ctx, c, now, l)
		return "notice", client, err
	}
	if it.Lost {
		// It may have been sent, and its link used, in a history that the store
		// has lost: the same link must not be made good again. Another takes its
		// place, which the browser that asked does not know as its own.
		return "link", "", e.enqueue(ctx, itemID(), l, now, it.Expires)
	}
	client, err = e.sendLink(ctx, c, it, l)
	return "link", client, err
}

// sendLink mails a link, unless the address is not on file or the link is not
// to be sent any more. For an address that is not on file it does the same up
// to the sending, on a record that is nobody's: the worker's work must not tell
// either.
func (e *engine) sendLink(ctx context.Context, c *Config, it store.Item, l letter) (id string, err error) {
	to, err := address.Parse(l.Address)
	if err != nil {
		return "", nil
	}
	client, err := c.Clients.ByAddress(ctx, to)
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		return "", err
	}
	mayMail := err == nil && client.Access && client.EmailOK
	tag, scratch := e.records.Tag(client.ID), e.records.Scratch(to)
	if !mayMail {
		client = directory.Client{Email: to.String(), Name: "Some One"}
		tag = scratch
	}
	link := access.Link{
		Hash: e.keys.linkHash(it.ID), Made: l.Made, Expires: l.Made + l.Life, ReturnTo: l.Back, Shared: l.Shared,
	}
	var state access.State
	err = e.records.Update(ctx, tag, func(now time.Time, r *access.Record) error {
		if !mayMail {
			*r = access.Record{} // nobody's record is always like one just begun
		}
		r.Bind(now, client.ID, e.records.Address(to))
		state = r.AddLink(now, link)
		return nil
	})
	if err != nil || state != access.Live {
		return "", err
	}
	m, err := e.compose(c, it, client, tag, l)
	if !mayMail {
		return "", nil // nothing of a stranger's is tried again
	}
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	_, err = c.Sender.Send(ctx, m)
	return client.ID, err
}

// compose writes the mail for a link. Neither it nor its secrets are kept.
func (e *engine) compose(c *Config, it store.Item, to directory.Client, tag string, l letter) (mail.Message, error) {
	link := e.keys.linkSecret(it.ID)
	return c.compose(mail.SignIn{
		ID: messageID(it.ID), To: to.Email, First: firstName(to),
		Code: e.keys.mailCode(it.ID), Life: time.Duration(l.Life) * time.Second,
	}, session.Token(tag, link), session.Token(tag, e.keys.stopSecret(access.HashOf(link))))
}

func (c *Config) compose(in mail.SignIn, link, stop string) (mail.Message, error) {
	letters, err := mail.NewComposer(c.UI)
	if err != nil {
		return mail.Message{}, err
	}
	in.Link, in.Stop = c.page("/link", link), c.page("/stop", stop)
	return letters.SignIn(in)
}

// page is the URL of one of the gate's pages, for the token in a mail.
func (c *Config) page(at, token string) string {
	return origin(c.PublicURL) + c.Path + at + "?t=" + token
}

// messageID names the mail of a queue item, the same at every attempt.
func messageID(item string) string { return string(access.HashOf([]byte("message " + item))) }

// Check reports why mails could not be written in this configuration. Else it
// would be found when the first client waits for one.
func (c *Config) Check() error {
	sample := session.Token(strings.Repeat("a", session.TagSize), make([]byte, session.SecretSize))
	_, err := c.compose(mail.SignIn{ID: "sample", To: "ada@example.com", Code: "00000000", Life: time.Hour}, sample, sample)
	return err
}
