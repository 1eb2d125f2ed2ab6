// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"net/url"
	"strings"
	"time"

	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/ui"
)

// auditPage shows what happened, with filters.
func (v *visit) auditPage() {
	q, ok := v.asked("client", "by", "what", "since", "until", "cursor")
	if !ok {
		return
	}
	page, err := v.trail(v.wanted(q))
	if err != nil {
		v.failed(err)
		return
	}
	field := func(name, label, hint string, kind ui.FieldKind) ui.Field {
		return ui.Field{Name: name, Label: label, Hint: hint, Kind: kind, Value: q.Get(name)}
	}
	p := ui.Page{Title: "desk.audit.title", Body: []ui.Block{ui.Lead("desk.audit.lead")}}
	p.Body = append(p.Body, ui.Form{Get: true, Action: v.root() + "audit", Fields: []ui.Field{
		field("client", "desk.audit.client", "", ui.TextField),
		field("by", "desk.audit.by", "", ui.TextField),
		field("what", "desk.audit.what", "desk.audit.what.hint", ui.TextField),
		field("since", "desk.audit.since", "desk.audit.day.hint", ui.DateField),
		field("until", "desk.audit.until", "desk.audit.day.hint", ui.DateField),
	}, Buttons: []ui.Button{{Key: "desk.audit.button", Weight: ui.Main}}})
	var rows ui.Rows
	for _, e := range page.Events {
		rows = append(rows, v.eventRow(e))
	}
	if rows == nil {
		p.Body = append(p.Body, ui.Text("desk.audit.none"))
	} else {
		p.Body = append(p.Body, rows)
	}
	if page.Next != "" {
		q.Set("cursor", page.Next)
		p.Body = append(p.Body, ui.Link{Key: "desk.clients.more", Href: v.root() + "audit?" + q.Encode()})
	}
	if len(q) > 0 {
		p.Body = append(p.Body, ui.Link{Key: "desk.audit.all", Href: v.root() + "audit"})
	}
	v.show("audit", p)
}

// wanted reads which events are wanted. Days are the practice's. What is no day is
// no bound.
func (v *visit) wanted(q url.Values) audit.Filter {
	text := func(name string) string { return strings.TrimSpace(q.Get(name)) }
	day := func(name string) time.Time {
		t, err := time.ParseInLocation(time.DateOnly, text(name), v.UI.Practice().Zone)
		if err != nil {
			return time.Time{}
		}
		return t
	}
	f := audit.Filter{
		Client: text("client"), By: text("by"), What: strings.ReplaceAll(text("what"), " ", "_"), Cursor: q.Get("cursor"),
		Since: day("since"), Until: day("until"),
	}
	if !f.Until.IsZero() {
		f.Until = f.Until.AddDate(0, 0, 1) // that day included
	}
	return f
}

// eventRow is one thing that happened.
func (v *visit) eventRow(e audit.Event) ui.Row {
	what := words(e.What)
	if !strings.HasPrefix(e.What, e.Method) { // "pin issued" says it
		what += ", " + words(e.Method)
	}
	row := ui.Row{Keys: []string{"desk.event.row"}, Slots: ui.Slots{
		"time": v.when(e.At), "what": what, "by": e.By, "place": e.From, "client": e.Client, "outcome": words(e.Outcome), "text": e.Note,
	}}
	if e.Client != "" {
		row.Keys = append(row.Keys, "desk.event.client")
		row.Href = v.of(e.Client, "")
	}
	if who := by(e); who != "" {
		row.Keys = append(row.Keys, who)
	}
	if e.Outcome != "" {
		row.Keys = append(row.Keys, "desk.event.was")
	}
	if e.Note != "" {
		row.Keys = append(row.Keys, "desk.event.note")
	}
	return row
}

// by is the text that says who did it, and from where as far as that is known;
// empty for what the gate did by itself, such as sending a mail.
func by(e audit.Event) string {
	switch {
	case e.By == "" && e.From == "":
		return ""
	case e.By == "":
		return "desk.event.own"
	case e.From == "":
		return "desk.event.staff"
	}
	return "desk.event.by"
}
