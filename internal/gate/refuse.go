// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/reply"
	"github.com/portalgate/portalgate/internal/ui"
)

// What is answered to who is not let through: to a person a page, to a program
// a problem document.

// unknown answers when the gate cannot tell who is asking. It forwards nothing
// and touches no cookie: fail closed, and sign nobody out.
func (v *visit) unknown(err error) {
	v.settle(wasUnknown)
	if !errors.Is(err, context.Canceled) {
		v.Log.Error("cannot tell who is asking", zap.Error(err))
	}
	v.w.Header().Set("Retry-After", "2")
	if !forPerson(v.r) {
		v.problem(http.StatusServiceUnavailable, "unavailable", "The gate cannot tell who is asking. Try again.")
		return
	}
	page := v.downPage()
	if v.hasSession {
		page.Title, page.Body = "down.in.title", []ui.Block{ui.Lead("down.in.lead")}
	}
	v.show(page)
}

// unauthorized tells a program that it is not signed in, and where to.
func (v *visit) unauthorized() {
	v.w.Header().Set("WWW-Authenticate", "Portalgate")
	reply.Problem(v.w, v.r, http.StatusUnauthorized, "sign-in", "You are not signed in.", map[string]any{
		"sign_in": v.issuer + v.Path + returnQuery(v.referrer()),
	})
}

// referrer is the page of this site that a request comes from, or "/".
func (v *visit) referrer() string {
	if ref, err := url.Parse(v.r.Referer()); err == nil && hostOf(ref.Host, ref.Scheme) == v.host {
		return safeReturn(ref.RequestURI(), v.Path)
	}
	return "/"
}

// lateForm answers a form that was sent after the session had ended. Nothing
// of it is kept here: the browser still has it, and sends it again when its
// page is loaded again after a sign-in next door.
func (v *visit) lateForm() {
	v.w.Header().Set("WWW-Authenticate", "Portalgate")
	if crossOrigin.Check(v.r) != nil {
		// Another site's form comes without our cookie, signed in or not, and
		// is nobody's to send again.
		v.show(ui.Page{Status: http.StatusUnauthorized, Title: "odd.title", Body: []ui.Block{
			ui.Lead("crossed.lead"), ui.Link{Key: "odd.button", Href: v.Path, Weight: ui.Main},
		}})
		return
	}
	v.show(ui.Page{Status: http.StatusUnauthorized, Title: "form.title", Body: []ui.Block{
		ui.Lead("form.lead"),
		ui.Steps{Numbered: true, Keys: []string{"form.1", "form.2", "form.3"}},
		ui.Link{Key: "form.button", Href: v.Path + returnQuery(v.referrer()), Weight: ui.Main, NewWindow: true},
	}})
}

// problem answers a program.
func (v *visit) problem(status int, kind, title string) {
	reply.Problem(v.w, v.r, status, kind, title, nil)
}
