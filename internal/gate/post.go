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
	// withheld reports that the client wants no mail: see access.Record.NoMail.
	withheld bool
	// gone is one who is off file: nothing is kept of the mail.
	gone bool
}

// slow is when a mail that is being sent is noted to be on its way.
const slow = time.Second

// came is what came of a queue item.
type came struct {
	what   string    // "link", "invitation" or "notice"
	client string    // empty if nobody was to be mailed
	fate   mail.Fate // of the mail, if there was one
	reason string
}

// unsent is the error of a sender that is about the mail server, not the mail.
type unsent struct{ error }

func (u unsent) Unwrap() error { return u.error }

// post hands a mail to the sender, and keeps what came of it where staff can
// see it: in one write, but for a mail that takes its time.
func (e *engine) post(ctx context.Context, c *Config, p parcel, m mail.Message) (came, error) {
	result := came{what: p.Kind}
	var err error
	switch {
	case p.nobody:
		result.fate = mail.Sent
	case p.withheld:
		result.client, result.fate, result.reason = p.client, mail.Withheld, "an earlier one was called spam"
	default:
		result.client = p.client
		if !p.gone {
			m.Ref = e.keys.mailRef(p.tag, p.ID)
		}
		noted := make(chan struct{})
		onItsWay := time.AfterFunc(slow, func() {
			defer close(noted)
			e.noteMail(ctx, c, p, mail.Queued, "")
		})
		err = send(ctx, c, m)
		if !onItsWay.Stop() {
			<-noted
		}
		result.fate, result.reason = fateOf(err)
	}
	e.noteMail(ctx, c, p, result.fate, result.reason)
	if result.fate == mail.Bounced {
		err = nil // that is done
	}
	return result, err
}

// noteMail keeps what is so with a mail. Where that cannot be kept, it was sent
// all the same, or will be tried again.
func (e *engine) noteMail(ctx context.Context, c *Config, p parcel, f mail.Fate, reason string) {
	if p.gone {
		return
	}
	p.Fate, p.Reason = f, reason
	err := e.keepPostbag(ctx, p.tag, func(now time.Time, all *postbag) {
		if p.nobody {
			*all = postbag{} // nobody's record is always like one just begun
		}
		all.Client = p.client
		all.note(p.mailNote, now)
	})
	if err != nil {
		c.Log.Error("keeping what became of a mail", zap.Error(err))
	}
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
