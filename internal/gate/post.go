// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/mail"
)

// parcel is a mail on its way to one client.
type parcel struct {
	tag, client string
	mailNote
	// nobody is one who is not on file: all is done but the sending, because the
	// worker's work must not tell who is.
	nobody bool
}

// came is what came of a queue item.
type came struct {
	what   string    // "link" or "notice"
	client string    // empty if nobody was to be mailed
	fate   mail.Fate // of the mail, if there was one
	reason string
}

// unsent is the error of a sender that is about the mail server, not the mail.
type unsent struct{ error }

func (u unsent) Unwrap() error { return u.error }

// post hands a mail to the sender, and keeps what came of it where staff can
// see it.
func (e *engine) post(ctx context.Context, c *Config, p parcel, m mail.Message) (came, error) {
	result := came{what: p.Kind}
	withheld := false
	err := e.keepPostbag(ctx, p.tag, func(now time.Time, all *postbag) {
		if p.nobody {
			*all = postbag{} // nobody's record is always like one just begun
		}
		all.Client = p.client
		withheld = all.begin(now, p.mailNote)
	})
	if err != nil {
		return result, err
	}
	if !p.nobody {
		result.client = p.client
	}
	if withheld {
		result.fate = mail.Withheld
		return result, nil
	}
	if !p.nobody {
		m.Ref = e.keys.mailRef(p.tag, p.ID)
		err = send(ctx, c, m)
	}
	result.fate, result.reason = fateOf(err)
	if kept := e.keepPostbag(ctx, p.tag, func(now time.Time, all *postbag) {
		all.became(p.ID, result.fate, result.reason, now)
	}); kept != nil {
		c.Log.Error("keeping what became of a mail", zap.Error(kept)) // it was sent, or will be tried again
	}
	if result.fate == mail.Bounced {
		err = nil // that is done
	}
	return result, err
}

func send(ctx context.Context, c *Config, m mail.Message) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	_, err := c.Sender.Send(ctx, m)
	var refusal *mail.Refusal
	if err != nil && !errors.As(err, &refusal) {
		return unsent{err}
	}
	return err
}

// fateOf is what a sender's answer means for a mail.
func fateOf(err error) (mail.Fate, string) {
	var refusal *mail.Refusal
	switch {
	case err == nil:
		return mail.Sent, ""
	case !errors.As(err, &refusal):
		return mail.Delayed, "our mail server does not take mail"
	case refusal.Permanent:
		return mail.Bounced, refusal.Reason
	}
	return mail.Delayed, refusal.Reason
}

// mailRef is what a report about a mail brings back: whose it was and which,
// sealed.
func (k keys) mailRef(tag, id string) string {
	return base64.RawURLEncoding.EncodeToString(k.report.Seal([]byte(tag+" "+id), "mail"))
}

func (k keys) openMailRef(ref string) (tag, id string, ok bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(ref)
	if err != nil {
		return "", "", false
	}
	text, err := k.report.Open(sealed, "mail")
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(text), " ")
}

// mailServer is whether the mail server takes mail, as the last one showed.
type mailServer struct {
	down atomic.Bool
	said Hourly
}

// tell says it when that changes, and once an hour while it is down. failure is
// why it does not take mail; nil is that it answers. Nothing but mail depends on
// it.
func (s *mailServer) tell(c *Config, now time.Time, failure error) {
	switch {
	case failure != nil:
		if due := s.said.Due(now); !s.down.Swap(true) || due {
			c.Log.Error("the mail server does not take mail; mails wait and are tried again", zap.Error(failure))
		}
	case s.down.Swap(false):
		c.Log.Info("the mail server takes mail again")
	}
}
