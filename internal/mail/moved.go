// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"errors"

	"github.com/portalgate/portalgate/internal/ui"
)

// MovedHere composes the notice that a client's address on file is the one it goes
// to. Of n it needs no Kind and no Stop. It refuses what SignIn refuses.
func (c *Composer) MovedHere(n Notice) (Message, error) {
	return c.tidings(n, "notice.moved.subject", "notice.moved", "notice.tell")
}

// MovedAway is MovedHere for the address that it was before.
func (c *Composer) MovedAway(n Notice) (Message, error) {
	return c.tidings(n, "notice.moved.subject", "notice.moved.away", "notice.tell")
}

// Withdrawn composes the notice that a client may not sign in any more. It needs
// and refuses what MovedHere does.
func (c *Composer) Withdrawn(n Notice) (Message, error) {
	return c.tidings(n, "notice.off.subject", "notice.off", "notice.off.ask")
}

// tidings composes what staff have done, by the keys of its texts: there is nothing
// to press, but somebody to call.
func (c *Composer) tidings(n Notice, subject, what, ask string) (Message, error) {
	if n.When.IsZero() {
		return Message{}, errors.New("notice has no time")
	}
	slots := ui.Slots{"date": c.ui.Day(n.When), "time": c.ui.Clock(n.When)}
	say := func(key string) string { return c.ui.Text(key, slots) }
	return c.letter(envelope{"notice", n.ID, n.To, n.First}, letter{
		Subject: say(subject),
		Preview: say(ask),
		Parts:   []part{{Text: say(what)}, {Text: say(ask)}},
	})
}
