// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/ui"
)

// A link is opened by GET, which stores nothing, and used by POST. Its token
// leaves the URL at the first hop: it goes into a sealed cookie of this
// browser, and into the fragment, which no server sees, so that "open in
// another browser" still carries it.

// opened is a link as this browser has it before it.
type opened struct {
	flow  *flow
	tag   string
	hash  access.Hash
	state access.State
	link  access.Link
	past  access.Past
	// client is who it is for; zero unless the state is known.
	client directory.Client
	// bound is what the client's record must be bound to.
	bound access.Hash
}

// openLink is GET of a link's page.
func (v *visit) openLink() {
	if v.prefetch() {
		return
	}
	q := v.query
	if !q.Has("t") {
		v.linkPage(q)
		return
	}
	token := q.Get("t")
	if to := v.straightOn(token); to != "" {
		v.redirect(to + "#")
		return
	}
	v.carry(token, false)
	v.w.Header().Set("Referrer-Policy", "no-referrer")
	v.redirect(v.Path + "/link" + fragment(token))
}

// prefetch answers a browser that loads a page nobody has asked to see, or
// loads it as something else than a page: there is nothing to run ahead of.
func (v *visit) prefetch() bool {
	h := v.r.Header
	dest, mode := h.Get("Sec-Fetch-Dest"), h.Get("Sec-Fetch-Mode")
	if h.Get("Sec-Purpose") == "" && h.Get("Purpose") == "" && h.Get("X-Moz") == "" &&
		(dest == "" || dest == "document") && (mode == "" || mode == "navigate") {
		return false
	}
	v.w.Header().Set("Cache-Control", "no-store")
	v.w.WriteHeader(http.StatusNoContent)
	return true
}

// straightOn returns where a used link leads in the browser that is signed in
// as its client, or "". It is decided at the first hop, before there is a
// fragment that could be carried along.
func (v *visit) straightOn(token string) string {
	tag, secret, ok := session.ParseToken(token)
	if !ok {
		return ""
	}
	who, err := v.who()
	if err != nil || !who.SignedIn() || who.Tag != tag {
		return ""
	}
	r, err := v.eng.records.Get(v.r.Context(), tag)
	if err != nil {
		return ""
	}
	_, state, past := r.Look(v.now, access.HashOf(secret))
	if state != access.Used {
		return ""
	}
	return safeReturn(past.ReturnTo, v.Path)
}

// carry puts a token into a flow of this browser: the one that has it already,
// so that the attempt stays the same, or a fresh one.
func (v *visit) carry(token string, stop bool) {
	if _, _, ok := session.ParseToken(token); !ok {
		token = "damaged"
	}
	if f := v.jar.withToken(stop); f != nil && f.Token == token {
		return
	}
	v.jar.begin(v.w, &flow{Token: token, Stop: stop})
}

func fragment(token string) string {
	if _, _, ok := session.ParseToken(token); !ok {
		return "#"
	}
	return "#" + token
}

// linkPage shows the link that this browser opened last.
func (v *visit) linkPage(q map[string][]string) {
	f := v.jar.withToken(false)
	if f == nil {
		v.coldOrNoCookies("/link", q)
		return
	}
	o, err := v.look(f)
	switch {
	case err != nil:
		_ = v.unknown(err)
	case q["again"] != nil && o.client.Email != "" && o.state != access.Live:
		v.show(ui.Page{Title: "again.title", Slots: v.linkSlots(o), Body: []ui.Block{ui.Lead("again.lead")}})
	default:
		v.show(v.pageOf(o, ""))
	}
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
		ui.Link{Key: "open.cold.button", Href: v.Path + "/" + methodPath(v.Methods[0]), Weight: ui.Other},
	}}
}

// look finds out what is so with the link of a flow. It only reads.
func (v *visit) look(f *flow) (opened, error) {
	o := opened{flow: f, state: access.NoLink}
	tag, secret, ok := session.ParseToken(f.Token)
	if !ok {
		return o, nil
	}
	o.tag, o.hash = tag, access.HashOf(secret)
	r, err := v.eng.records.Get(v.r.Context(), tag)
	if errors.Is(err, store.ErrNotFound) {
		return o, nil
	}
	if err != nil {
		return o, err
	}
	if o.link, o.state, o.past = r.Look(v.now, o.hash); o.state == access.NoLink {
		return o, nil
	}
	return o, v.judge(r, &o)
}

// judge holds a link against who is on file now. A link made for another
// address, or for somebody without access, is off.
func (v *visit) judge(r *access.Record, o *opened) (err error) {
	o.client, o.bound, err = v.eng.records.OnFile(v.r.Context(), v.Clients, r.Client)
	if err == nil && !r.BoundTo(r.Client, o.bound) {
		o.state = access.StoppedOffice
		v.eng.records.Settle(r.Client, o.bound)
	}
	return err
}

// claim is what this browser has to show for a link.
type claim int

const (
	stranger claim = iota // nothing: the address is to be typed
	familiar              // the client has signed in here before: one press
	asker                 // asked for this very link: it completes by itself
)

func (v *visit) claimTo(o opened) claim {
	if v.jar.askedFor(o.hash) != nil {
		return asker
	}
	known := v.jar.knownAs(o.tag)
	if known == "" {
		return stranger
	}
	r, err := v.eng.records.Get(v.r.Context(), o.tag)
	if err != nil || !r.Knows(v.now, known) {
		return stranger
	}
	return familiar
}

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
				Href: v.Path + "/" + methodPath(v.Methods[0]) + returnQuery(safeReturn(o.link.ReturnTo, v.Path)),
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
		page.Body = append(page.Body, v.form(o.flow, "/link", form), ui.Text("open.new.code"))
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
	case access.NewerAsked, access.NewerSignedIn:
		page.Title, page.Body = "newer.title", append([]ui.Block{ui.Lead(o.state)}, again...)
	case access.StoppedClient:
		page.Title, page.Body = "stopped.title", append([]ui.Block{ui.Lead("stopped.client")}, again...)
	case access.StoppedOffice:
		page.Title, page.Body = "stopped.title", []ui.Block{ui.Lead("stopped.practice")}
	default:
		page.Title, page.Body = "nolink.title", []ui.Block{
			ui.Lead("nolink.lead"),
			ui.Link{Key: "nolink.button", Href: v.Path + "/" + methodPath(v.Methods[0]), Weight: ui.Main},
		}
	}
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

// redeem is POST of a link's page: the only thing that uses a link up.
func (v *visit) redeem() {
	if v.prefetch() {
		return
	}
	p, ok := v.read()
	switch {
	case !ok:
		return
	case p.Has("t"):
		v.receive(p, false)
		return
	case p.flow == nil || p.flow.Token == "" || p.flow.Stop:
		v.redeemCrossed(p)
		return
	}
	o, err := v.look(p.flow)
	if err != nil {
		_ = v.unknown(err)
		return
	}
	who, err := v.who()
	if err != nil {
		_ = v.unknown(err)
		return
	}
	if o.state != access.Live && o.state != access.Used {
		v.show(v.deadLinkPage(o))
		return
	}
	if who.SignedIn() && who.Tag != o.tag && p.Get("switch") != "1" {
		v.show(v.pageOf(o, ""))
		return
	}
	c := v.claimTo(o)
	if c == stranger && o.state == access.Live {
		if wrong := wrongAddress(p.Get("email")); wrong != "" {
			v.show(v.pageOf(o, wrong))
			return
		}
	}
	in := access.Redemption{
		Link: o.hash, Repeat: o.state == access.Used, Typed: c == stranger, Shared: p.Get("shared") == "1",
	}
	typed, _ := address.Parse(p.Get("email"))
	v.signIn(p.flow, o, in, v.eng.records.Address(typed))
}

// redeemCrossed answers a form that is not shown to be from a page of this
// browser's flow. Where pressing again finds the browser signed in by the
// first press, there is nothing left to do.
func (v *visit) redeemCrossed(p posted) {
	who, err := v.who()
	if err != nil {
		_ = v.unknown(err)
		return
	}
	if who.SignedIn() && !p.foreign {
		v.redirect(v.Path + "#")
		return
	}
	page := v.coldPage("/link")
	if f := v.jar.withToken(false); f != nil {
		o, err := v.look(f)
		if err != nil {
			_ = v.unknown(err)
			return
		}
		page = v.pageOf(o, "")
	}
	v.crossed(p, page)
}

// receive takes a token that a cold page's script found in the fragment. It
// never redeems.
func (v *visit) receive(p posted, stop bool) {
	to := "/link"
	if stop {
		to = "/stop"
	}
	if p.foreign {
		v.crossed(p, v.coldPage(to))
		return
	}
	v.carry(p.Get("t"), stop)
	v.redirect(v.Path + to + "?opened=1#")
}

// mismatch is what came of a typed address that is not the link's.
const mismatch access.State = "mismatch"

// signIn redeems a link for this browser, or its code, and opens the session.
// in says which link, and how the browser came by it; typed is the address
// that was typed, where one had to be. It is judged and counted in one write,
// so that many tries at once are no more than as many in turn.
func (v *visit) signIn(f *flow, o opened, in access.Redemption, typed access.Hash) {
	ctx := v.r.Context()
	secret := v.eng.keys.sessionSecret(in.Link, f.Nonce)
	in.Nonce, in.Session = access.HashOf(f.Nonce), access.HashOf(secret)
	in.Method, in.Kind, in.Lifetimes = "magic_link", browserKind(v.r.UserAgent()), v.Session
	in.Browser = v.jar.know(o.tag, f)
	who, err := v.who()
	if err != nil {
		_ = v.unknown(err)
		return
	}
	var s access.Session
	var state access.State
	var fresh bool
	err = v.eng.records.Update(ctx, o.tag, func(now time.Time, r *access.Record) error {
		if !r.BoundTo(o.client.ID, o.bound) {
			state = access.StoppedOffice
			return store.ErrUnchanged
		}
		if l, live, _ := r.Look(now, in.Link); in.Typed && live == access.Live && l.Wrong < access.WrongAddresses && typed != o.bound {
			state = mismatch
			r.WrongAddress(now, in.Link)
			o.link, _, _ = r.Look(now, in.Link)
			return nil
		}
		if s, fresh, state = r.Redeem(now, in); !fresh {
			return store.ErrUnchanged
		}
		if who.SignedIn() && who.Tag == o.tag {
			r.EndSession(now, who.Session.Hash, access.BySignOut)
		}
		return nil
	})
	switch {
	case err != nil:
		_ = v.unknown(err)
		return
	case state == access.Closed && in.Code:
		v.audit("code_refused", zap.String("client", o.client.ID), zap.String("because", "off"))
		v.wrongCode()
		return
	case state == mismatch:
		v.audit("link_wrong_address", zap.String("client", o.client.ID))
		v.show(v.pageOf(o, "open.new.wrong"))
		return
	case state == access.Closed:
		o.link.Wrong = access.WrongAddresses
		v.show(v.pageOf(o, ""))
		return
	case state != access.Live:
		v.audit("link_refused", zap.String("client", o.client.ID), zap.String("because", string(state)))
		o.state = state
		v.show(v.deadLinkPage(o))
		return
	}
	if who.SignedIn() && who.Tag != o.tag {
		// A browser is never two: whoever was signed in here is out before the
		// next one's cookie is set.
		if err := v.end(ctx, who, access.BySignOut); err != nil {
			_ = v.unknown(err)
			return
		}
	}
	if fresh {
		v.audit("signed_in", zap.String("client", o.client.ID), zap.String("method", s.Method), zap.Bool("code", in.Code))
	}
	v.admit(f, o, session.Token(o.tag, secret), s)
}

// admit gives the browser its session and sends it where it wanted to go.
func (v *visit) admit(f *flow, o opened, token string, s access.Session) {
	_, absolute := v.Session.Of(s)
	if s.Shared {
		absolute = 0 // dies with the browser
		v.jar.clear(v.w, "-known")
	} else {
		v.jar.setKnown(v.w)
	}
	v.jar.set(v.w, "", token, absolute)
	v.jar.endFlow(v.w, f)
	if a := v.jar.askedFor(o.hash); a != nil {
		v.jar.clear(v.w, "-asked-"+a.id)
	}
	back := o.link.ReturnTo
	if back == "" {
		back = o.past.ReturnTo
	}
	v.redirect(safeReturn(back, v.Path) + "#")
}

// again mails another link to the address of the link that this browser
// opened.
func (v *visit) again() {
	p, ok := v.read()
	if !ok {
		return
	}
	if p.flow == nil || p.flow.Token == "" || p.flow.Stop {
		v.redeemCrossed(p)
		return
	}
	o, err := v.look(p.flow)
	if err != nil {
		_ = v.unknown(err)
		return
	}
	to, perr := address.Parse(o.client.Email)
	if o.state == access.NoLink || o.state == access.StoppedOffice || perr != nil {
		v.show(v.deadLinkPage(o))
		return
	}
	back := o.link.ReturnTo
	if back == "" {
		back = o.past.ReturnTo
	}
	// A browser that has shown no more than the link gets a mail sent, which
	// the mailbox will see; it does not become the browser that asked. Else a
	// scanner that presses this button could use the link that comes next.
	v.sendLink(p.flow, to, order{
		life: o.life(), back: safeReturn(back, v.Path), shown: to.Masked(),
		again: true, stranger: v.claimTo(o) == stranger,
	})
}

// end ends a session in the record.
func (v *visit) end(ctx context.Context, who *session.Visitor, why access.End) error {
	return v.eng.records.Update(ctx, who.Tag, func(now time.Time, r *access.Record) error {
		if !r.EndSession(now, who.Session.Hash, why) {
			return store.ErrUnchanged
		}
		return nil
	})
}
