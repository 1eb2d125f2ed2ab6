// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/ui"
)

// clientsPage finds clients. A whole address that nobody has is said to be
// nobody's, and whether a link was asked for with it.
func (v *visit) clientsPage() {
	q, ok := v.asked("q", "cursor", "done")
	if !ok {
		return
	}
	typed := strings.TrimSpace(q.Get("q"))
	p := ui.Page{Title: "desk.clients.title", Slots: ui.Slots{"typed": typed}, Body: v.wasDone(q)}
	p.Body = append(p.Body, ui.Form{Get: true, Action: v.root(), Buttons: []ui.Button{{Key: "desk.clients.button", Weight: ui.Main}}, Fields: []ui.Field{
		{Name: "q", Label: "desk.clients.label", Hint: "desk.clients.label.hint", Kind: ui.SearchField, Value: typed},
	}})
	if ro := v.Gate.Roster(); !ro.Listed && typed == "" {
		p.Body = append(p.Body, ui.Tip("desk.clients.whole"))
		v.show("", p)
		return
	}
	found, next, err := v.Gate.FindClients(v.r.Context(), directory.Query{Text: typed, Cursor: q.Get("cursor")})
	switch {
	case errors.Is(err, gate.ErrUnlisted):
		p.Body = append(p.Body, ui.Tip("desk.clients.whole"))
	case err != nil:
		v.failed(err)
		return
	case len(found) == 0:
		more, err := v.nobody(&p, typed)
		if err != nil {
			v.failed(err)
			return
		}
		p.Body = append(p.Body, more...)
	}
	var rows ui.Rows
	for _, c := range found {
		row := ui.Row{Keys: []string{"desk.row.name", standing(c)}, Slots: slots(c), Href: v.of(c.ID, "")}
		if c.Name == "" && standing(c) == "desk.row.on" {
			row.Keys = row.Keys[:1] // that is the address
		}
		rows = append(rows, row)
	}
	if rows != nil {
		p.Body = append(p.Body, rows)
	}
	if next != "" {
		more := url.Values{"q": {typed}, "cursor": {next}}
		p.Body = append(p.Body, ui.Link{Key: "desk.clients.more", Href: v.root() + "?" + more.Encode()})
	}
	v.show("", p)
}

// nobody says that nobody was found.
func (v *visit) nobody(p *ui.Page, typed string) ([]ui.Block, error) {
	if typed == "" {
		all := []ui.Block{ui.Text("desk.clients.empty")}
		if v.Gate.Roster().Kept {
			all = append(all,
				ui.Link{Key: "desk.clients.add", Href: v.root() + "new", Weight: ui.Other},
				ui.Link{Key: "desk.lists.in.head", Href: v.root() + "lists", Weight: ui.Other})
		}
		return all, nil
	}
	if _, err := address.Parse(typed); err != nil {
		return []ui.Block{ui.Text("desk.clients.none")}, nil
	}
	at, err := v.Gate.LinkAsked(v.r.Context(), typed)
	if err != nil {
		return nil, err
	}
	if at.IsZero() {
		return []ui.Block{ui.Text("desk.clients.noton"), ui.Text("desk.clients.notasked")}, nil
	}
	p.Slots = joined(p.Slots, ui.Slots{"date": v.UI.Day(at), "time": v.UI.Clock(at)})
	return []ui.Block{ui.Text("desk.clients.noton"), ui.Text("desk.clients.asked")}, nil
}

// standing is the text that says how a client of a list stands.
func standing(c directory.Client) string {
	switch {
	case !c.Access:
		return "desk.row.off"
	case !c.EmailOK:
		return "desk.row.nomail"
	}
	return "desk.row.on"
}

// clientPage shows a client, and what can be done.
func (v *visit) clientPage(s gate.Sheet) {
	q, ok := v.asked("done")
	if !ok {
		return
	}
	ro, c := v.Gate.Roster(), s.Client
	p := ui.Page{Title: "desk.client.title", Slots: slots(c), Body: v.wasDone(q)}
	in, why, hint := v.why(c.ID)
	mailed := q.Get("done") == "invited" || q.Get("done") == "link"
	if mailed && why.Do == SendLink && !strings.HasPrefix(why.Key, "why.mail.") {
		// That mail has no trace yet, and a second press would send a second one.
		why.Do = LookAgain
	} else {
		p.Body = append(p.Body, ui.Said(hint.Says))
	}
	p.Body = append(p.Body, v.helps(why.Do, ro, c)...)
	p.Body = append(p.Body, v.stands(s), ui.Heading("desk.help.head"))
	p.Body = append(p.Body, v.help(why.Do, ro, s, in.NextMail.Sub(in.Now))...)
	p.Body = append(p.Body, ui.Heading("desk.file.head"), v.onFile(c))
	p.Body = append(p.Body, v.keep(ro, c)...)
	p.Body = append(p.Body, ui.Heading("desk.mails.head"))
	p.Body = append(p.Body, v.mails(s)...)
	p.Body = append(p.Body, ui.Link{Key: "desk.do.events", Href: v.root() + "audit?" + url.Values{"client": {c.ID}}.Encode()})
	v.show(noPart, p)
}

// stands says how a client stands with getting in.
func (v *visit) stands(s gate.Sheet) ui.Facts {
	facts := ui.Facts{
		fact("desk.field.access", pick(s.Client.Access, "desk.access.on", "desk.access.off")),
		fact("desk.field.consent", pick(s.Client.EmailOK, "desk.consent.yes", "desk.consent.no")),
		{Label: "desk.field.last", Key: pick(s.LastSignIn.IsZero(), "desk.last.never", "desk.value"), Slots: ui.Slots{"value": v.when(s.LastSignIn)}},
		{Label: "desk.field.link", Key: pick(s.LinkUntil.IsZero(), "desk.none", "desk.until"), Slots: ui.Slots{"time": v.when(s.LinkUntil)}},
		v.pinFact(s),
	}
	switch {
	case s.CodesOff:
		facts = append(facts, fact("desk.field.codes", "desk.off"))
	case s.WrongCodes > 0:
		facts = append(facts, ui.Fact{Label: "desk.field.codes", Key: "desk.wrong", Slots: ui.Slots{"n": strconv.Itoa(s.WrongCodes)}})
	}
	for _, a := range s.Accounts {
		facts = append(facts, ui.Fact{Label: "desk.field.accounts", Key: "desk.account", Slots: ui.Slots{"method": a.Method, "time": v.when(a.Linked)}})
	}
	if len(s.Sessions) == 0 {
		facts = append(facts, fact("desk.signed.head", "desk.signed.none"))
	}
	for _, x := range s.Sessions {
		facts = append(facts, ui.Fact{Label: "desk.signed.head", Key: "desk.signed.row", Slots: ui.Slots{
			"kind": x.Kind, "method": words(x.Method), "time": v.when(x.Begun),
		}})
	}
	return facts
}

func (v *visit) pinFact(s gate.Sheet) ui.Fact {
	f := fact("desk.field.pin", "desk.none")
	switch {
	case s.PINsOff:
		f.Key = "desk.off"
	case !s.PINsRest.IsZero():
		f.Key, f.Slots = "desk.rest", ui.Slots{"time": v.when(s.PINsRest)}
	case !s.PINUntil.IsZero():
		f.Key, f.Slots = "desk.until", ui.Slots{"time": v.when(s.PINUntil)}
	case s.WrongPINs > 0:
		f.Key, f.Slots = "desk.wrong", ui.Slots{"n": strconv.Itoa(s.WrongPINs)}
	}
	return f
}

// help is what can be done for a client now, but for what stands above already.
func (v *visit) help(above Press, ro gate.Roster, s gate.Sheet, wait time.Duration) (all []ui.Block) {
	c := s.Client
	link := func(key, what string) { all = append(all, ui.Link{Key: key, Href: v.of(c.ID, what), Weight: ui.Other}) }
	press := func(key, what string) { all = append(all, v.button(key, c.ID, what, ui.Other)) }
	if c.Access && c.EmailOK && !s.Withheld {
		if s.LastSignIn.IsZero() {
			link("desk.do.invite", "invitation")
		} else {
			link("desk.do.link", "link")
		}
	}
	if c.Access && ro.PINs && above != MakePIN {
		link("desk.do.pin", "pin")
	}
	if !s.PINUntil.IsZero() {
		press("desk.do.void", "pin/void")
	}
	switch {
	case above == Unlock:
	case s.PINsOff || s.CodesOff || !s.PINsRest.IsZero():
		press("desk.do.unlock", "unlock")
	case s.Withheld:
		press("desk.do.withhold", "unlock")
	case above != LiftWait && wait > time.Minute: // as everybody waits who has just asked
		press("desk.do.wait", "unlock")
	}
	if len(s.Accounts) > 0 && above != Unlink {
		press("desk.do.unlink", "unlink")
	}
	if len(s.Sessions) > 0 {
		press("desk.do.out", "sign-out")
	}
	return append(all, ui.Link{Key: "desk.do.card", Href: v.root() + "card"})
}

// onFile is what the list has of a client.
func (v *visit) onFile(c directory.Client) ui.Facts {
	facts := ui.Facts{value("desk.field.name", c.Name), value("desk.field.email", c.Email)}
	if c.Phone != "" {
		facts = append(facts, value("desk.field.phonenumber", c.Phone))
	}
	if c.Language != "" {
		facts = append(facts, value("desk.field.tongue", c.Language))
	}
	return append(facts, value("desk.field.id", c.ID))
}

// keep is what can be done about what is on file.
func (v *visit) keep(ro gate.Roster, c directory.Client) []ui.Block {
	if !ro.Kept {
		return []ui.Block{ui.Text("desk.kept")}
	}
	return []ui.Block{
		ui.Link{Key: "desk.do.edit", Href: v.of(c.ID, "edit"), Weight: ui.Other}, v.accessButton(c, ui.Other),
		ui.Link{Key: "desk.do.delete", Href: v.of(c.ID, "delete")},
	}
}

// accessButton takes portal access away, or gives it.
func (v *visit) accessButton(c directory.Client, w ui.Weight) ui.Form {
	return v.button(pick(c.Access, "desk.do.withdraw", "desk.do.give"), c.ID, "access", w,
		ui.Hidden{Name: "version", Value: strconv.Itoa(c.Version)}, ui.Hidden{Name: "access", Value: pick(c.Access, "no", "yes")})
}

// mails is what was mailed to a client, and what came of it.
func (v *visit) mails(s gate.Sheet) (all []ui.Block) {
	if s.Withheld {
		all = append(all, ui.Tip("desk.mails.held"))
	}
	var rows ui.Rows
	for _, m := range s.Mails {
		row := ui.Row{Keys: []string{"desk.mail.row"}, Slots: ui.Slots{
			"kind": v.UI.Text("desk.mail."+m.Kind, nil), "time": v.when(m.Asked), "fate": v.UI.Text("desk.mail."+string(m.Fate), nil), "text": m.Reason,
		}}
		if m.Reason != "" {
			row.Keys = append(row.Keys, "desk.mail.reason")
		}
		rows = append(rows, row)
	}
	if rows == nil {
		return append(all, ui.Text("desk.mails.none"))
	}
	return append(all, rows)
}

func fact(label, key string) ui.Fact { return ui.Fact{Label: label, Key: key} }

func value(label, value string) ui.Fact {
	return ui.Fact{Label: label, Key: pick(value == "", "desk.none", "desk.value"), Slots: ui.Slots{"value": value}}
}

func pick(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

// words is a name of the program's as people read it.
func words(name string) string { return strings.NewReplacer("_", " ", "-", " ").Replace(name) }
