// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/ui"
	"github.com/portalgate/portalgate/providers"
)

// claimLife is how long it may take from coming back to being let in.
const claimLife = 10 * time.Minute

// claimed is what a method has said of whoever came back. It is kept, sealed, in
// the browser's flow, for what came back cannot be taken to the method twice.
type claimed struct {
	At            int64       `json:"t"`
	Account       access.Hash `json:"a"`
	Email         string      `json:"e"`
	Verified      bool        `json:"v,omitempty"`
	Authoritative bool        `json:"o,omitempty"`
	// Ways is how it was proved, as [access.Ways] writes it.
	Ways string `json:"w,omitempty"`
	// Asked reports that it was asked whether somebody else is to be signed out:
	// from then on it takes a press.
	Asked bool `json:"q,omitempty"`
}

// turnedDown is why an answer lets nobody in. It is kept as a claim is, to be told at
// an address that holds nothing of the answer.
type turnedDown struct {
	// Stem is that of the page's texts; empty is a page to wait at, Until then.
	Stem   string `json:"k,omitempty"`
	Status int    `json:"s,omitempty"`
	Until  int64  `json:"u,omitempty"`
	// Said is what the method says of it, if it has words of its own.
	Said string `json:"d,omitempty"`
}

// late is the query of the page about an answer that belongs to no flow.
const late = "late"

// callback is where a browser comes back to: first with an answer, which is taken
// in and leaves the address, and then with the name of the flow that has it now.
// It is always that one, for another tab may have come back as somebody else.
func (v *visit) callback(m Method) {
	if v.r.Method != http.MethodGet || v.prefetch() {
		return
	}
	switch {
	case v.original.RawQuery == late:
		v.refuse(m, 0, m.Describe().Text+".late", "/", nil)
		return
	case v.original.RawQuery != "" && !v.query.Has("flow"):
		v.takeBack(m)
		return
	}
	switch f := v.jar.flow(v.query.Get("flow")); {
	case f != nil && f.Away == m.Name && f.Claim != nil:
		v.finish(m, f, false)
	case f != nil && f.Away == m.Name && f.Refusal != nil:
		v.turnDown(m, f)
	default:
		v.redirect(v.Path + "#")
	}
}

// turnDown tells what a flow's refusal is.
func (v *visit) turnDown(m Method, f *flow) {
	if f.Refusal.Stem == "" {
		v.wait(m, max(time.Unix(f.Refusal.Until, 0).Sub(v.now), time.Second), f.Back)
		return
	}
	var more []ui.Block
	if f.Refusal.Said != "" {
		more = append(more, ui.Text(ui.Own(f.Refusal.Said)))
	}
	v.refuse(m, f.Refusal.Status, f.Refusal.Stem, f.Back, nil, more...)
}

// goOn leads from the answer to what it has become.
func (v *visit) goOn(m Method, f *flow) {
	v.redirect(v.callbackPath(m) + "?flow=" + f.id)
}

// takeBack takes an answer to the method and keeps what it makes of it. Only
// where that cannot be known the answer stays in the address, to be tried again.
func (v *visit) takeBack(m Method) {
	id, _, _ := strings.Cut(v.query.Get("state"), ".")
	f := v.jar.flow(id)
	switch {
	case f == nil || f.Away != m.Name || len(v.query["state"]) != 1 ||
		subtle.ConstantTimeCompare([]byte(v.query.Get("state")), []byte(v.eng.keys.attempt(f, m.Name))) != 1:
		v.audit("account_refused", zap.String("method", m.Name), zap.String("because", "state"))
		v.redirect(v.callbackPath(m) + "?" + late)
		return
	case f.Claim != nil || f.Refusal != nil: // it was taken in before, and ours lost
		v.goOn(m, f)
		return
	}
	// A browser that keeps its flow could have us ask the other side for ever.
	d, err := v.eng.backend.Allow(v.r.Context(), []limit.Ask{
		{Key: v.eng.keys.limitKey("away-attempt", f.id, string(f.Nonce)), Rate: awayAttempt},
		{Key: v.eng.keys.limitKey("back-network", v.network()), Rate: awayNetwork},
	})
	switch {
	case err != nil:
		v.unknown(err)
		return
	case !d.Allowed:
		v.audit("away_refused", zap.String("method", m.Name), zap.String("because", "limit"))
		v.keep(m, f, nil, &turnedDown{Until: v.now.Add(d.RetryAfter).Unix()})
		return
	}
	fields := make(map[string]string)
	for name, values := range v.query {
		if fields[name] = values[0]; len(values) > 1 {
			fields[name] = strings.Join(values, "\x00") // nothing that anybody says
		}
	}
	_, claim, err := m.Continue(v.r.Context(), providers.Request{
		Fields: fields, State: f.State, Callback: v.callbackURL(m), Attempt: v.eng.keys.attempt(f, m.Name), Language: pageLanguage,
	})
	down := &turnedDown{Stem: m.Describe().Text + ".down", Status: http.StatusServiceUnavailable}
	denial, denied := errors.AsType[*providers.Denial](err)
	switch {
	case denied:
		v.Log.Warn("a sign-in method refuses", zap.String("method", m.Name), zap.Error(err))
		no := &turnedDown{Stem: denial.Reason}
		if denial.Text != "" {
			no = &turnedDown{Stem: m.Describe().Text + ".refused", Said: denial.Text}
		}
		v.keep(m, f, nil, no)
	case err != nil || claim == nil:
		v.Log.Error("a sign-in method does not go on", zap.String("method", m.Name), zap.Error(err))
		v.keep(m, f, nil, down)
	default:
		if c := v.believe(m, f, claim); c != nil {
			v.keep(m, f, c, nil)
			return
		}
		v.keep(m, f, nil, down)
	}
}

// keep has a flow hold what became of its answer, and leads on to that.
func (v *visit) keep(m Method, f *flow, c *claimed, no *turnedDown) {
	f.State, f.Claim, f.Refusal = nil, c, no
	v.jar.setFlow(v.w, f)
	v.goOn(m, f)
}

// finish lets in the client whose account it is.
func (v *visit) finish(m Method, f *flow, switching bool) {
	ctx := v.r.Context()
	c := f.Claim
	if v.now.Unix() >= c.At+int64(claimLife/time.Second) {
		v.refuse(m, 0, m.Describe().Text+".late", f.Back, nil)
		return
	}
	to, err := address.Parse(c.Email)
	if err != nil {
		v.noMatch(m, f, "address")
		return
	}
	if !c.Verified {
		v.refused(m, f, "unproved", "unverified")
		return
	}
	client, err := v.Clients.ByAddress(ctx, to)
	switch {
	case errors.Is(err, directory.ErrNotFound) || err == nil && !client.Access:
		v.noMatch(m, f, "address")
		return
	case err != nil:
		v.unknown(err)
		return
	}
	as := access.Subject{Method: m.Name, Hash: c.Account}
	e := &entry{
		tag: v.eng.records.Tag(client.ID), client: client, bound: v.eng.records.Address(to), named: true, back: f.Back,
		in: access.Redemption{Link: access.HashOf(append([]byte("claim"), f.Nonce...)), Method: m.Name, Shared: f.Shared, Bind: as, Ways: c.Ways},
	}
	who, err := v.who()
	if err != nil {
		v.unknown(err)
		return
	}
	switch other := who.SignedIn() && who.Tag != e.tag; {
	case other && !switching:
		c.Asked = true
		v.jar.setFlow(v.w, f)
		v.show(v.switchPage(m, f))
		return
	case c.Asked && !switching: // it was declined
		v.redirect(v.Path + "#")
		return
	}
	r, err := v.eng.records.Get(ctx, e.tag)
	if err = ignoreNotFound(err); err != nil {
		v.unknown(err)
		return
	}
	if r == nil || !r.BoundTo(client.ID, e.bound) {
		r = new(access.Record) // whatever is in it counts no more
	}
	e.likely = r.Recognizes(as, c.Authoritative) == access.Live
	e.redeem = func(now time.Time, r *access.Record, in access.Redemption) (access.Session, bool, access.State, error) {
		s, fresh, state := r.EnterAs(now, in, c.Authoritative)
		if state == access.OtherAccount {
			return s, fresh, state, nil // that it was refused is written down
		}
		return s, fresh, state, store.ErrUnchanged
	}
	switch state, err := v.enter(f, e); {
	case err != nil:
		v.unknown(err)
	case state == access.Unproved && client.EmailOK:
		v.jar.endFlow(v.w, f)
		v.sendLink(v.jar.newest(v.w), to, order{
			life: v.linkLife(), back: f.Back, shared: f.Shared, shown: to.String(), account: as,
		})
	case state == access.Unproved:
		v.noMatch(m, f, "mailbox")
	case state == access.OtherAccount:
		v.tried(client.ID, "account_refused", m.Name, "account")
		v.refused(m, f, "account", "account", zap.String("client", client.ID))
	case state != access.Live:
		v.jar.endFlow(v.w, f)
		v.redirect(v.Path + "#")
	default:
		for _, other := range v.jar.flows {
			if other.Choose { // it was the right one
				other.Choose = false
				v.jar.setFlow(v.w, other)
			}
		}
		v.admit(f, e)
	}
}

// switchPage asks before somebody else is signed out.
func (v *visit) switchPage(m Method, f *flow) ui.Page {
	return ui.Page{Title: "switch.title", Slots: methodSlots(m.Describe()), Body: []ui.Block{
		ui.Lead("switch.lead"),
		v.form(f, "/"+m.Path(), ui.Form{
			Hidden:  []ui.Hidden{{Name: "switch", Value: "1"}},
			Buttons: []ui.Button{{Key: "switch.button", Weight: ui.Main}},
		}),
		ui.Link{Key: "switch.stay", Href: "/", Weight: ui.Other},
	}}
}

// refused tells why this account does not let in. The next time, the other side
// asks which account is meant.
func (v *visit) refused(m Method, f *flow, stem, because string, more ...zap.Field) {
	v.audit("account_refused", append(more, zap.String("method", m.Name), zap.String("because", because))...)
	v.jar.endFlow(v.w, f)
	v.jar.begin(v.w, &flow{Choose: true})
	text := m.Describe().Text + "." + stem
	var body []ui.Block
	if stem == "nomatch" {
		body = append(body, ui.Text(v.unlinked(text+".exact")))
	}
	v.refuse(m, http.StatusForbidden, text, f.Back, ui.Slots{"google": f.Claim.Email}, body...)
}

// noMatch is one page for an address that is not on file, has no access, or has
// a modifier: only a browser in which the client has signed in before is told
// that it is the last.
func (v *visit) noMatch(m Method, f *flow, because string) {
	stem := "nomatch"
	if v.knowsPlus(f.Claim.Email) {
		stem = "plus"
	}
	v.refused(m, f, stem, because)
}

// knowsPlus reports whether this browser is known to a client whose address is
// this mailbox plus a tag.
func (v *visit) knowsPlus(email string) bool {
	a, err := address.Parse(email)
	if err != nil {
		return false
	}
	for _, k := range v.jar.known {
		r, err := v.eng.records.Get(v.r.Context(), k.Tag)
		if err != nil || !r.Knows(v.now, v.jar.knownAs(k.Tag)) {
			continue
		}
		client, bound, err := v.eng.records.OnFile(v.r.Context(), v.Clients, r.Client)
		if err != nil || !r.BoundTo(r.Client, bound) {
			continue
		}
		on, err := address.Parse(client.Email)
		if err != nil {
			continue
		}
		local, domain, _ := strings.Cut(on.Canonical(), "@")
		if plain, _, tagged := strings.Cut(local, "+"); tagged && plain+"@"+domain == a.Canonical() {
			return true
		}
	}
	return false
}
