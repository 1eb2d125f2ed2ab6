// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mail

import "github.com/portalgate/portalgate/internal/ui"

// Unlocked composes the notice that PINs and mail codes work again. Of n it needs
// no more than ID, To and First. It refuses what SignIn refuses.
func (c *Composer) Unlocked(n Notice) (Message, error) {
	say := func(key string) string { return c.ui.Text("notice.unlocked"+key, nil) }
	return c.letter(envelope{"notice", n.ID, n.To, n.First}, letter{
		Subject: say(".subject"),
		Preview: c.ui.Text("mail.unlocked.preview", nil),
		Parts:   []part{{Text: say("")}, {Text: c.ui.Text("notice.tell", nil)}},
	})
}

// Lifted composes the notice that links can be asked for again. It needs and
// refuses what Unlocked does.
func (c *Composer) Lifted(n Notice) (Message, error) {
	say := func(key string) string { return c.ui.Text("notice.lifted"+key, nil) }
	return c.letter(envelope{"notice", n.ID, n.To, n.First}, letter{
		Subject: say(".subject"),
		Preview: c.ui.Text("mail.lifted.preview", nil),
		Parts:   []part{{Text: say("")}, {Text: c.ui.Text("notice.tell", nil)}},
	})
}

// Unlinked composes the notice that staff have taken away the account at another
// place that let in by this method. It needs and refuses what Unlocked does.
func (c *Composer) Unlinked(n Notice, method string) (Message, error) {
	slots := ui.Slots{"method": method}
	return c.letter(envelope{"notice", n.ID, n.To, n.First}, letter{
		Subject: c.ui.Text("notice.unlinked.subject", slots),
		Preview: c.ui.Text("mail.unlinked.preview", slots),
		Parts:   []part{{Text: c.ui.Text("notice.unlinked", slots)}, {Text: c.ui.Text("notice.tell", nil)}},
	})
}
