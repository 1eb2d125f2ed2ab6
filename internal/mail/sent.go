// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mail

import "github.com/portalgate/portalgate/internal/ui"

// LinkSent composes the mail with a link that staff send to a client who has been
// here before; stop switches it off. It says who sent it, for nobody has asked for
// it, and has no code, for no window waits for one. It refuses what SignIn refuses.
func (c *Composer) LinkSent(in Invitation, stop string) (Message, error) {
	if err := in.check(); err != nil {
		return Message{}, err
	}
	if err := checkLink("stop link", stop); err != nil {
		return Message{}, err
	}
	slots := ui.Slots{"life": ui.Life(in.Life), "address": in.To, "stop": ""}
	say := func(key string) string { return c.ui.Text(key, slots) }
	m, err := c.letter(envelope{"sign-in", in.ID, in.To, in.First}, letter{
		Subject: say("mail.sign_in.subject"),
		Preview: say("mail.sign_in.preview"),
		Parts: append(in.opening(say("mail.sent.sent")),
			part{Text: say("mail.sign_in.button"), Button: in.Link},
			part{Text: say("mail.sent.type")},
			part{Text: say("mail.sign_in.once"), Tight: true},
			part{Text: say("mail.invite.not_you"), Quiet: true},
			part{Text: say("mail.sign_in.stop"), Link: stop, Quiet: true, Tight: true},
		),
	})
	if err != nil {
		return Message{}, err
	}
	f := in.filled()
	f["Stop"] = stop
	return c.inOwnWords(m, c.templates.link, in.First, f)
}
