// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"strings"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/ui"
)

// Hint is why a client cannot get in now, as programs read it.
type Hint struct {
	// Reason is a word for it, Says a sentence, and Do the route of what helps
	// most; empty if nothing does.
	Reason string `json:"reason"`
	Says   string `json:"says"`
	Do     string `json:"do,omitempty"`
}

// why says why a client cannot get in now.
func (v *visit) why(id string) (Reason, Hint) {
	in := v.Gate.Standing(v.r.Context(), id)
	r := Why(in)
	return r, Hint{Reason: strings.TrimPrefix(r.Key, "why."), Says: r.Say(v.UI, in.Now), Do: r.Do.Route()}
}

// whyHere is that on a client's page, with the one press.
func (v *visit) whyHere(ro gate.Roster, c directory.Client) []ui.Block {
	r, h := v.why(c.ID)
	all := []ui.Block{ui.Said(h.Says)}
	link := func(key, what string) {
		all = append(all, ui.Link{Key: key, Href: v.of(c.ID, what), Weight: ui.Main})
	}
	switch r.Do {
	case LookAgain:
		link("desk.do.again", "")
	case GiveAccess:
		if ro.Kept {
			all = append(all, v.accessButton(c, ui.Main))
		}
	case RecordConsent, ChangeAddress:
		if ro.Kept {
			link("desk.do.edit", "edit")
		}
	case SendLink:
		all = append(all, v.button("desk.do.link", c.ID, "link", ui.Main))
	case MakePIN:
		link("desk.do.pin", "pin")
	case Unlock:
		all = append(all, v.button("desk.do.lift", c.ID, "unlock", ui.Main))
	case Unlink:
		all = append(all, v.button("desk.do.unlink", c.ID, "unlink", ui.Main))
	}
	return all
}
