// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"cmp"
	"context"
	"net/url"
	"strings"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/ui"
)

// press does something about the client that the path names, of which there is no
// more to say than that it is done.
func (v *visit) press(do func(ctx context.Context, client, by string) error, done string) {
	id, ok := v.client()
	if !ok {
		return
	}
	if _, ok := v.form(); !ok {
		return
	}
	if err := do(v.r.Context(), id, v.w.by); err != nil {
		v.failed(err)
		return
	}
	v.went(id, done)
}

// invitePage has a client invited.
func (v *visit) invitePage(c directory.Client, form url.Values, t *trouble) {
	f := ui.Form{
		Action: v.of(c.ID, "invitation"), Fields: mailFields(form),
		Buttons: []ui.Button{{Key: "desk.invite.button", Weight: ui.Main}},
	}
	v.showForm(noPart, ui.Page{Title: "desk.invite.title", Slots: slots(c), Body: []ui.Block{ui.Lead("desk.invite.lead")}}, f, t, v.back(c))
}

func (v *visit) inviteFromPage(s gate.Sheet) { v.sendsFromPage(s, true, "invited", v.invitePage) }

// linkPage has a sign-in link sent.
func (v *visit) linkPage(c directory.Client, form url.Values, t *trouble) {
	f := ui.Form{
		Action: v.of(c.ID, "link"), Fields: mailFields(form),
		Buttons: []ui.Button{{Key: "desk.link.button", Weight: ui.Main}},
	}
	v.showForm(noPart, ui.Page{Title: "desk.link.title", Slots: slots(c), Body: []ui.Block{ui.Lead("desk.link.lead")}}, f, t, v.back(c))
}

func (v *visit) linkFromPage(s gate.Sheet) { v.sendsFromPage(s, false, "link", v.linkPage) }

// sendsFromPage has either mailed, and shows the page again if that cannot be.
func (v *visit) sendsFromPage(s gate.Sheet, invite bool, went string, page func(directory.Client, url.Values, *trouble)) {
	form, ok := v.form()
	if !ok {
		return
	}
	words := strings.ReplaceAll(form.Get("message"), "\r\n", "\n")
	err := v.order(gate.LinkOrder{Client: s.Client.ID, Invite: invite, Words: words, ReturnTo: form.Get("return_to")})
	if err == nil {
		v.went(s.Client.ID, went)
		return
	}
	v.again(err, func(t *trouble) { page(s.Client, form, t) })
}

// mailFields are what may be said of a mail with a link.
func mailFields(form url.Values) []ui.Field {
	return []ui.Field{
		{Name: "message", Label: "desk.invite.message", Hint: "desk.invite.message.hint", Kind: ui.LongField, Value: form.Get("message")},
		{Name: "return_to", Label: "desk.invite.page", Hint: "desk.invite.page.hint", Kind: ui.TextField, Value: form.Get("return_to")},
	}
}

// pinPage asks whether it is known who is calling.
func (v *visit) pinPage(c directory.Client, form url.Values, t *trouble) {
	f := ui.Form{
		Action: v.of(c.ID, "pin"), Buttons: []ui.Button{{Key: "desk.ask.button", Weight: ui.Main}},
		Fields: []ui.Field{
			{Name: "verified", Label: "desk.ask", Hint: "desk.ask.hint", Kind: ui.TickField, Value: form.Get("verified")},
			{Name: "how", Label: "desk.ask.how", Hint: "desk.ask.how.hint", Kind: ui.TextField, Value: form.Get("how")},
		},
	}
	v.showForm(noPart, ui.Page{Title: "desk.ask.title", Slots: slots(c), Body: []ui.Block{
		ui.Lead("desk.ask.lead"), ui.Facts{value("desk.field.phonenumber", c.Phone)},
	}}, f, t, v.back(c))
}

// pinFromPage makes a PIN and shows it, this once.
func (v *visit) pinFromPage(s gate.Sheet) {
	form, ok := v.form()
	if !ok {
		return
	}
	again := func(t *trouble) { v.pinPage(s.Client, form, t) }
	if form.Get("verified") != "1" {
		again(&trouble{status: 422, kind: "field", text: "verified", field: "verified"})
		return
	}
	how := cmp.Or(strings.TrimSpace(form.Get("how")), v.UI.Text("desk.ask.hint", nil))
	p, err := v.issuePIN(gate.PINOrder{Client: s.Client.ID, VerifiedBy: how})
	if err != nil {
		t := explain(err)
		if t.field == "verified_by" {
			t.field = "how"
			again(t)
			return
		}
		v.failed(err)
		return
	}
	told := Tell(v.UI, p)
	v.show(noPart, ui.Page{Title: "desk.title", Slots: slots(p.Client), Body: []ui.Block{
		ui.Big(halves(told.PIN)), ui.Tip("desk.once"),
		ui.Heading("desk.read.head"), ui.Lines(strings.Split(told.Text, "\n")),
		ui.Facts{value("desk.field.email", told.Email), value("desk.field.portal", told.Page)},
		ui.Text("desk.copy"), v.back(p.Client),
	}})
}

// halves is a PIN as it is read.
func halves(pin string) string {
	n := (len(pin) + 1) / 2
	return pin[:n] + " " + pin[n:]
}
