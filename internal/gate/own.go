// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"net/http"
	"strings"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/ui"
)

// route is one address of the gate's own.
type route struct{ get, post func(*visit) }

const jwksPath = "/.well-known/portalgate/jwks.json"

// table lists every address of the gate. What is not in it, below the gate's
// path, does not exist and is never passed on.
func (h *Handler) table() map[string]route {
	p := h.Path
	t := map[string]route{
		p:                   {get: (*visit).landing},
		p + "/code":         {get: (*visit).sent, post: (*visit).code},
		p + "/link":         {get: (*visit).openLink, post: (*visit).redeem},
		p + "/link/again":   {post: (*visit).again},
		p + "/stop":         {get: (*visit).openStop, post: (*visit).stop},
		p + "/help":         {get: (*visit).help},
		p + "/session":      {get: (*visit).sessionState, post: (*visit).extend},
		p + "/session.js":   {get: func(v *visit) { v.UI.ServeSession(v.w, v.r) }},
		p + "/sessions":     {get: (*visit).sessions},
		p + "/sessions/end": {post: (*visit).endSession},
		p + "/sign-out":     {get: (*visit).askSignOut, post: (*visit).signOut},
		p + "/logo":         {get: (*visit).logo},
		jwksPath:            {get: func(v *visit) { v.eng.ring.ServeKeys(v.w, v.r) }},
	}
	if h.Reports != nil {
		t[p+"/mailgun"] = route{post: (*visit).report}
	}
	for _, m := range h.Methods {
		// What a program does is not known before it runs.
		t[p+"/"+m.Path()] = route{
			get: func(v *visit) { v.start(m) },
			post: func(v *visit) {
				switch {
				case !v.ready(m, "/"):
				case m.Describe().Away:
					v.setOff(m)
				default:
					v.proceed(m)
				}
			},
		}
		if m.Describe().Away || m.isProgram() {
			t[p+"/"+m.Path()+"/callback"] = route{get: func(v *visit) { v.callback(m) }}
		}
	}
	return t
}

// storeless lists what can be shown while the store is down.
func (v *visit) storeless() bool {
	return v.path == v.Path+"/help" || v.path == v.Path+"/logo" || v.path == v.Path+"/session.js"
}

// own serves one of the gate's own addresses.
func (v *visit) own() {
	rt := v.routes[v.path]
	v.r = v.r.WithContext(session.Acting(v.r.Context(), access.Cause{From: v.front.IP.String()}))
	switch {
	case v.eng == nil && !v.storeless():
		v.unknown(errClosed)
	case v.r.Method == http.MethodGet, v.r.Method == http.MethodHead:
		if rt.get == nil {
			v.redirect(v.Path + "#") // no address of ours is a dead end
			return
		}
		rt.get(v)
	case v.r.Method == http.MethodPost && rt.post != nil:
		rt.post(v)
	case v.r.Method == http.MethodOptions:
		v.w.Header().Set("Allow", rt.allow())
		v.w.WriteHeader(http.StatusNoContent)
	default:
		v.w.Header().Set("Allow", rt.allow())
		v.problem(http.StatusMethodNotAllowed, "method", "This address does not take that method.")
	}
}

func (rt route) allow() string {
	if rt.post == nil {
		return "GET, HEAD, OPTIONS"
	}
	return "GET, HEAD, OPTIONS, POST"
}

// carriesSecret reports whether a URL of ours may have a secret in it: any query
// of a link's page or of a way back, however it is spelled, and a "t" anywhere
// else.
func (v *visit) carriesSecret() bool {
	if v.original.RawQuery == "" {
		return false
	}
	return v.query.Has("t") || strings.HasPrefix(v.path, v.Path+"/link") || strings.HasPrefix(v.path, v.Path+"/stop") ||
		strings.HasSuffix(v.path, "/callback")
}

// refersToSecret reports whether the request says that it comes from a link's
// URL. Browsers are told not to; other programs do as they like.
func (v *visit) refersToSecret() bool {
	ref := v.r.Header.Get("Referer")
	return strings.Contains(ref, "?") &&
		(strings.Contains(ref, v.Path+"/link") || strings.Contains(ref, v.Path+"/stop") || strings.Contains(ref, "/callback?"))
}

// landing is the front page.
func (v *visit) landing() {
	v.sweep()
	who, err := v.who()
	if err != nil {
		v.unknown(err)
		return
	}
	back := v.back()
	query := returnQuery(back)
	switch {
	case who.SignedIn():
		f := v.jar.newest(v.w)
		lead, slots := ui.Lead("here.lead"), ui.Slots{"first": firstName(who.Client)}
		if slots["first"] == "" {
			lead = "here.lead.noname"
		}
		v.show(ui.Page{Title: "here.title", Slots: slots, Body: []ui.Block{
			lead,
			ui.Link{Key: "here.go", Href: back, Weight: ui.Main},
			v.form(f, "/sign-out", ui.Form{Buttons: []ui.Button{
				{Key: "here.out", Weight: ui.Other},
				{Key: "here.switch", Name: "switch", Value: "1", Weight: ui.Plain},
			}}),
		}})
	case who != nil:
		v.ended(who, back)
	case v.UI.Practice().NewClients != "":
		v.show(ui.Page{Title: "landing.title", Body: []ui.Block{
			ui.Lead("landing.lead"),
			ui.Link{Key: "landing.existing", Hint: "landing.existing.hint", Href: v.Path + "/" + v.home().Path() + query, Weight: ui.Main},
			ui.Link{Key: "landing.new", Hint: "landing.new.hint", Href: v.UI.Practice().NewClients, Weight: ui.Other},
		}})
	default:
		v.start(v.home())
	}
}

// ended tells why a session is over.
func (v *visit) ended(who *session.Visitor, back string) {
	idle, absolute := v.Session.Of(*who.Session)
	page := ui.Page{Title: "ended.title"}
	switch string(who.Over) {
	case "ended.idle":
		page.Slots = ui.Slots{"wait": ui.Life(idle)}
	case "ended.max":
		page.Slots = ui.Slots{"wait": ui.Life(absolute)}
	case "ended.here":
		v.jar.clear(v.w, "")
		v.start(v.home())
		return
	}
	page.Body = []ui.Block{ui.Lead(who.Over)}
	if back != "/" {
		page.Body = append(page.Body, ui.Text("ended.back"))
	}
	page.Body = append(page.Body, ui.Link{
		Key: "ended.button", Href: v.Path + "/" + v.home().Path() + returnQuery(back), Weight: ui.Main,
	})
	v.jar.clear(v.w, "")                           // said once
	v.w.Header().Set("Clear-Site-Data", `"cache"`) // so that Back shows nothing
	v.show(page)
}

// logo is the practice's picture, if it has one.
func (v *visit) logo() {
	if len(v.UI.Practice().Logo) == 0 {
		v.redirect(v.Path)
		return
	}
	v.UI.ServeLogo(v.w, v.r)
}

// help is the page of tips.
func (v *visit) help() {
	body := []ui.Block{
		ui.Heading("help.mail.head"),
		ui.Steps{Keys: []string{"help.mail.1", "help.mail.2", "help.mail.3", "help.mail.4", "help.mail.5"}},
	}
	if v.home().remote() == 0 {
		body = append(body, ui.Link{Key: "help.mail.button", Href: v.Path + "/" + v.home().Path(), Weight: ui.Main})
	}
	body = append(body, ui.Heading("help.link.head"), ui.Steps{Keys: []string{"help.link.1", "help.link.2"}})
	slots := ui.Slots{"life": ui.Life(v.linkLife())}
	for _, m := range v.Methods {
		if d := m.Describe(); d.Away && slots["method"] == "" {
			slots["method"] = d.Label
			body = append(body, ui.Heading("help.google.head"), ui.Text("help.google.1"), ui.Text("help.google.2"), ui.Text("help.google.3"))
		} else if d.Away {
			slots["method"] += " / " + d.Label
		}
	}
	if m, ok := v.takesPIN(); ok {
		body = append(body, ui.Heading("help.pin.head"), ui.Told{Key: "help.pin.1", Slots: methodSlots(m.Describe())},
			ui.Link{Key: "help.pin.button", Href: v.Path + "/" + m.Path(), Weight: ui.Other})
	}
	body = append(body,
		ui.Heading("help.two.head"), ui.Text("help.two.1"),
		ui.Heading("help.real.head"), ui.Text("help.real.1"))
	v.show(ui.Page{Title: "help.title", NoHelp: true, Slots: slots, Body: body})
}

// back is the page to return to, from the query.
func (v *visit) back() string { return safeReturn(v.query.Get("return_to"), v.Path) }
