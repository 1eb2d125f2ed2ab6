// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/session"
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
	if unfit := v.eng.unfit.Load(); *unfit != nil {
		v.unknown(*unfit)
		return
	}
	who, err := v.who()
	if err != nil {
		v.unknown(err)
		return
	}
	// From here on it is done to the end, whether or not the browser waits for
	// it: else a notice could be queued again and again for one link.
	ctx = context.WithoutCancel(ctx)
	announced := false
	if o.state == access.Live && (!in.Typed || typed == o.bound && o.link.Wrong < access.WrongAddresses) {
		if announced, err = v.announce(ctx, o.tag, in); err != nil {
			v.unknown(err)
			return
		}
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
		known := r.Knows(now, in.Browser)
		if s, fresh, state = r.Redeem(now, in); !fresh {
			return store.ErrUnchanged
		}
		if v.unannounced(announced, known) {
			return store.ErrUnknown // fail closed; a repetition does it
		}
		if who.SignedIn() && who.Tag == o.tag {
			r.EndSession(now, who.Session.Hash, access.BySignOut)
		}
		return nil
	})
	switch {
	case err != nil:
		v.unknown(err)
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
			v.unknown(err)
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

// end ends a session in the record.
func (v *visit) end(ctx context.Context, who *session.Visitor, why access.End) error {
	return v.eng.records.Update(ctx, who.Tag, func(now time.Time, r *access.Record) error {
		if !r.EndSession(now, who.Session.Hash, why) {
			return store.ErrUnchanged
		}
		return nil
	})
}
