// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"errors"
	"regexp"
	"time"

	"github.com/portalgate/portalgate/internal/ui"
)

// SignIn is what a sign-in mail says.
type SignIn struct {
	// ID becomes the local part of the Message-ID, which everybody on the way
	// can read: nothing a secret is derived from.
	ID string
	// To is the address on file, byte for byte.
	To string
	// First is the client's first name; it may be empty.
	First string
	// Link signs in and Stop switches Link off, at most 200 characters each.
	Link, Stop string
	// Code is the digits to type in the window that asked.
	Code string
	// Life is how long Link and Code last.
	Life time.Duration
}

var digits = regexp.MustCompile(`^[0-9]{4,12}$`)

// SignIn composes the mail with a sign-in link. It refuses input that could
// break out of a header or a line; the errors name the field, never its value.
func (c *Composer) SignIn(in SignIn) (Message, error) {
	switch {
	case !digits.MatchString(in.Code):
		return Message{}, errors.New("code is not digits")
	case in.Life <= 0:
		return Message{}, errors.New("link has no life")
	}
	if err := checkLink("link", in.Link); err != nil {
		return Message{}, err
	}
	if err := checkLink("stop link", in.Stop); err != nil {
		return Message{}, err
	}
	slots := ui.Slots{"life": ui.Life(in.Life), "stop": ""}
	say := func(key string) string { return c.ui.Text("mail.sign_in."+key, slots) }
	m, err := c.letter(envelope{"sign-in", in.ID, in.To, in.First}, letter{
		Subject: say("subject"),
		Preview: say("preview"),
		Parts: []part{
			{Text: say("asked")},
			{Text: say("button"), Button: in.Link},
			{Text: say("once")},
			{Text: say("code_head"), Strong: true},
			{Text: say("code_lead"), Tight: true},
			{Code: in.Code, Tight: true},
			{Text: say("not_you"), Quiet: true},
			{Text: say("stop"), Link: in.Stop, Quiet: true, Tight: true},
			{Text: say("keep"), Quiet: true},
		},
	})
	if err != nil {
		return Message{}, err
	}
	return c.inOwnWords(m, c.templates.signIn, in.First, filled{"Link": in.Link, "Life": ui.Life(in.Life), "Stop": in.Stop, "Code": in.Code})
}
