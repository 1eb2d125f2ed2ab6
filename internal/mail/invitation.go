// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"errors"
	"time"

	"github.com/portalgate/portalgate/internal/ui"
)

// Invitation opens the portal to a client. It has no code, for there is no
// window that asked for one.
type Invitation struct {
	// ID, To and First are as in SignIn.
	ID, To, First string
	// Words are what the practice adds, in at most MaxWords characters; they may
	// be empty. They become one paragraph of plain text.
	Words string
	// Link signs in, at most 200 characters.
	Link string
	// Life is how long Link lasts.
	Life time.Duration
}

// MaxWords is how long Invitation.Words may be, in characters.
const MaxWords = 500

// Invitation composes the mail that invites a client. It refuses what SignIn
// refuses.
func (c *Composer) Invitation(in Invitation) (Message, error) {
	if err := in.check(); err != nil {
		return Message{}, err
	}
	slots := ui.Slots{"life": ui.Life(in.Life), "address": in.To}
	say := func(key string) string { return c.ui.Text("mail.invite."+key, slots) }
	m, err := c.letter(envelope{"invitation", in.ID, in.To, in.First}, letter{
		Subject: say("subject"),
		Preview: say("preview"),
		Parts: append(in.opening(say("opened")),
			part{Text: c.ui.Text("mail.sign_in.button", nil), Button: in.Link},
			part{Text: say("type")},
			part{Text: c.ui.Text("mail.sign_in.once", slots), Tight: true},
			part{Text: say("next")},
			part{Text: say("tip"), Tight: true},
			part{Text: say("shared"), Quiet: true},
			part{Text: say("not_you"), Quiet: true, Tight: true},
		),
	})
	if err != nil {
		return Message{}, err
	}
	return c.inOwnWords(m, c.templates.invitation, in.First, in.filled())
}

func (in Invitation) check() error {
	if in.Life <= 0 {
		return errors.New("link has no life")
	}
	return checkLink("link", in.Link)
}

// opening is what the mail is, and the practice's words if there are any.
func (in Invitation) opening(what string) []part {
	parts := []part{{Text: what}}
	if words := in.message(); words != "" {
		parts = append(parts, part{Text: words})
	}
	return parts
}

func (in Invitation) message() string { return clean(in.Words, MaxWords) }

// filled is what a practice's own words may name.
func (in Invitation) filled() filled {
	return filled{"Link": in.Link, "Life": ui.Life(in.Life), "Address": in.To, "Message": in.message()}
}
