// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/ui"
)

// A stop link comes with every mail. It has a token of its own, from which the
// link's cannot be made, and can only take away: switch the link off, or, if
// it was used, sign out everywhere; that of a notice ends the session, voids
// the PIN or takes away the account that the notice tells of. It opens like a link, except that nothing completes by
// itself.

// stopLife is how long after a link's time its stop link works.
const stopLife = 30 * 24 * time.Hour

// openStop is GET of a stop link's page.
func (v *visit) openStop() {
	if v.prefetch() {
		return
	}
	q := v.query
	if q.Has("t") {
		v.carry(q.Get("t"), true)
		v.w.Header().Set("Referrer-Policy", "no-referrer")
		v.redirect(v.Path + "/stop" + fragment(q.Get("t")))
		return
	}
	f := v.jar.withToken(true)
	if f == nil {
		v.coldOrNoCookies("/stop", q)
		return
	}
	o, err := v.lookStop(f)
	if err != nil {
		v.unknown(err)
		return
	}
	v.show(v.stopPage(o, ""))
}

// lookStop finds the link that a stop token names.
func (v *visit) lookStop(f *flow) (opened, error) {
	o := opened{flow: f, state: access.NoLink}
	tag, secret, ok := session.ParseToken(f.Token)
	if !ok {
		return o, nil
	}
	given := access.HashOf(secret)
	r, err := v.eng.records.Get(v.r.Context(), tag)
	if err != nil {
		return o, ignoreNotFound(err)
	}
	if !v.stops(r, given, &o) { // another gate may have mailed it since
		if r, err = v.eng.records.Again(v.r.Context(), tag); err != nil {
			return o, ignoreNotFound(err)
		}
		if !v.stops(r, given, &o) {
			return o, nil
		}
	}
	o.tag = tag
	if o.account != nil {
		if o.state = access.StoppedClient; o.account.Made != 0 {
			o.state = access.Live
		}
		return o, v.judge(r, &o)
	}
	if o.stranger != nobody {
		o.state = access.Live
		if !r.Harbours(o.stranger) {
			o.state = access.StoppedClient
		}
		return o, v.judge(r, &o)
	}
	o.link, o.state, o.past = r.Look(v.now, o.hash)
	if o.pin && o.state == access.NoLink {
		o.state = access.Live // what is not remembered is still there
	}
	return o, v.judge(r, &o)
}

// stops finds what in a record the token switches off, and reports whether there is
// anything.
func (v *visit) stops(r *access.Record, given access.Hash, o *opened) bool {
	names := func(link access.Hash) bool { return access.HashOf(v.eng.keys.stopSecret(link)) == given }
	for _, l := range r.Links {
		if names(l.Hash) && v.now.Unix() < l.Expires+int64(stopLife/time.Second) {
			o.hash = l.Hash
		}
	}
	if p, live := r.LivePIN(v.now); live && v.eng.keys.stopsPIN(given, p.ID) {
		o.hash, o.pin = p.ID, true
	}
	for _, p := range r.Past {
		if p.PIN && v.eng.keys.stopsPIN(given, p.Hash) && v.now.Unix() < p.At+int64(stopLife/time.Second) {
			o.hash, o.pin = p.Hash, true
		}
		if names(p.Hash) && v.now.Unix() < p.At+int64(stopLife/time.Second) {
			o.hash = p.Hash
		}
	}
	o.stranger = v.eng.stranger(r, given)
	o.account = v.eng.stopsAccount(r, given)
	return o.hash != "" || o.stranger != nobody || o.account != nil
}

// stopPage asks whether to switch the link off.
func (v *visit) stopPage(o opened, wrong string) ui.Page {
	switch {
	case o.account != nil:
		return v.stopAccountPage(o, wrong)
	case o.stranger != nobody && o.state == access.Live:
		return v.stopForm(o, wrong, ui.Page{Title: "stop.session.title", Body: []ui.Block{ui.Lead("stop.session.lead")}},
			ui.Button{Key: "stop.session.button", Weight: ui.Main})
	case o.stranger != nobody:
		return ui.Page{Title: "stop.session.off", Body: []ui.Block{ui.Lead("stop.session.done")}}
	case o.state == access.NoLink:
		return v.deadLinkPage(o)
	case o.pin && o.state == access.Live:
		return v.stopForm(o, wrong, ui.Page{Title: "stop.pin.title", Body: []ui.Block{ui.Lead("stop.pin.lead")}},
			ui.Button{Key: "stop.pin.button", Weight: ui.Main})
	case o.pin && o.state == access.Used:
		return v.stopForm(o, wrong, ui.Page{Title: "stop.pin.late", Body: []ui.Block{ui.Lead("stop.late.lead")}},
			ui.Button{Key: "stop.late.button", Name: "all", Value: "1", Weight: ui.Main})
	case o.pin:
		return ui.Page{Title: "stop.pin.off", Body: []ui.Block{ui.Lead("stop.pin.done")}}
	case o.state == access.Live:
		return v.stopForm(o, wrong, ui.Page{Title: "stop.title", Body: []ui.Block{ui.Lead("stop.lead")}},
			ui.Button{Key: "stop.button", Weight: ui.Main})
	case o.state == access.Used:
		return v.stopForm(o, wrong, ui.Page{Title: "stop.late.title", Body: []ui.Block{ui.Lead("stop.late.lead")}},
			ui.Button{Key: "stop.late.button", Name: "all", Value: "1", Weight: ui.Main})
	}
	return ui.Page{Title: "stop.done.title", Body: []ui.Block{ui.Lead("stop.done.lead")}}
}

func (v *visit) stopForm(o opened, wrong string, page ui.Page, b ui.Button) ui.Page {
	form := ui.Form{Buttons: []ui.Button{b}}
	if v.claimTo(o) == stranger && !o.flow.Proved {
		form.Fields = []ui.Field{{Name: "email", Label: "stop.email", Hint: "stop.email.hint", Kind: ui.EmailField, Wrong: wrong != ""}}
		if page.Wrong = wrong; wrong != "" {
			page.Status = http.StatusUnprocessableEntity
		}
	}
	page.Body = append(page.Body, v.form(o.flow, "/stop", form))
	return page
}

// stop is POST of a stop link's page.
func (v *visit) stop() {
	if v.prefetch() {
		return
	}
	p, ok := v.read()
	switch {
	case !ok:
		return
	case p.Has("t"):
		v.receive(p, true)
		return
	case p.flow == nil || !p.flow.Stop:
		v.stopCrossed(p)
		return
	}
	o, err := v.lookStop(p.flow)
	if err != nil {
		v.unknown(err)
		return
	}
	if o.tag == "" { // it names nothing
		v.show(v.stopPage(o, ""))
		return
	}
	if (o.state == access.Live || o.state == access.Used) && v.claimTo(o) == stranger && !p.flow.Proved {
		if wrong := wrongAddress(p.Get("email")); wrong != "" {
			v.show(v.stopPage(o, wrong))
			return
		}
		d, err := v.eng.backend.Allow(v.r.Context(), []limit.Ask{{
			Key:  v.eng.keys.limitKey("stop", p.flow.Token, v.network()),
			Rate: limit.Rate{Count: access.WrongAddresses, Per: access.WrongAddresses * stopLife},
		}})
		if err != nil {
			v.unknown(err)
			return
		}
		typed, _ := address.Parse(p.Get("email"))
		switch {
		case !d.Allowed: // counted, and not written down: nobody fills the log by going on
			v.show(v.stopPage(o, "open.new.wrong"))
			return
		case v.eng.records.Address(typed) != o.bound:
			v.audit("link_wrong_address", zap.String("client", o.client.ID), zap.String("by", "stop"))
			v.tried(o.client.ID, "link_stopped", "", "address")
			v.show(v.stopPage(o, "open.new.wrong"))
			return
		}
		p.flow.Proved = true // for the second press, if the link was used meanwhile
		v.jar.setFlow(v.w, p.flow)
	}
	switch {
	case o.stranger != nobody:
		v.takeAway(o, "session_stopped", func(now time.Time, r *access.Record) bool { return r.Expel(now, o.stranger) })
		return
	case o.account != nil:
		v.takeAway(o, "account_unlinked", func(now time.Time, r *access.Record) bool { return r.Unlink(now, o.account.Hash) })
		return
	}
	stopped := false
	err = v.eng.records.Update(v.r.Context(), o.tag, func(now time.Time, r *access.Record) error {
		stopped = false
		if o.pin {
			if o.state = r.StopPIN(now, o.hash, access.StoppedClient); o.state == access.Live {
				stopped = true
				return nil
			}
		} else {
			_, o.state, _ = r.Look(now, o.hash)
		}
		switch {
		case o.state == access.Live:
			r.StopLink(now, o.hash)
			stopped = true
			return nil
		case o.state == access.Used && p.Get("all") == "1":
			r.EndAll(now, "")
			return nil
		}
		return store.ErrUnchanged
	})
	switch {
	case err != nil:
		v.unknown(err)
	case o.state == access.Used && p.Get("all") == "1":
		v.audit("signed_out_everywhere", zap.String("client", o.client.ID), zap.String("by", "stop"))
		v.redirect(v.Path + "/sign-out?all=1#")
	default: // the page says what is so now
		if stopped && o.pin {
			v.audit("pin_stopped", zap.String("client", o.client.ID))
		} else if stopped {
			v.audit("link_stopped", zap.String("client", o.client.ID))
		}
		v.redirect(v.Path + "/stop#")
	}
}

func (v *visit) stopCrossed(p posted) {
	page := v.coldPage("/stop")
	if f := v.jar.withToken(true); f != nil {
		o, err := v.lookStop(f)
		if err != nil {
			v.unknown(err)
			return
		}
		page = v.stopPage(o, "")
	}
	v.crossed(p, page)
}
