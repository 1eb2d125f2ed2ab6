// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"errors"

	"github.com/portalgate/portalgate/internal/ui"
)

// AccountLinked composes the notice that an account at another place, called
// method, now lets in; text is the prefix of the method's texts. It refuses what
// SignIn refuses.
func (c *Composer) AccountLinked(n Notice, text, method string) (Message, error) {
	name := cleanName(method)
	if name == "" {
		return Message{}, errors.New("notice names no other place")
	}
	return c.notice(n, "notice."+text, ui.Slots{"google": n.To, "method": name})
}
