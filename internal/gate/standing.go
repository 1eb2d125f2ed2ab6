// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/store"
)

// Standing is how it stands with one client's getting in, at one moment. Its
// zero value is somebody who is not on file.
type Standing struct {
	// Now is that moment, in the practice's time zone.
	Now time.Time
	// Unknown reports that the list of clients or the store did not answer;
	// nothing else counts then.
	Unknown bool
	// Client is who is on file; without an id nobody is.
	Client directory.Client
	// Record is what lets the client in, with its events. It is not nil, and
	// empty if none of it was made for the address on file. It may be shared,
	// and must not be changed.
	Record *access.Record
	// Lifetimes are those of the sessions in it.
	Lifetimes access.Lifetimes
	// Mails are those with a link to the address on file, newest first.
	Mails []Mailed
	// MailDown reports that the mail server takes no mail.
	MailDown bool
	// NextMail is when the limits let the client ask for another mail; zero is
	// at once.
	NextMail time.Time
	// TakesPIN reports whether a PIN lets in.
	TakesPIN bool
	// Methods says to people what the sign-in methods are called, by name.
	Methods map[string]string
}

// Standing returns how it stands with a client. What cannot be read makes it
// unknown, and the log has the cause.
func (rt *Runtime) Standing(ctx context.Context, client string) Standing {
	e, c, err := rt.desk(ctx)
	if err != nil {
		if c != nil {
			c.Log.Error("looking how a client stands", zap.Error(err))
		}
		return Standing{Now: rt.now(), Unknown: true}
	}
	s := Standing{Now: rt.now().In(c.UI.Practice().Zone), Lifetimes: c.Session, MailDown: rt.mailServer.down.Load()}
	_, s.TakesPIN = c.takesPIN()
	s.Methods = make(map[string]string)
	for _, m := range c.Methods {
		s.Methods[m.Name] = m.Describe().Label
	}
	if err := e.look(ctx, c, client, &s); err != nil && !errors.Is(err, directory.ErrNotFound) {
		c.Log.Error("looking how a client stands", zap.String("client", client), zap.Error(err))
		s.Unknown = true
	}
	return s
}

// look fills in what is kept of a client.
func (e *engine) look(ctx context.Context, c *Config, client string, s *Standing) error {
	who, err := c.Clients.ByID(ctx, client)
	if err != nil {
		return err
	}
	to, err := address.Parse(who.Email)
	if err != nil {
		return fmt.Errorf("the address on file is none: %v", err)
	}
	tag, bound := e.records.Tag(who.ID), e.records.Address(to)
	// A copy in memory has no events.
	err = e.records.Update(ctx, tag, func(_ time.Time, r *access.Record) error {
		s.Record = r
		return store.ErrUnchanged
	})
	if err != nil {
		return err
	}
	if !s.Record.BoundTo(who.ID, bound) {
		s.Record = new(access.Record) // whatever is in it counts no more
	}
	// What happened is in the record for about a second, and then in the log.
	refused, _, err := e.chain.List(ctx, audit.Filter{Client: who.ID, What: "account_refused", Since: s.Now.Add(-24 * time.Hour), Limit: 1})
	if err != nil {
		return err
	}
	for _, ev := range refused {
		s.Record.Events = append(s.Record.Events, access.Event{At: ev.At.Unix(), What: ev.What, Method: ev.Method})
	}
	p, err := e.postbag(ctx, tag)
	if err != nil {
		return err
	}
	for i := len(p.Mails) - 1; i >= 0; i-- {
		if m := p.Mails[i]; m.To == bound && m.Kind != "notice" {
			s.Mails = append(s.Mails, m.public(s.Now))
		}
	}
	next, err := e.backend.Allow(ctx, c.mailLimits(&e.keys, to, true))
	if err != nil {
		return err
	}
	if !next.Allowed {
		s.NextMail = s.Now.Add(next.RetryAfter)
	}
	s.Client = who
	return nil
}
