// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"errors"
	"time"

	"github.com/portalgate/portalgate/internal/ui"
)

// PINUsed composes the notice of a sign-in by PIN. It refuses what SignIn
// refuses.
func (c *Composer) PINUsed(n Notice) (Message, error) {
	return c.notice(n, "notice.pinused", ui.Slots{})
}

// PINIssued composes the notice that a PIN was made, which works for life. The
// PIN itself is read out, and in no mail. It refuses what SignIn refuses.
func (c *Composer) PINIssued(n Notice, life time.Duration) (Message, error) {
	if n.When.IsZero() || life <= 0 {
		return Message{}, errors.New("notice has no time")
	}
	if err := checkLink("stop link", n.Stop); err != nil {
		return Message{}, err
	}
	slots := ui.Slots{"date": c.ui.Day(n.When), "time": c.ui.Clock(n.When), "life": ui.Life(life), "stop": ""}
	say := func(key string) string { return c.ui.Text("mail.pin."+key, slots) }
	return c.letter(envelope{"notice", n.ID, n.To, n.First}, letter{
		Subject: say("subject"),
		Preview: say("preview"),
		Parts: []part{
			{Text: say("made")},
			{Text: say("never"), Tight: true},
			{Text: say("asked")},
			{Text: say("stop"), Link: n.Stop, Tight: true},
			{Text: say("tell"), Tight: true},
		},
	})
}
