// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/store"
)

// A client is told by mail of every sign-in from a browser that was not known
// to be theirs, with a press that ends it.

// noticeWait is how long a sign-in may take from the queueing of its notice,
// which comes first, so that no crash can open a session that nobody is told
// of. A notice without its session is dropped.
const noticeWait = 5 * time.Second

// announce queues the notice of the session that is about to be opened for a
// client, unless this browser is known to be theirs.
func (v *visit) announce(ctx context.Context, tag string, browser, session access.Hash) error {
	r, err := v.eng.records.Get(ctx, tag)
	if err != nil {
		return ignoreNotFound(err) // then there is nothing to sign in to
	}
	if r.Knows(v.now, browser) {
		return nil
	}
	return v.eng.enqueue(ctx, "notice-"+string(session), letter{Made: v.now.Unix(), Tag: tag, Session: session},
		v.now.Add(noticeWait), v.now.Add(24*time.Hour))
}

// tell mails a notice and returns the client; none if there is nobody to tell.
func (e *engine) tell(ctx context.Context, c *Config, id string, l letter) (client string, err error) {
	r, err := e.records.Get(ctx, l.Tag)
	if err != nil {
		return "", ignoreNotFound(err)
	}
	s, ok := r.Session(l.Session)
	if !ok {
		return "", nil // the sign-in came to nothing
	}
	to, err := c.Clients.ByID(ctx, r.Client)
	if errors.Is(err, directory.ErrNotFound) || err == nil && !to.EmailOK {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	letters, err := mail.NewComposer(c.UI)
	if err != nil {
		return "", err
	}
	m, err := letters.NewBrowser(mail.Notice{
		ID: messageID(id), To: to.Email, First: firstName(to), Kind: s.Kind, When: time.Unix(s.Made, 0),
		Stop: c.page("/stop", session.Token(l.Tag, e.keys.stopSession(l.Session))),
	})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	return to.ID, c.Sender.Send(ctx, m)
}

// namedSession returns the hash of the session that a stop token names.
func (e *engine) namedSession(r *access.Record, given access.Hash) access.Hash {
	for _, s := range r.Sessions {
		if access.HashOf(e.keys.stopSession(s.Hash)) == given {
			return s.Hash
		}
	}
	return ""
}

// stopSession ends the session that a stop link names.
func (v *visit) stopSession(o opened) (stopped bool, err error) {
	err = v.eng.records.Update(v.r.Context(), o.tag, func(now time.Time, r *access.Record) error {
		if stopped = r.StopSession(now, o.session); !stopped {
			return store.ErrUnchanged
		}
		return nil
	})
	return stopped, err
}
