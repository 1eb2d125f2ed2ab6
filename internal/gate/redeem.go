// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/store"
)

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
		v.unknown(err)
		return
	}
	who, err := v.who()
	if err != nil {
		v.unknown(err)
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
		v.unknown(err)
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
			v.unknown(err)
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

// signIn redeems a link for this browser, or its code. in says which link, and
// how the browser came by it; typed is the address that was typed, where one
// had to be. It is judged and counted in one write, so that many tries at once
// are no more than as many in turn.
func (v *visit) signIn(f *flow, o opened, in access.Redemption, typed access.Hash) {
	in.Method = "magic_link"
	if a := v.jar.askedFor(o.hash); a != nil {
		in.Bind = a.Account
	}
	e := &entry{
		tag: o.tag, client: o.client, bound: o.bound, in: in, back: o.link.ReturnTo,
		likely: o.state == access.Live && (!in.Typed || typed == o.bound && o.link.Wrong < access.WrongAddresses),
		redeem: func(now time.Time, r *access.Record, in access.Redemption) (access.Session, bool, access.State, error) {
			if l, live, _ := r.Look(now, in.Link); in.Typed && live == access.Live && l.Wrong < access.WrongAddresses && typed != o.bound {
				r.WrongAddress(now, in.Link)
				r.Refused(now, "link_wrong_address", in.Method, "address")
				o.link, _, _ = r.Look(now, in.Link)
				return access.Session{}, false, mismatch, nil
			}
			s, fresh, state := r.Redeem(now, in)
			return s, fresh, state, store.ErrUnchanged
		},
	}
	if e.back == "" {
		e.back = o.past.ReturnTo
	}
	switch state, err := v.enter(f, e); {
	case err != nil:
		v.unknown(err)
	case state == access.Closed && in.Code:
		v.audit("code_refused", zap.String("client", o.client.ID), zap.String("because", "off"))
		v.tried(o.client.ID, "code_refused", in.Method, "off")
		v.wrongCode()
	case state == mismatch:
		v.audit("link_wrong_address", zap.String("client", o.client.ID))
		v.show(v.pageOf(o, "open.new.wrong"))
	case state == access.Closed:
		o.link.Wrong = access.WrongAddresses
		v.show(v.pageOf(o, ""))
	case state != access.Live:
		v.audit("link_refused", zap.String("client", o.client.ID), zap.String("because", string(state)))
		v.tried(o.client.ID, "link_refused", in.Method, string(state))
		o.state = state
		v.show(v.deadLinkPage(o))
	default:
		if a := v.jar.askedFor(o.hash); a != nil {
			v.jar.clear(v.w, "-asked-"+a.id)
		}
		v.admit(f, e)
	}
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
		v.unknown(err)
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
