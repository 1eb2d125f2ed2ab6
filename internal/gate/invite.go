// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/mail"
)

// Staff have links mailed: an invitation, or a link alone to one who has been here
// before. No browser has asked for such a link, so that none is signed in
// by it without the address being typed, or the client having been there before.

// deskLinkLife is how long a link lasts that staff have sent.
const deskLinkLife = 24 * time.Hour

var (
	// ErrNoConsent is returned if a client does not want email.
	ErrNoConsent = errors.New("this client does not want email")
	// ErrWithheld is returned if nothing is mailed to a client, because an earlier
	// mail was called spam.
	ErrWithheld = errors.New("mail to this client is held back after a complaint; unlock the client first")
	// ErrReturnTo is returned if what is to be the page to land on is none of this
	// site.
	ErrReturnTo = errors.New("the page to land on is not a path of this site, of at most 512 characters")
	// ErrWords is returned if the words in such a mail are too many.
	ErrWords = fmt.Errorf("the words are more than %d characters", mail.MaxWords)
)

// LinkOrder asks for a mail with a link that signs a client in.
type LinkOrder struct {
	Client string
	// By is who has it sent: a staff member's id.
	By string
	// ReturnTo is the path to land on; empty is the start page.
	ReturnTo string
	// Invite makes it an invitation, in the place of earlier ones.
	Invite bool
	// Words are the practice's own, and may be empty.
	Words string
}

// QueueLink queues such a mail; what becomes of it, [Runtime.Mails] tells. It
// returns directory.ErrNotFound if nobody on file is meant, ErrNoAccess,
// ErrNoConsent, ErrWithheld, ErrReturnTo, ErrWords, or store.ErrUnknown.
func (rt *Runtime) QueueLink(ctx context.Context, o LinkOrder) error {
	e, c, err := rt.desk(ctx)
	if err != nil {
		return err
	}
	back := safeReturn(o.ReturnTo, c.Path)
	switch {
	case back == "/" && o.ReturnTo != "" && o.ReturnTo != "/":
		return ErrReturnTo
	case utf8.RuneCountInString(o.Words) > mail.MaxWords:
		return ErrWords
	}
	who, err := c.Clients.ByID(ctx, o.Client)
	switch {
	case err != nil:
		return err
	case !who.Access:
		return ErrNoAccess
	case !who.EmailOK:
		return ErrNoConsent
	}
	to, err := address.Parse(who.Email)
	if err != nil {
		return fmt.Errorf("the address on file is none: %v", err)
	}
	tag, now := e.records.Tag(who.ID), rt.now()
	r, err := e.records.Again(ctx, tag)
	if err = ignoreNotFound(err); err != nil {
		return err
	}
	if r != nil && r.BoundTo(who.ID, e.records.Address(to)) && r.NoMail() {
		return ErrWithheld
	}
	l := letter{
		Made: now.Unix(), Address: to.String(), Life: int64(deskLinkLife / time.Second), Tag: tag, Invited: o.Invite, Words: o.Words,
	}
	if back != "/" {
		l.Back = back
	}
	if err := e.enqueueNow(ctx, itemID(), l, now, now.Add(deskLinkLife)); err != nil {
		return err
	}
	rt.done(ctx, e, c, l.kind()+"_asked", who.ID, o.By)
	return nil
}

// kind is what a letter with a link is called in logs and by staff.
func (l letter) kind() string {
	if l.Invited {
		return "invitation"
	}
	return "link"
}

// fromStaff writes the mail for a link that staff send.
func (c *Config) fromStaff(item string, to directory.Client, link, stop string, l letter) (mail.Message, error) {
	letters, err := mail.NewComposer(c.UI, c.Templates)
	if err != nil {
		return mail.Message{}, err
	}
	in := mail.Invitation{
		ID: messageID(item), To: to.Email, First: firstName(to), Words: l.Words,
		Link: c.page("/link", link), Life: time.Duration(l.Life) * time.Second,
	}
	if l.Invited {
		return letters.Invitation(in)
	}
	return letters.LinkSent(in, c.page("/stop", stop))
}
