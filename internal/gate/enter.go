// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/store"
)

// Whatever the method, a session is opened here and nowhere else: the client is
// held against who is on file, is told of a browser that was not known, and
// whoever was signed in in this browser is signed out.

// entry is somebody before the door: who they say they are, what they have to
// show, and the rule it is held against.
type entry struct {
	tag    string
	client directory.Client
	// bound is what the client's record must be bound to.
	bound access.Hash
	// in says what is redeemed, by which method and how it was come by; enter
	// adds what there is to say of this browser.
	in access.Redemption
	// back is the page to go to.
	back string
	// named reports that the directory has just named the client for the address
	// that was proved. A client who was never here before has no record yet.
	named bool
	// likely reports that a session may come of it, as far as can be told
	// beforehand: its notice is queued first.
	likely bool
	// redeem is the rule. It returns the session and Live, or why not; fresh is
	// a session just made and not the repetition of a lost answer. If nothing
	// fresh came of it, the record is written unless err is store.ErrUnchanged.
	redeem func(now time.Time, r *access.Record, in access.Redemption) (s access.Session, fresh bool, state access.State, err error)

	session access.Session // that was opened
}

// enter opens a session, unless it returns another state than Live. The browser
// does not have it until it is admitted.
func (v *visit) enter(f *flow, e *entry) (state access.State, err error) {
	if unfit := v.eng.unfit.Load(); *unfit != nil {
		return "", *unfit
	}
	who, err := v.who()
	if err != nil {
		return "", err
	}
	e.in.Nonce, e.in.Session = access.HashOf(f.Nonce), access.HashOf(v.eng.keys.sessionSecret(e.in.Link, f.Nonce))
	e.in.Kind, e.in.Lifetimes = browserKind(v.r.UserAgent()), v.Session
	e.in.Browser = v.jar.know(e.tag, f)
	// From here on it is done to the end, whether or not the browser waits for
	// it: else a notice could be queued again and again for one link.
	ctx := context.WithoutCancel(v.r.Context())
	announced := false
	if e.likely {
		if announced, err = v.announce(ctx, e.tag, e.in); err != nil {
			return "", err
		}
	}
	fresh := false
	err = v.eng.records.Update(ctx, e.tag, func(now time.Time, r *access.Record) (err error) {
		if e.named {
			r.Bind(now, e.client.ID, e.bound)
		}
		if !r.BoundTo(e.client.ID, e.bound) {
			state = access.StoppedOffice
			return store.ErrUnchanged
		}
		known := r.Knows(now, e.in.Browser)
		if e.session, fresh, state, err = e.redeem(now, r, e.in); !fresh {
			return err
		}
		if v.unannounced(e.in.Method, announced, known) {
			return store.ErrUnknown // fail closed; a repetition does it
		}
		if who.SignedIn() && who.Tag == e.tag {
			r.EndSession(now, who.Session.Hash, access.BySignOut)
		}
		return nil
	})
	if err != nil || state != access.Live {
		return state, err
	}
	if who.SignedIn() && who.Tag != e.tag {
		// A browser is never two: whoever was signed in here is out before the
		// next one's cookie is set.
		if err := v.end(ctx, who, access.BySignOut); err != nil {
			return "", err
		}
	}
	if fresh {
		v.audit("signed_in", zap.String("client", e.client.ID), zap.String("method", e.session.Method), zap.Bool("code", e.in.Code))
	}
	return access.Live, nil
}

// admit gives the browser the session that was opened and sends it where it
// wanted to go.
func (v *visit) admit(f *flow, e *entry) {
	_, absolute := v.Session.Of(e.session)
	if e.session.Shared {
		absolute = 0 // dies with the browser
		v.jar.clear(v.w, "-known")
	} else {
		v.jar.setKnown(v.w)
	}
	v.jar.set(v.w, "", session.Token(e.tag, v.eng.keys.sessionSecret(e.in.Link, f.Nonce)), absolute)
	v.jar.endFlow(v.w, f)
	for _, o := range v.jar.flows {
		if o != f && o.Claim != nil { // whoever else came back here is not who is in
			v.jar.endFlow(v.w, o)
		}
	}
	v.redirect(safeReturn(e.back, v.Path) + "#")
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
