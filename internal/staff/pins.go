// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/reply"
	"github.com/portalgate/portalgate/internal/ui"
)

// Told is a PIN as whoever made it is told, once.
type Told struct {
	PIN     string    `json:"pin"`
	Expires time.Time `json:"expires_at"`
	// Client is the client's id, and Email the address to be typed.
	Client string `json:"client"`
	Email  string `json:"email"`
	// Page is where PIN and address are to be typed.
	Page string `json:"page"`
	// Text is to be read to the caller. The PIN is in it.
	Text string `json:"text"`
}

// Tell says a PIN in the words of a practice.
func Tell(u *ui.UI, p gate.IssuedPIN) Told {
	practice := u.Practice()
	return Told{
		PIN: p.PIN, Expires: p.Expires.UTC().Truncate(time.Second), Client: p.Client.ID, Email: p.Client.Email,
		Page: practice.PublicURL.String() + practice.Path + "/pin",
		Text: u.ReadOut(p.Client.Email, p.PIN, p.Expires),
	}
}

// issueByAddress makes a PIN for the client with an address.
func (v *visit) issueByAddress() {
	var in struct {
		Email      string `json:"email"`
		VerifiedBy string `json:"verified_by"`
	}
	if !v.read(&in) {
		return
	}
	if strings.TrimSpace(in.Email) == "" {
		v.failed(wrongField("email", "field.whose"))
		return
	}
	v.make(gate.PINOrder{Email: in.Email, VerifiedBy: in.VerifiedBy})
}

// issue makes a PIN for the client that the path names.
func (v *visit) issue() {
	var in struct {
		VerifiedBy string `json:"verified_by"`
	}
	if !v.read(&in) {
		return
	}
	if id, ok := v.client(); ok {
		v.make(gate.PINOrder{Client: id, VerifiedBy: in.VerifiedBy})
	}
}

// make has a PIN made and tells it.
func (v *visit) make(o gate.PINOrder) {
	p, err := v.issuePIN(o)
	if err != nil {
		v.failed(err)
		return
	}
	reply.JSON(v.w, v.r, http.StatusOK, Tell(v.UI, p))
}

// issuePIN has a PIN made. Where it cannot be counted none is: fail closed.
func (v *visit) issuePIN(o gate.PINOrder) (gate.IssuedPIN, error) {
	o.By = v.w.by
	wait, err := v.Gate.AllowPIN(v.r.Context(), o.By)
	if err != nil {
		return gate.IssuedPIN{}, err
	}
	if wait > 0 {
		return gate.IssuedPIN{}, tooMany("too-many.pins", wait)
	}
	p, err := v.Gate.IssuePIN(v.r.Context(), o)
	if err == nil {
		v.w.client = p.Client.ID
	}
	return p, err
}

// change does something about the client that the path names.
func (v *visit) change(do func(ctx context.Context, client, by string) error) {
	if v.r.Method != http.MethodDelete && !v.read(&struct{}{}) {
		return
	}
	id, ok := v.client()
	if !ok {
		return
	}
	if err := do(v.r.Context(), id, v.w.by); err != nil {
		v.failed(err)
		return
	}
	v.done()
}

// done answers that something was done about which there is nothing to say.
func (v *visit) done() {
	v.w.Header().Set("Cache-Control", "no-store")
	v.w.WriteHeader(http.StatusNoContent)
}
