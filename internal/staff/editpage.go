// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/ui"
)

// fresh is a client about whom nothing is written yet. Consent is asked for, not
// taken for granted.
var fresh = directory.Client{Access: true}

// newPage has a client added.
func (v *visit) newPage(c directory.Client, t *trouble) {
	if !v.Gate.Roster().Kept {
		v.failed(gate.ErrElsewhere)
		return
	}
	form := ui.Form{Action: v.root() + "new", Fields: onFileFields(c), Buttons: []ui.Button{{Key: "desk.add.button", Weight: ui.Main}}}
	v.showForm("new", ui.Page{Title: "desk.add.title"}, form, t)
}

// editPage has what is on file changed.
func (v *visit) editPage(c directory.Client, t *trouble) {
	if !v.Gate.Roster().Kept {
		v.failed(gate.ErrElsewhere)
		return
	}
	form := ui.Form{
		Action: v.of(c.ID, "edit"), Hidden: []ui.Hidden{{Name: "version", Value: strconv.Itoa(c.Version)}},
		Fields: onFileFields(c), Buttons: []ui.Button{{Key: "desk.edit.button", Weight: ui.Main}},
	}
	v.showForm(noPart, ui.Page{Title: "desk.edit.title", Slots: slots(c), Body: []ui.Block{ui.Lead("desk.edit.lead")}}, form, t, v.back(c))
}

// showForm shows a page with one form, and t, which is wrong with it, if it is not
// nil.
func (v *visit) showForm(here string, p ui.Page, form ui.Form, t *trouble, below ...ui.Block) {
	if t != nil {
		p.Status, p.Wrong, p.Slots = t.status, t.key(), joined(p.Slots, t.slots)
		for i := range form.Fields {
			form.Fields[i].Wrong = form.Fields[i].Name == t.field
		}
	}
	p.Body = append(append(p.Body, form), below...)
	v.show(here, p)
}

func onFileFields(c directory.Client) []ui.Field {
	return []ui.Field{
		{Name: "name", Label: "desk.field.name", Kind: ui.TextField, Value: c.Name},
		{Name: "email", Label: "desk.field.email", Hint: "desk.edit.email.hint", Kind: ui.TextField, Value: c.Email},
		{Name: "phone", Label: "desk.field.phone", Kind: ui.TextField, Value: c.Phone},
		{Name: "language", Label: "desk.field.language", Hint: "desk.field.language.hint", Kind: ui.TextField, Value: c.Language},
		{Name: "portal_access", Label: "desk.field.access", Hint: "desk.field.access.hint", Kind: ui.TickField, Value: tick(c.Access)},
		{Name: "email_ok", Label: "desk.field.consent", Hint: "desk.field.consent.hint", Kind: ui.TickField, Value: tick(c.EmailOK)},
	}
}

func tick(is bool) string { return pick(is, "1", "") }

// filled is a client as a form has it.
func filled(form url.Values, c directory.Client) directory.Client {
	text := func(name string) string { return strings.TrimSpace(form.Get(name)) }
	c.Name, c.Email, c.Phone, c.Language = text("name"), text("email"), text("phone"), text("language")
	c.Access, c.EmailOK = form.Get("portal_access") == "1", form.Get("email_ok") == "1"
	return c
}

func (v *visit) addFromPage() {
	form, ok := v.form()
	if !ok {
		return
	}
	c := filled(form, directory.Client{})
	on, err := v.Gate.AddClient(v.r.Context(), c, v.w.by)
	if err == nil {
		v.w.client = on.ID
		v.went(on.ID, "added")
		return
	}
	v.again(err, func(t *trouble) { v.newPage(c, t) })
}

// changeFromPage changes what is on file. The version is the one that the form
// was made for: what somebody else has changed meanwhile is not lost.
func (v *visit) changeFromPage(s gate.Sheet) {
	form, ok := v.form()
	if !ok {
		return
	}
	c := filled(form, s.Client)
	c.Version, _ = strconv.Atoi(form.Get("version"))
	_, err := v.Gate.ChangeClient(v.r.Context(), c, v.w.by)
	if err == nil {
		v.went(c.ID, "changed")
		return
	}
	v.again(err, func(t *trouble) { v.editPage(c, t) })
}

// again shows a form again in which a field is wrong, or else that it failed.
func (v *visit) again(err error, form func(*trouble)) {
	known := []string{"name", "email", "phone", "language", "verified", "return_to", "message"}
	if t := explain(err); slices.Contains(known, t.field) {
		form(t)
		return
	}
	v.failed(err)
}

// setAccess gives portal access or takes it away.
func (v *visit) setAccess(s gate.Sheet) {
	form, ok := v.form()
	if !ok {
		return
	}
	c := s.Client
	c.Access = form.Get("access") == "yes"
	c.Version, _ = strconv.Atoi(form.Get("version"))
	if _, err := v.Gate.ChangeClient(v.r.Context(), c, v.w.by); err != nil {
		v.failed(err)
		return
	}
	v.went(c.ID, pick(c.Access, "access", "withdrawn"))
}

// deletePage asks whether to delete a client.
func (v *visit) deletePage(s gate.Sheet) {
	if !v.Gate.Roster().Kept {
		v.failed(gate.ErrElsewhere)
		return
	}
	c := s.Client
	v.show(noPart, ui.Page{Title: "desk.delete.title", Slots: slots(c), Body: []ui.Block{
		ui.Lead("desk.delete.lead"), ui.Text("desk.delete.signs"),
		v.button("desk.delete.button", c.ID, "delete", ui.Main, ui.Hidden{Name: "version", Value: strconv.Itoa(c.Version)}),
		v.back(c),
	}})
}

func (v *visit) deleteFromPage(s gate.Sheet) {
	form, ok := v.form()
	if !ok {
		return
	}
	version, _ := strconv.Atoi(form.Get("version"))
	if err := v.Gate.RemoveClient(v.r.Context(), s.Client.ID, version, v.w.by); err != nil {
		v.failed(err)
		return
	}
	v.went("", "deleted")
}
