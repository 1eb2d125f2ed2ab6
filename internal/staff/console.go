// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"cmp"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/ui"
)

// The console is the desk for people: a page for each thing there is to see or to
// do. It needs no script. What changes something is a form that posts, and leads
// to a page that may be loaded again, but for the PIN, which is shown once, and
// what a list has changed, which is counted once.

func console() []route {
	const one = "/clients/{id}"
	routes := []route{
		{method: "GET", path: "/{$}", what: "clients_searched", serve: (*visit).clientsPage},
		{method: "GET", path: "/new", what: "client_add_shown", serve: func(v *visit) { v.newPage(fresh, nil) }},
		{method: "POST", path: "/new", what: "client_add_asked", serve: (*visit).addFromPage},
		{method: "GET", path: "/card", what: "card_read", serve: (*visit).cardPage},
		{method: "GET", path: "/audit", what: "events_read", serve: (*visit).auditPage},
		{method: "GET", path: "/lists", what: "lists_shown", serve: func(v *visit) { v.listsPage(nil) }},
		{method: "POST", path: "/lists/try", what: "clients_import_try_asked", serve: (*visit).tryList},
		{method: "POST", path: "/lists/import", what: "clients_import_asked", serve: (*visit).importFromPage},
		{method: "POST", path: "/lists/export", what: "clients_export_asked", serve: (*visit).exportFromPage},
		{method: "GET", path: one, what: "client_read", serve: about((*visit).clientPage)},
		{method: "GET", path: one + "/edit", what: "client_read", serve: about(func(v *visit, s gate.Sheet) { v.editPage(s.Client, nil) })},
		{method: "POST", path: one + "/edit", what: "client_change_asked", serve: about((*visit).changeFromPage)},
		{method: "POST", path: one + "/access", what: "client_change_asked", serve: about((*visit).setAccess)},
		{method: "GET", path: one + "/delete", what: "client_read", serve: about((*visit).deletePage)},
		{method: "POST", path: one + "/delete", what: "client_remove_asked", serve: about((*visit).deleteFromPage)},
		{method: "GET", path: one + "/invitation", what: "client_read", serve: about(func(v *visit, s gate.Sheet) { v.invitePage(s.Client, nil, nil) })},
		{method: "POST", path: one + "/invitation", what: "invitation_asked", serve: about((*visit).inviteFromPage)},
		{method: "GET", path: one + "/link", what: "client_read", serve: about(func(v *visit, s gate.Sheet) { v.linkPage(s.Client, nil, nil) })},
		{method: "POST", path: one + "/link", what: "link_asked", serve: about((*visit).linkFromPage)},
		{method: "GET", path: one + "/pin", what: "client_read", serve: about(func(v *visit, s gate.Sheet) { v.pinPage(s.Client, nil, nil) })},
		{method: "POST", path: one + "/pin", what: "pin_asked", serve: about((*visit).pinFromPage)},
		{method: "POST", path: one + "/pin/void", what: "pin_void_asked", serve: func(v *visit) { v.press(v.Gate.VoidPIN, "void") }},
		{method: "POST", path: one + "/unlock", what: "unlock_asked", serve: func(v *visit) { v.press(v.Gate.Unlock, "unlocked") }},
		{method: "POST", path: one + "/unlink", what: "unlink_asked", serve: func(v *visit) { v.press(v.Gate.Unlink, "unlinked") }},
		{method: "POST", path: one + "/sign-out", what: "sessions_end_asked", serve: func(v *visit) { v.press(v.Gate.EndSessions, "out") }},
	}
	for i := range routes {
		routes[i].page = true
	}
	return routes
}

// root is how the start of the desk is written from the page that is asked for:
// where the desk is mounted it does not know.
func (v *visit) root() string {
	return cmp.Or(strings.Repeat("../", strings.Count(v.r.URL.Path, "/")-1), "./")
}

// of is the address of something about a client, or of the client's page.
func (v *visit) of(id, what string) string {
	if what != "" {
		what = "/" + what
	}
	return v.root() + "clients/" + id + what
}

// show answers with a page. here is the part of the desk that it is of.
func (v *visit) show(here string, p ui.Page) {
	ro := v.Gate.Roster()
	p.Desk = &ui.Desk{By: v.w.by}
	for _, l := range []struct {
		key, at string
		there   bool
	}{
		{"desk.nav.clients", "", true}, {"desk.clients.add", "new", ro.Kept}, {"desk.nav.lists", "lists", ro.Kept || ro.Listed},
		{"desk.nav.audit", "audit", true}, {"desk.nav.card", "card", true},
	} {
		if l.there {
			p.Desk.Links = append(p.Desk.Links, ui.DeskLink{Key: l.key, Href: v.root() + l.at, Here: l.at == here})
		}
	}
	if v.w.through { // else it is not for us to sign anybody out
		p.Desk.Links = append(p.Desk.Links, ui.DeskLink{Key: "desk.nav.out", Href: v.SignOut})
	}
	if ro.Stale {
		p.Body = append([]ui.Block{ui.Alert("desk.stale")}, p.Body...)
	}
	v.UI.Render(v.w, v.r, p)
}

// noPart is a page that is of no part of the desk alone.
const noPart = "-"

// trouble shows why something was not done.
func (v *visit) trouble(t *trouble) {
	p := ui.Page{Status: t.status, Title: "desk.trouble.title", Slots: t.slots, Body: []ui.Block{ui.Lead(t.key())}}
	if v.w.client != "" && t.status != http.StatusNotFound {
		p.Slots = joined(p.Slots, ui.Slots{"name": v.w.client})
		p.Body = append(p.Body, ui.Link{Key: "desk.back.client", Href: v.of(v.w.client, "")})
	}
	p.Body = append(p.Body, ui.Link{Key: "desk.back.all", Href: v.root()})
	v.show(noPart, p)
}

// went leads on to the page of a client, or to all if id is empty, which says
// what was done.
func (v *visit) went(id, done string) {
	to := v.root()
	if id != "" {
		to = v.of(id, "")
	}
	h := v.w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Location", to+"?done="+done)
	v.w.WriteHeader(http.StatusSeeOther)
}

// done is what was done before this page was shown; nothing if nothing was.
func (v *visit) wasDone(q url.Values) []ui.Block {
	for _, what := range []string{
		"access", "added", "changed", "deleted", "invited", "link", "out", "unlinked", "unlocked", "void", "withdrawn",
	} {
		if q.Get("done") == what {
			return []ui.Block{ui.Tip("desk.done." + what)}
		}
	}
	return nil
}

// form reads a form. It answers and returns false if it is none.
func (v *visit) form() (url.Values, bool) { return v.formOf(maxBody) }

// formOf is form for one of at most so many bytes.
func (v *visit) formOf(size int64) (url.Values, bool) {
	kind, _, err := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		v.failed(&trouble{status: http.StatusUnsupportedMediaType, kind: "form"})
		return nil, false
	}
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, size)
	if err := v.r.ParseForm(); err != nil {
		v.failed(tooLarge(size))
		return nil, false
	}
	return v.r.PostForm, true
}

// button is a form that does one thing.
func (v *visit) button(key, id, what string, weight ui.Weight, hidden ...ui.Hidden) ui.Form {
	return ui.Form{Action: v.of(id, what), Hidden: hidden, Buttons: []ui.Button{{Key: key, Weight: weight}}}
}

// back leads back to a client's page.
func (v *visit) back(c directory.Client) ui.Link {
	return ui.Link{Key: "desk.back", Href: v.of(c.ID, "")}
}

// called is a client as staff read it.
func called(c directory.Client) string { return cmp.Or(c.Name, c.Email) }

// slots are what a page about a client can name.
func slots(c directory.Client) ui.Slots {
	return ui.Slots{"name": called(c), "address": c.Email, "id": c.ID}
}

// when says a moment, or that there is none.
func (v *visit) when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return v.UI.When(t)
}

func joined(some, more ui.Slots) ui.Slots {
	all := ui.Slots{}
	for _, from := range []ui.Slots{some, more} {
		for name, value := range from {
			all[name] = value
		}
	}
	return all
}
