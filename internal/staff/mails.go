// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"net/http"

	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/reply"
)

// invite has the client that the path names invited.
func (v *visit) invite() { v.sends(gate.LinkOrder{Invite: true}) }

// sendLink has a sign-in link mailed to the client that the path names.
func (v *visit) sendLink() { v.sends(gate.LinkOrder{}) }

// sends has either mailed, with the page to land on and the practice's words.
func (v *visit) sends(o gate.LinkOrder) {
	var in struct {
		ReturnTo string `json:"return_to"`
		Message  string `json:"message"`
	}
	if v.read(&in) {
		o.ReturnTo, o.Words = in.ReturnTo, in.Message
		v.mail(o)
	}
}

// mail has a link mailed.
func (v *visit) mail(o gate.LinkOrder) {
	id, ok := v.client()
	if !ok {
		return
	}
	o.Client = id
	if err := v.order(o); err != nil {
		v.failed(err)
		return
	}
	reply.JSON(v.w, v.r, http.StatusAccepted, map[string]bool{"queued": true})
}

// order has a link mailed. Where it cannot be counted none is: fail closed.
func (v *visit) order(o gate.LinkOrder) error {
	o.By = v.w.by
	wait, err := v.Gate.AllowMail(v.r.Context(), o.By)
	if err != nil {
		return err
	}
	if wait > 0 {
		return tooMany("too-many.mails", wait)
	}
	return v.Gate.QueueLink(v.r.Context(), o)
}
