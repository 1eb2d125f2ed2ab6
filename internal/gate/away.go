// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/ui"
	"github.com/portalgate/portalgate/providers"
)

// A method may send the browser to another place, to come back to a callback of
// ours. Only a press sets off, each in a flow of its own: what comes back is
// taken from the browser that went, for the method by which it went, and once.

// awayNetwork is how often a network may set off.
var awayNetwork = limit.Rate{Count: 30, Per: 10 * time.Minute}

// awayAttempt is how often one attempt may come back with an answer.
var awayAttempt = limit.Rate{Count: 5, Per: time.Hour}

// startAway is GET of such a method's address: only a press sets off. The button
// is on the page of choices, and where no method has a form to be that page, on
// one that is made of buttons.
func (v *visit) startAway(m Method) {
	back := v.back()
	if !v.home().Describe().Away {
		v.redirect(v.Path + returnQuery(back))
		return
	}
	d := m.Describe()
	body := v.withOthers(m, v.jar.newest(v.w), ui.Form{
		Hidden:  []ui.Hidden{{Name: "return_to", Value: back}},
		Shared:  true,
		Buttons: []ui.Button{{Key: d.Text + ".offer", Weight: ui.Main, Slots: methodSlots(d)}},
	}, back)
	about := []ui.Block{ui.Told{Key: d.Text + ".hint", Slots: methodSlots(d)}, ui.Told{Key: d.Text + ".privacy", Slots: methodSlots(d)}}
	v.show(ui.Page{Title: "landing.title", Body: slices.Insert(body, 1, about...)})
}

// setOff is POST of such a method's address.
func (v *visit) setOff(m Method) {
	p, ok := v.read()
	if !ok {
		return
	}
	back := safeReturn(p.Get("return_to"), v.Path)
	switch {
	case p.flow == nil:
		v.crossed(p, ui.Page{Body: []ui.Block{v.offer(m, v.jar.newest(v.w), back, false)}})
		return
	case p.flow.Away == m.Name && p.flow.Claim != nil && p.Get("switch") == "1":
		v.finish(m, p.flow, true)
		return
	}
	d, err := v.eng.backend.Allow(v.r.Context(), []limit.Ask{{Key: v.eng.keys.limitKey("away-network", v.network()), Rate: awayNetwork}})
	if err != nil {
		v.unknown(err)
		return
	}
	if !d.Allowed {
		v.audit("away_refused", zap.String("method", m.Name), zap.String("because", "limit"))
		v.wait(m, d.RetryAfter, back)
		return
	}
	f := v.jar.name(&flow{Away: m.Name, Back: back, Shared: p.Get("shared") == "1"})
	choose := f.Shared || slices.ContainsFunc(v.jar.flows, func(f *flow) bool { return f.Choose })
	step, err := m.Start(v.r.Context(), providers.Request{
		Callback: v.callbackURL(m), Attempt: v.eng.keys.attempt(f, m.Name), Choose: choose, Language: pageLanguage,
	})
	to := ""
	if err == nil && step.Redirect != nil && len(step.State) <= 1024 {
		to = elsewhereURL(*step.Redirect)
	}
	if to == "" {
		v.Log.Error("a sign-in method does not begin", zap.String("method", m.Name), zap.Error(err))
		v.notNow(m, back)
		return
	}
	f.State = step.State
	v.jar.add(v.w, f)
	v.sendAway(m, to)
}

// sendAway hands the browser over to another place. It is not a redirect: that
// is no answer to a form under form-action 'self'.
func (v *visit) sendAway(m Method, to string) {
	v.show(ui.Page{Title: "away.title", Slots: methodSlots(m.Describe()), Away: to, NoHelp: true, Body: []ui.Block{
		ui.Lead("away.lead"), ui.Link{Key: m.Describe().Text + ".offer", Href: to, Weight: ui.Main},
	}})
}

func (v *visit) callbackURL(m Method) string { return origin(v.PublicURL) + v.callbackPath(m) }

func (v *visit) callbackPath(m Method) string { return v.Path + "/" + m.Path() + "/callback" }

// elsewhereURL returns where a browser may be sent, written anew; empty if it
// may not be sent there.
func elsewhereURL(to providers.Redirect) string {
	u, err := url.Parse(to.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" || !slices.Contains(to.Origins, origin(u)) ||
		u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return ""
	}
	return u.String()
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.IsLoopback()
}

// offer is the button that sets off.
func (v *visit) offer(m Method, f *flow, back string, shared bool) ui.Form {
	form := ui.Form{
		Hidden: []ui.Hidden{{Name: "return_to", Value: back}},
		Buttons: []ui.Button{{
			Key: m.Describe().Text + ".offer", Weight: ui.Other, Slots: methodSlots(m.Describe()),
		}},
	}
	if shared {
		form.Hidden = append(form.Hidden, ui.Hidden{Name: "shared", Value: "1"})
	}
	return v.form(f, "/"+m.Path(), form)
}

// offers are the other ways in; none if there is one way only.
func (v *visit) offers(except Method, back string) (all []ui.Block) {
	for _, m := range v.Methods {
		if m.Name != except.Name {
			all = append(all, v.way(m, m.Describe().Text+".offer", ui.Other, back))
		}
	}
	return all
}

// notNow says that the other place does not answer, and offers other ways.
func (v *visit) notNow(m Method, back string) {
	v.refuse(m, http.StatusServiceUnavailable, m.Describe().Text+".down", back, nil)
}

// refuse shows why a method lets nobody in now, by the stem of the page's texts.
func (v *visit) refuse(m Method, status int, stem, back string, slots ui.Slots, more ...ui.Block) {
	page := ui.Page{Status: status, Title: stem + ".title", Slots: methodSlots(m.Describe()), Body: []ui.Block{ui.Lead(v.unlinked(stem + ".lead"))}}
	for name, value := range slots {
		page.Slots[name] = value
	}
	page.Body = append(page.Body, more...)
	switch {
	case m.down():
	case status == http.StatusForbidden:
		page.Body = append(page.Body, v.way(m, m.Describe().Text+".other", ui.Other, back))
	default:
		page.Body = append(page.Body, v.way(m, m.Describe().Text+".again", ui.Main, back))
	}
	page.Body = append(page.Body, v.offers(m, back)...)
	v.show(page)
}

// unlinked is the text to say in the place of one that names a link by mail, where
// nobody can ask for one.
func (v *visit) unlinked(key string) string {
	switch key {
	case "google.cancel.lead", "google.down.lead", "google.unproved.lead", "google.plus.lead", "google.nomatch.exact":
		if v.home().remote() > 0 {
			return "google.alone"
		}
	}
	return key
}
