// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"net/http"

	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/reply"
)

// Events is what has happened to a client.
type Events struct {
	// Mails are the last ones, newest first, and what has become of each.
	Mails []gate.Mailed `json:"mails"`
	// Withheld reports that no more are sent, because the client has called one
	// spam; unlocking the client sends them again.
	Withheld bool `json:"mails_withheld"`
}

// events tells what has happened to the client that the path names.
func (v *visit) events() {
	id, ok := v.client()
	if !ok {
		return
	}
	mails, withheld, err := v.Gate.Mails(v.r.Context(), id)
	if err != nil {
		v.failed(err)
		return
	}
	if mails == nil {
		mails = []gate.Mailed{}
	}
	reply.JSON(v.w, v.r, http.StatusOK, Events{Mails: mails, Withheld: withheld})
}
