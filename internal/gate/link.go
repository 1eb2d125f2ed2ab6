// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"net/http"

	"github.com/portalgate/portalgate/internal/access"
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
	// stranger is the sign-in that a stop token names, in place of a link.
	stranger access.Stranger
	// pin reports that a stop token names a PIN, in place of a link.
	pin bool
	// account is what a stop token names, in place of a link; nil if it does not.
	account *access.Subject
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
		v.unknown(err)
	case q["again"] != nil && o.client.Email != "" && o.state != access.Live:
		v.show(ui.Page{Title: "again.title", Slots: v.linkSlots(o), Body: []ui.Block{ui.Lead("again.lead")}})
	default:
		v.show(v.pageOf(o, ""))
	}
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
		if r, err = v.eng.records.Again(v.r.Context(), tag); err != nil {
			return o, ignoreNotFound(err)
		}
		if o.link, o.state, o.past = r.Look(v.now, o.hash); o.state == access.NoLink {
			return o, nil
		}
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
