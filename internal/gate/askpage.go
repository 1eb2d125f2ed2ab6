// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"net/http"
	"strconv"

	"github.com/portalgate/portalgate/internal/ui"
	"github.com/portalgate/portalgate/providers"
)

// A method's question as a page, with the other ways in beside it.

// answers is what a form held when it is shown again.
type answers struct {
	back   string
	fields map[string]string
	shared bool
	// wrong is the key of what is wrong with the field badField.
	wrong, badField string
	// switching reports that somebody else is signed in here, and is to be
	// signed out first.
	switching bool
}

// methodSlots are what a method's texts may name.
func methodSlots(d providers.Description) ui.Slots {
	return ui.Slots{"life": ui.Life(d.Life), "digits": strconv.Itoa(d.Digits), "method": d.Label}
}

// fieldKey is the stem of a field's texts. The field that a method is named for
// has those of the method itself.
func fieldKey(text, field string) (label, hint string) {
	if field == text {
		return text + ".label", text + ".hint"
	}
	return text + "." + field, text + "." + field + ".hint"
}

// askPage is the page of a method's question.
func (v *visit) askPage(m Method, ask *providers.Ask, f *flow, a answers) ui.Page {
	d := m.Describe()
	say := func(own, key string) string {
		switch {
		case ask.Title == "": // the catalogue knows the method
			return key
		case own == "":
			return ""
		}
		return ui.Own(own)
	}
	first := f.Steps == 0
	form := ui.Form{
		Hidden:       []ui.Hidden{{Name: "return_to", Value: a.back}},
		Shared:       first,
		SharedTicked: a.shared,
		Buttons:      []ui.Button{{Key: say(ask.Button, d.Text+".button"), Weight: ui.Main}},
	}
	for _, field := range ask.Fields {
		x := ui.Field{Name: field.Name, Value: a.fields[field.Name], Wrong: field.Name == a.badField}
		x.Label, x.Hint = fieldKey(d.Text, field.Name)
		x.Label, x.Hint = say(field.Label, x.Label), say(field.Hint, x.Hint)
		switch field.Kind {
		case providers.Digits:
			x.Kind, x.Value = ui.CodeField, ""
		case providers.Text:
			x.Kind = ui.TextField
		}
		form.Fields = append(form.Fields, x)
	}
	page := ui.Page{Title: say(ask.Title, d.Text+".title"), Wrong: a.wrong, Slots: methodSlots(d)}
	if lead := say(ask.Lead, d.Text+".lead"); lead != "" {
		page.Body = append(page.Body, ui.Lead(lead))
	}
	if a.switching {
		form.Hidden = append(form.Hidden, ui.Hidden{Name: "switch", Value: "1"})
		form.Buttons[0].Key = "switch.button"
		page.Title, page.Body = "switch.title", []ui.Block{ui.Lead("switch.lead"), ui.Text(d.Text + ".lead")}
	}
	if a.switching {
		page.Body = append(page.Body, v.form(f, "/"+m.Path(), form), ui.Link{Key: "switch.stay", Href: "/", Weight: ui.Other})
	} else {
		page.Body = append(page.Body, v.withOthers(m, f, form, a.back)...)
	}
	if !first {
		page.Body = append(page.Body, ui.Link{Key: d.Text + ".other", Href: v.Path + "/" + m.Path() + returnQuery(a.back)})
	}
	if a.wrong != "" {
		page.Status = http.StatusUnprocessableEntity
	}
	return page
}

// withOthers is a method's form with the other ways in. Those that go elsewhere
// are buttons of the form, so that a shared computer is one for them too.
func (v *visit) withOthers(m Method, f *flow, form ui.Form, back string) []ui.Block {
	var beside, below []ui.Block
	for _, other := range v.Methods {
		switch d := other.Describe(); {
		case other.Name == m.Name:
		case d.Away && !other.down():
			form.Buttons = append(form.Buttons, ui.Button{
				Key: d.Text + ".offer", Weight: ui.Other, Action: v.Path + "/" + other.Path(), Slots: methodSlots(d),
			})
			beside = append(beside, ui.Told{Key: d.Text + ".hint", Slots: methodSlots(d)}, ui.Told{Key: d.Text + ".privacy", Slots: methodSlots(d)})
		default:
			below = append(below, v.way(other, d.Text+".offer", ui.Plain, back))
		}
	}
	return append(append([]ui.Block{v.form(f, "/"+m.Path(), form)}, beside...), below...)
}
