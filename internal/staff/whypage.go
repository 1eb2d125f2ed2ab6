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

// why says how a client stands, and why they cannot get in now.
func (v *visit) why(id string) (gate.Standing, Reason, Hint) {
	in := v.Gate.Standing(v.r.Context(), id)
	r := Why(in)
	return in, r, Hint{Reason: strings.TrimPrefix(r.Key, "why."), Says: r.Say(v.UI, in.Now), Do: r.Do.Route()}
}

// helps is the one press that helps, if it can be made here.
func (v *visit) helps(do Press, ro gate.Roster, c directory.Client) []ui.Block {
	link := func(key, what string) []ui.Block {
		return []ui.Block{ui.Link{Key: key, Href: v.of(c.ID, what), Weight: ui.Main}}
	}
	press := func(key, what string) []ui.Block { return []ui.Block{v.button(key, c.ID, what, ui.Main)} }
	switch do {
	case LookAgain:
		return link("desk.do.again", "")
	case GiveAccess:
		if ro.Kept {
			return []ui.Block{v.accessButton(c, ui.Main)}
		}
	case RecordConsent, ChangeAddress:
		if ro.Kept {
			return link("desk.do.edit", "edit")
		}
	case SendLink:
		return press("desk.do.link.now", "link")
	case MakePIN:
		return link("desk.do.pin", "pin")
	case Unlock:
		return press("desk.do.lift", "unlock")
	case LiftWait:
		return press("desk.do.wait", "unlock")
	case Unlink:
		return press("desk.do.unlink", "unlink")
	}
	return nil
}
