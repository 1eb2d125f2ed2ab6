// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"errors"

	"github.com/portalgate/portalgate/internal/ui"
)

// MovedHere composes the notice that a client's address on file is the one it goes
// to. Of n it needs no Kind and no Stop. It refuses what SignIn refuses.
func (c *Composer) MovedHere(n Notice) (Message, error) { return c.moved(n, "notice.moved") }

// MovedAway is MovedHere for the address that it was before.
func (c *Composer) MovedAway(n Notice) (Message, error) { return c.moved(n, "notice.moved.away") }

func (c *Composer) moved(n Notice, key string) (Message, error) {
	if n.When.IsZero() {
		return Message{}, errors.New("notice has no time")
	}
	slots := ui.Slots{"date": c.ui.Day(n.When), "time": c.ui.Clock(n.When)}
	say := func(key string) string { return c.ui.Text(key, slots) }
	return c.letter(envelope{"notice", n.ID, n.To, n.First}, letter{
		Subject: say("notice.moved.subject"),
		Preview: say("notice.tell"),
		Parts:   []part{{Text: say(key)}, {Text: say("notice.tell")}},
	})
}
