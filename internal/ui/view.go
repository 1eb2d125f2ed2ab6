// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"html/template"
	"maps"
	"strconv"
)

// view is a page as the template wants it: texts instead of keys, names
// instead of kinds.
type view struct {
	Head     string // <title>
	Style    template.CSS
	Script   template.JS
	Away     string
	Name     string
	Logo     string // its URL, or empty
	Title    []part
	Blocks   []blockView
	Help     string // URL of the help page, or empty
	HelpText []part
	Reach    []part
	Desk     *deskView
}

// blockView has exactly one member set.
type blockView struct {
	Wrong   *wrongView
	Text    []part
	Lead    []part
	Tip     []part
	Heading []part
	Steps   *stepsView
	Link    *linkView
	Form    *formView
	Rows    []rowView
	deskBlockView
}

// wrongView says what is wrong. It takes the focus if no field does.
type wrongView struct {
	Text  []part
	Focus bool
}

type stepsView struct {
	Numbered bool
	Items    [][]part
}

type linkView struct {
	ID         string
	Text, Hint []part
	Href       string
	Class      string
	Quiet      bool // a link, not a button
	NewWindow  bool
}

type formView struct {
	Form
	ID      string
	Visible bool // has something to see
	T       bool // wants a hidden field "t" of its own
	Parts   bool // is sent in parts: it has a file
	Fields  []fieldView
	Buttons []buttonView
	Shared  *sharedView
	About   string // id of what its buttons are about, or empty
}

type fieldView struct {
	Field
	ID           string
	Label, Hint  []part
	DescribedBy  string
	Email, Focus bool
	Code, Tick   bool
	Long, Read   bool
	File         bool
	Type         string // of another line
}

type sharedView struct {
	ID          string
	Label, Hint []part
	Ticked      bool
}

type buttonView struct {
	Button
	Text  []part
	Class string
}

type rowView struct {
	ID    string
	Href  string
	Texts [][]part
	Form  *formView
}

// drawer turns one page into a view.
type drawer struct {
	u     *UI
	page  Page
	ids   int
	auto  bool // a form wants the script
	wrong bool // what is wrong has been said
}

func (u *UI) view(p Page) view {
	d := &drawer{u: u, page: p}
	head := "all.page"
	if p.Wrong != "" {
		head = "all.page.wrong"
	}
	v := view{
		Head:     u.Text(head, Slots{"title": u.Text(p.Title, p.Slots)}),
		Style:    template.CSS(u.style),
		Away:     p.Away,
		Name:     clean(u.practice.Name),
		Title:    u.parts(p.Title, p.Slots),
		HelpText: u.parts("all.help", nil),
		Reach:    u.parts("all.reach", nil),
	}
	if u.logoType != "" && p.Desk == nil { // the desk is elsewhere
		v.Logo = u.practice.Path + "/logo"
	}
	if !p.NoHelp {
		v.Help = u.practice.Path + "/help"
	}
	if p.Desk != nil {
		v.Style, v.Desk, v.Help = template.CSS(u.deskStyle), d.desk(p.Desk), ""
	}
	for _, b := range p.Body {
		v.Blocks = append(v.Blocks, d.block(b)...)
	}
	if p.Wrong != "" && !d.wrong {
		v.Blocks = append([]blockView{d.sayWrong(true)}, v.Blocks...)
	}
	if d.auto {
		v.Script = template.JS(script)
	}
	return v
}

func (d *drawer) block(b Block) []blockView {
	t := func(key string) []part { return d.u.parts(key, d.page.Slots) }
	switch b := b.(type) {
	case Text:
		return []blockView{{Text: t(string(b))}}
	case Told:
		return []blockView{{Text: d.u.parts(b.Key, d.with(b.Slots))}}
	case Lead:
		return []blockView{{Lead: t(string(b))}}
	case Tip:
		return []blockView{{Tip: t(string(b))}}
	case Heading:
		return []blockView{{Heading: t(string(b))}}
	case Steps:
		s := &stepsView{Numbered: b.Numbered}
		for _, key := range b.Keys {
			s.Items = append(s.Items, t(key))
		}
		return []blockView{{Steps: s}}
	case Link:
		l := &linkView{ID: d.id("l"), Text: d.u.parts(b.Key, d.with(b.Slots)), Href: b.Href, Class: b.Weight.class(), Quiet: b.Weight == Plain, NewWindow: b.NewWindow}
		if b.Hint != "" {
			l.Hint = t(b.Hint)
		}
		return []blockView{{Link: l}}
	case Form:
		f := d.form(b, d.page.Slots)
		if d.page.Wrong == "" || d.wrong {
			return []blockView{{Form: f}}
		}
		focus := true
		for i := range f.Fields {
			if f.Fields[i].Wrong {
				f.Fields[i].DescribedBy = join("wrong", f.Fields[i].DescribedBy)
				f.Fields[i].Focus = focus
				focus = false
			}
		}
		return []blockView{d.sayWrong(focus), {Form: f}}
	case Rows:
		var rows []rowView
		for _, r := range b {
			rows = append(rows, d.row(r))
		}
		return []blockView{{Rows: rows}}
	}
	return d.deskBlock(b)
}

func (d *drawer) sayWrong(focus bool) blockView {
	d.wrong = true
	return blockView{Wrong: &wrongView{Text: d.u.parts(d.page.Wrong, d.page.Slots), Focus: focus}}
}

func (d *drawer) form(f Form, slots Slots) *formView {
	t := func(key string) []part { return d.u.parts(key, slots) }
	v := &formView{Form: f, ID: d.id("f"), T: f.Fragment, Visible: len(f.Fields)+len(f.Buttons) > 0}
	for _, h := range f.Hidden {
		if h.Name == "t" {
			v.T = false
		}
	}
	for _, x := range f.Fields {
		fv := fieldView{Field: x, ID: v.ID + "-" + x.Name, Label: t(x.Label), Email: x.Kind == EmailField}
		fv.kind()
		v.Parts = v.Parts || fv.File
		if x.Hint != "" {
			fv.Hint = t(x.Hint)
			fv.DescribedBy = fv.ID + "-hint"
		}
		v.Fields = append(v.Fields, fv)
	}
	if f.Shared {
		v.Shared = &sharedView{ID: v.ID + "-shared", Label: t("all.shared"), Hint: t("all.shared.hint"), Ticked: f.SharedTicked}
	}
	for _, x := range f.Buttons {
		v.Buttons = append(v.Buttons, buttonView{Button: x, Text: d.u.parts(x.Key, merged(slots, x.Slots)), Class: x.Weight.class()})
	}
	d.auto = d.auto || f.Auto || f.Fragment
	return v
}

func (d *drawer) row(r Row) rowView {
	slots := d.with(r.Slots)
	v := rowView{ID: d.id("r"), Href: r.Href}
	for _, key := range r.Keys {
		v.Texts = append(v.Texts, d.u.parts(key, slots))
	}
	if r.Form != nil {
		v.Form = d.form(*r.Form, slots)
		v.Form.About = v.ID
	}
	return v
}

// with returns the page's slots and more.
func (d *drawer) with(more Slots) Slots { return merged(d.page.Slots, more) }

func merged(some, more Slots) Slots {
	slots := maps.Clone(some)
	if slots == nil {
		slots = Slots{}
	}
	maps.Copy(slots, more)
	return slots
}

// id returns a name that no other element of the page has.
func (d *drawer) id(prefix string) string {
	d.ids++
	return prefix + strconv.Itoa(d.ids)
}

// join makes one list of ids, of which the second may be empty.
func join(a, b string) string {
	if b == "" {
		return a
	}
	return a + " " + b
}

func (w Weight) class() string {
	switch w {
	case Main:
		return "button main"
	case Other:
		return "button other"
	}
	return "link"
}
