// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"net/http"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/ui"
)

// pageOf is the page of a link: the one rule of who may use it where. wrong is
// the key of what was wrong with a typed address.
func (v *visit) pageOf(o opened, wrong string) ui.Page {
	if o.state != access.Live {
		return v.deadLinkPage(o)
	}
	form := ui.Form{Shared: !o.link.Shared}
	page := ui.Page{Slots: v.linkSlots(o)}
	if who, _ := v.who(); who.SignedIn() && who.Tag != o.tag {
		form.Hidden = append(form.Hidden, ui.Hidden{Name: "switch", Value: "1"})
		page.Title = "switch.title"
		page.Body = append(page.Body, ui.Lead("switch.lead"), ui.Text("open.known.lead"))
		form.Buttons = []ui.Button{{Key: "switch.button", Weight: ui.Main}}
	}
	switched := page.Title != ""
	switch c := v.claimTo(o); {
	case c == stranger && o.link.Wrong >= access.WrongAddresses:
		return ui.Page{Title: "open.off.title", Body: []ui.Block{
			ui.Lead("open.off.lead"),
			ui.Link{
				Key: "open.off.button", Weight: ui.Main,
				Href: v.Path + "/" + v.home().Path() + returnQuery(safeReturn(o.link.ReturnTo, v.Path)),
			},
		}}
	case c == stranger:
		if !switched {
			page.Title = "open.new.title"
			form.Buttons = []ui.Button{{Key: "open.new.button", Weight: ui.Main}}
		} else {
			page.Body = page.Body[:1] // who it is for is for them to say
		}
		page.Body = append(page.Body, ui.Lead("open.new.lead"))
		form.Fields = []ui.Field{{
			Name: "email", Label: "open.new.label", Hint: "open.new.hint", Kind: ui.EmailField, Wrong: wrong != "",
		}}
		page.Wrong = wrong
		page.Body = append(page.Body, v.form(o.flow, "/link", form))
		if !o.link.Sent {
			page.Body = append(page.Body, ui.Text("open.new.code"))
		}
		if wrong != "" {
			page.Status = http.StatusUnprocessableEntity
		}
		return page
	case switched:
	case c == familiar:
		page.Title, page.Body = "open.known.title", []ui.Block{ui.Lead("open.known.lead")}
		form.Buttons = []ui.Button{{Key: "open.known.button", Weight: ui.Main}}
	default:
		page.Title, page.Body = "open.here.title", []ui.Block{ui.Lead("open.here.lead")}
		form.Buttons = []ui.Button{{Key: "open.here.button", Weight: ui.Main}}
		form.Auto, form.Shared = true, false
	}
	page.Body = append(page.Body, v.form(o.flow, "/link", form))
	if switched {
		page.Body = append(page.Body, ui.Link{Key: "switch.stay", Href: "/", Weight: ui.Other})
	}
	return page
}

// deadLinkPage says what became of a link, and what to do.
func (v *visit) deadLinkPage(o opened) ui.Page {
	page := ui.Page{Slots: v.linkSlots(o)}
	again := []ui.Block{v.form(o.flow, "/link/again", ui.Form{
		Buttons: []ui.Button{{Key: "again.button", Weight: ui.Main}},
	}), ui.Text("again.hint")}
	switch o.state {
	case access.Expired:
		page.Title, page.Body = "expired.title", append([]ui.Block{ui.Lead("expired.lead")}, again...)
	case access.Used:
		page.Title, page.Body = "used.title", append([]ui.Block{ui.Lead("used.lead")}, again...)
		page.Body = append(page.Body, ui.Tip("used.tip"), ui.Text("used.notyou"))
	case access.NewerAsked, access.NewerSignedIn, access.NewerInvited:
		page.Title, page.Body = "newer.title", append([]ui.Block{ui.Lead(o.state)}, again...)
	case access.StoppedClient:
		page.Title, page.Body = "stopped.title", append([]ui.Block{ui.Lead("stopped.client")}, again...)
	case access.StoppedOffice:
		page.Title, page.Body = "stopped.title", []ui.Block{ui.Lead("stopped.practice")}
	default:
		page.Title, page.Body = "nolink.title", []ui.Block{
			ui.Lead("nolink.lead"),
			ui.Link{Key: "nolink.button", Href: v.Path + "/" + v.home().Path(), Weight: ui.Main},
		}
	}
	page.Body = append(page.Body, v.offers(v.home(), safeReturn(o.past.ReturnTo, v.Path))...)
	return page
}

func (v *visit) linkSlots(o opened) ui.Slots {
	s := ui.Slots{"life": ui.Life(o.life())}
	if a, err := address.Parse(o.client.Email); err == nil {
		s["masked"] = a.Masked()
	}
	return s
}

func (o opened) life() time.Duration {
	if o.state == access.Live {
		return time.Duration(o.link.Expires-o.link.Made) * time.Second
	}
	return time.Duration(o.past.Life) * time.Second
}

// coldOrNoCookies is the answer where this browser has no token before it: it
// never came, or the cookie that it was put into did not come back.
func (v *visit) coldOrNoCookies(to string, q map[string][]string) {
	if q["opened"] != nil {
		v.noCookies()
		return
	}
	v.show(v.coldPage(to))
}

// coldPage is a link's page without a link. Where the browser was handed one
// in the fragment, its script posts it, once.
func (v *visit) coldPage(to string) ui.Page {
	return ui.Page{Title: "open.cold.title", Body: []ui.Block{
		ui.Lead("open.cold.lead"),
		ui.Form{Action: v.Path + to, Hidden: []ui.Hidden{{Name: "t"}}, Fragment: true},
		ui.Link{Key: "open.cold.button", Href: v.Path + "/" + v.home().Path(), Weight: ui.Other},
	}}
}
