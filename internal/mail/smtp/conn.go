// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package smtp

import (
	"context"
	"errors"
	"net"
	netmail "net/mail"
	"slices"
	"sync"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/portalgate/portalgate/internal/mail"
)

// errStale says that a connection had died before a mail was begun on it.
var errStale = errors.New("the connection was closed")

// conn is one connection, for one mail at a time.
type conn struct {
	client *gomail.Client
	timer  *time.Timer // closes it while it is idle

	mu  sync.Mutex
	raw net.Conn // guarded by mu; nil until it was dialled
}

// close lets go of the connection, whatever is under way on it.
func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.raw != nil {
		c.raw.Close()
	}
}

// quit says goodbye first.
func (c *conn) quit() {
	c.mu.Lock()
	if c.raw != nil {
		_ = c.raw.SetDeadline(time.Now().Add(time.Second))
	}
	c.mu.Unlock()
	_ = c.client.Close() // the server may have gone before
	c.close()
}

// send sends a mail, and reports whether the connection is good for another.
func (c *conn) send(ctx context.Context, msg *gomail.Msg) (answer string, alive bool, err error) {
	stop := context.AfterFunc(ctx, c.close)
	err = c.client.Send(msg)
	alive = stop()
	if msg.IsDelivered() {
		// What went wrong after the server took it is the next mail's business.
		return mail.WithoutSecrets(msg.ServerResponse()), alive && err == nil, nil
	}
	var failed *gomail.SendError
	if !errors.As(err, &failed) {
		return "", false, err
	}
	if failed.Reason == gomail.ErrConnCheck && ctx.Err() == nil {
		return "", false, errStale
	}
	// Of what a server refuses, the recipient and the text are this mail's; that
	// it does not know us, takes nothing from our sender or has to go is not.
	about := []gomail.SendErrReason{gomail.ErrSMTPRcptTo, gomail.ErrSMTPData, gomail.ErrSMTPDataClose}
	code := failed.ErrorCode()
	if !slices.Contains(about, failed.Reason) || code < 400 || slices.Contains([]int{421, 454, 530, 535, 538}, code) {
		return "", false, err
	}
	return "", alive && failed.Reason == gomail.ErrSMTPRcptTo, mail.NewRefusal(code, failed.EnhancedStatusCode())
}

// compose makes the MIME message. What it refuses would be refused by the
// server, or break out of a header.
func compose(m mail.Message) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.Subject(m.Subject)
	msg.SetMessageIDWithValue(m.ID)
	msg.SetDate()
	for _, h := range m.Headers() {
		msg.SetGenHeader(gomail.Header(h[0]), h[1])
	}
	if from, err := netmail.ParseAddress(m.From); err != nil || from.Address != m.From {
		return nil, errors.New("the sender's address cannot stand in a mail")
	}
	msg.FromMailAddress(&netmail.Address{Name: m.FromName, Address: m.From}) // FromFormat takes a name's quotes apart
	if err := msg.To(m.To); err != nil {
		return nil, mail.NewRefusal(553, "5.1.3")
	}
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return msg, nil
}
