// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"errors"
	"time"

	"github.com/portalgate/portalgate/internal/ui"
)

// Notice tells a client what was done in their name.
type Notice struct {
	// ID, To and First are as in SignIn.
	ID, To, First string
	// Kind names the browser it was done with: "Firefox on Linux".
	Kind string
	// When it was done.
	When time.Time
	// Stop leads to the page that ends it, at most 200 characters.
	Stop string
}

// NewBrowser composes the notice of a sign-in from a browser that the client
// had not used before. It refuses what SignIn refuses.
func (c *Composer) NewBrowser(n Notice) (Message, error) {
	kind := cleanName(n.Kind)
	if kind == "" {
		return Message{}, errors.New("notice names no kind of browser")
	}
	return c.notice(n, "notice.new", ui.Slots{"kind": kind})
}

// notice composes what was done, by the key of its text, and what to do if it
// was somebody else.
func (c *Composer) notice(n Notice, key string, slots ui.Slots) (Message, error) {
	if n.When.IsZero() {
		return Message{}, errors.New("notice has no time")
	}
	if err := checkLink("stop link", n.Stop); err != nil {
		return Message{}, err
	}
	slots["date"], slots["time"], slots["stop"] = c.ui.Day(n.When), c.ui.Clock(n.When), ""
	say := func(key string) string { return c.ui.Text(key, slots) }
	return c.letter(envelope{"notice", n.ID, n.To, n.First}, letter{
		Subject: say(key + ".subject"),
		Preview: say("notice.you"),
		Parts: []part{
			{Text: say(key)},
			{Text: say("notice.you")},
			{Text: say("notice.not_you"), Link: n.Stop, Tight: true},
			{Text: say("all.reach"), Tight: true},
		},
	})
}
