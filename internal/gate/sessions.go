// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/reply"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/ui"
)

// signedIn returns who is signed in. If nobody is, or nobody can tell, it
// answers and returns nil.
func (v *visit) signedIn() *session.Visitor {
	who, err := v.who()
	if err != nil {
		v.unknown(err)
		return nil
	}
	if !who.SignedIn() {
		v.redirect(v.Path)
		return nil
	}
	return who
}

// sessionState tells a page's script how the session stands, without
// extending it.
func (v *visit) sessionState() {
	who, err := v.who()
	if err != nil {
		v.w.Header().Set("Retry-After", "2")
		v.problem(http.StatusServiceUnavailable, "unavailable", "The gate cannot tell who is asking. Try again.")
		return
	}
	if !who.SignedIn() {
		reply.JSON(v.w, v.r, http.StatusOK, map[string]any{"signed_in": false})
		return
	}
	idle, absolute := who.Session.Ends(v.Session)
	reply.JSON(v.w, v.r, http.StatusOK, map[string]any{
		"signed_in": true, "method": who.Session.Method,
		// For a page that was left open: whether it is still the same client.
		"client":          session.ID(access.Hash(who.Tag)),
		"idle_expires_at": idle.UTC().Format(time.RFC3339), "expires_at": absolute.UTC().Format(time.RFC3339),
	})
}

// pressGrain is how often presses are written down: whoever keeps pressing must
// not keep the store busy.
const pressGrain = 5 * time.Second

// extend is one press to stay signed in.
func (v *visit) extend() {
	if crossOrigin.Check(v.r) != nil {
		v.problem(http.StatusForbidden, "origin", "Another website sent this.")
		return
	}
	if who, err := v.who(); err == nil && who.SignedIn() {
		_ = v.eng.records.Update(v.r.Context(), who.Tag, func(now time.Time, r *access.Record) error {
			if !r.Touch(now, who.Session.Hash, v.Session, pressGrain) {
				return store.ErrUnchanged
			}
			return nil
		}) // what follows tells how it stands, whatever came of it
	}
	v.sessionState()
}

// sessions lists where the client is signed in.
func (v *visit) sessions() {
	who := v.signedIn()
	if who == nil {
		return
	}
	page, err := v.sessionsPage(who)
	if err != nil {
		v.unknown(err)
		return
	}
	if v.query.Has("done") {
		page.Body = append([]ui.Block{ui.Tip("where.done")}, page.Body...)
	}
	v.show(page)
}

func (v *visit) sessionsPage(who *session.Visitor) (ui.Page, error) {
	r, err := v.eng.records.Get(v.r.Context(), who.Tag)
	if err != nil {
		return ui.Page{}, err
	}
	f := v.jar.newest(v.w)
	var rows ui.Rows
	for _, s := range r.Live(v.now, v.Session) {
		row := ui.Row{Keys: []string{"where.row"}, Slots: ui.Slots{"kind": s.Kind, "time": v.UI.When(time.Unix(s.Made, 0))}}
		if s.Hash == who.Session.Hash {
			row.Keys = []string{"where.this", "where.row"}
		} else {
			form := v.form(f, "/sessions/end", ui.Form{
				Hidden:  []ui.Hidden{{Name: "id", Value: session.ID(s.Hash)}},
				Buttons: []ui.Button{{Key: "where.end", Weight: ui.Other}},
			})
			row.Form = &form
		}
		rows = append(rows, row)
	}
	return ui.Page{Title: "where.title", Body: []ui.Block{
		rows,
		v.form(f, "/sign-out", ui.Form{Buttons: []ui.Button{{Key: "where.all", Name: "all", Value: "1", Weight: ui.Main}}}),
		ui.Link{Key: "here.go", Href: "/"},
	}}, nil
}

// endSession ends another of the client's sessions.
func (v *visit) endSession() {
	p, ok := v.read()
	if !ok {
		return
	}
	who := v.signedIn()
	if who == nil {
		return
	}
	if p.flow == nil {
		page, err := v.sessionsPage(who)
		if err != nil {
			v.unknown(err)
			return
		}
		v.crossed(p, page)
		return
	}
	ended := false
	err := v.eng.records.Update(v.r.Context(), who.Tag, func(now time.Time, r *access.Record) error {
		ended = false
		for _, s := range r.Live(now, v.Session) {
			if session.ID(s.Hash) == p.Get("id") && r.EndSession(now, s.Hash, access.ByElsewhere) {
				ended = true
				return nil
			}
		}
		return store.ErrUnchanged
	})
	if err != nil {
		v.unknown(err)
		return
	}
	if ended {
		v.audit("signed_out", zap.String("client", who.Client.ID), zap.String("by", "elsewhere"))
	}
	v.redirect(v.Path + "/sessions?done=1")
}

// askSignOut is GET of sign-out: it asks, and is where a sign-out ends.
func (v *visit) askSignOut() {
	who, err := v.who()
	if err != nil {
		v.unknown(err)
		return
	}
	if who.SignedIn() {
		v.show(v.askSignOutPage(v.jar.newest(v.w)))
		return
	}
	q := v.query
	page := ui.Page{Title: "out.title", Body: []ui.Block{ui.Lead("out.lead")}}
	if q.Has("all") {
		page.Body = []ui.Block{ui.Lead("out.all")}
	}
	if q.Has("shared") {
		page.Body = append(page.Body, ui.Heading("out.shared.head"),
			ui.Steps{Numbered: true, Keys: []string{"out.shared.1", "out.shared.2"}})
	} else {
		page.Body = append(page.Body, ui.Tip("out.tip"))
	}
	page.Body = append(page.Body, ui.Link{Key: "out.again", Href: v.Path, Weight: ui.Main})
	v.show(page)
}

func (v *visit) askSignOutPage(f *flow) ui.Page {
	return ui.Page{Title: "out.ask.title", Body: []ui.Block{
		ui.Lead("out.ask.lead"),
		v.form(f, "/sign-out", ui.Form{Buttons: []ui.Button{
			{Key: "out.ask.button", Weight: ui.Main},
			{Key: "out.ask.all", Name: "all", Value: "1", Weight: ui.Other},
		}}),
		ui.Link{Key: "out.ask.stay", Href: "/"},
	}}
}

// signOut ends the session, or all of the client's.
func (v *visit) signOut() {
	p, ok := v.read()
	if !ok {
		return
	}
	who, err := v.who()
	if err != nil {
		v.unknown(err)
		return
	}
	switch {
	case p.flow == nil && who.SignedIn():
		v.crossed(p, v.askSignOutPage(v.jar.newest(v.w)))
		return
	case p.flow == nil:
		// Another site's form comes without our cookies. Clearing them in the
		// answer would sign the client out all the same.
		v.redirect(v.Path + "/sign-out")
		return
	}
	var query []string
	if who.SignedIn() {
		all := p.Get("all") == "1"
		err := v.eng.records.Update(v.r.Context(), who.Tag, func(now time.Time, r *access.Record) error {
			if all {
				r.EndAll(now, who.Session.Hash)
			} else if !r.EndSession(now, who.Session.Hash, access.BySignOut) {
				return store.ErrUnchanged
			}
			return nil
		})
		if err != nil {
			v.unknown(err)
			return
		}
		event := "signed_out"
		if all {
			event, query = "signed_out_everywhere", append(query, "all=1")
			v.jar.clear(v.w, "-known")
		}
		if who.Session.Shared {
			query = append(query, "shared=1")
		}
		v.audit(event, zap.String("client", who.Client.ID))
	}
	v.jar.clear(v.w, "")
	// So that Back shows nothing, and what the portal kept in the browser is
	// gone. Cookies are not among it: the portal may have some that are not
	// about who was here.
	v.w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
	for _, f := range v.jar.flows {
		v.jar.endFlow(v.w, f)
	}
	for _, a := range v.jar.asked {
		v.jar.clear(v.w, "-asked-"+a.id)
	}
	if slices.ContainsFunc(v.Methods, func(m Method) bool { return m.Describe().Away }) {
		v.jar.begin(v.w, &flow{Choose: true}) // who is next may be somebody else
	}
	if p.Get("switch") == "1" {
		v.redirect(v.Path + "/" + v.home().Path())
		return
	}
	to := v.Path + "/sign-out"
	if len(query) > 0 {
		to += "?" + strings.Join(query, "&")
	}
	v.redirect(to)
}
