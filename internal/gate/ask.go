// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/ui"
	"github.com/portalgate/portalgate/providers"
)

// start shows what a method asks for first.
func (v *visit) start(m Method) {
	v.sweep()
	switch {
	case !v.ready(m, v.back()):
		return
	case m.Describe().Away:
		v.startAway(m)
		return
	case m.isProgram():
		v.beginProgram(m)
		return
	}
	ask := v.ask(m)
	if ask == nil {
		return
	}
	v.show(v.askPage(m, ask, v.jar.newest(v.w), answers{back: v.back()}))
}

// home is the method whose form is the page of choices, and to which "send a
// link" leads: the first that asks for an address alone, and if there is none,
// the nearest to it that there is.
func (c *Config) home() Method {
	return slices.MinFunc(c.Methods, func(a, b Method) int { return cmp.Compare(a.remote(), b.remote()) })
}

// linkLife is how long a link works that no method has asked for: as long as those
// that one asks for, and without such a one as those that staff send. The life of a
// PIN is none of a link.
func (c *Config) linkLife() time.Duration {
	if m := c.home(); m.remote() == 0 {
		return cmp.Or(m.Describe().Life, deskLinkLife)
	}
	return deskLinkLife
}

// Begin is the path of the page with which signing in begins.
func (c *Config) Begin() string { return c.Path + "/" + c.home().Path() }

// remote is how far a method is from being that.
func (m Method) remote() int {
	switch d := m.Describe(); {
	case d.Away:
		return 3
	case m.isProgram():
		return 2
	case d.Digits > 0:
		return 1
	}
	return 0
}

// ask returns the form a method begins with; nil if it has none to give, which
// was then said.
func (v *visit) ask(m Method) *providers.Ask {
	step, err := m.Start(v.r.Context(), providers.Request{})
	if err != nil || step.Ask == nil {
		v.Log.Error("a sign-in method does not begin", zap.String("method", m.Name), zap.Error(err))
		v.unknown(errMethod)
		return nil
	}
	return step.Ask
}

// proceed takes what was typed to the method and does what it answers.
func (v *visit) proceed(m Method) {
	p, ok := v.read()
	if !ok {
		return
	}
	if m.isProgram() {
		v.step(m, p)
		return
	}
	ask := v.ask(m)
	if ask == nil {
		return
	}
	a := answers{
		back: safeReturn(p.Get("return_to"), v.Path), fields: map[string]string{}, shared: p.Get("shared") == "1",
		switching: p.Get("switch") == "1",
	}
	for _, field := range ask.Fields {
		if !p.foreign { // what another site filled in was not typed here
			a.fields[field.Name] = p.Get(field.Name)
		}
	}
	if p.flow == nil {
		v.crossed(p, v.askPage(m, ask, v.jar.newest(v.w), a))
		return
	}
	for _, field := range ask.Fields {
		if field.Kind != providers.Email {
			continue
		}
		if a.wrong = wrongAddress(a.fields[field.Name]); a.wrong != "" {
			a.badField = field.Name
			v.show(v.askPage(m, ask, p.flow, a))
			return
		}
		typed, _ := address.Parse(a.fields[field.Name])
		if s, ok := typed.Suggestion(); ok && p.Get("confirmed") == "" && len(ask.Fields) == 1 {
			v.show(v.typoPage(m, p.flow, field.Name, typed, s, a))
			return
		}
	}
	step, _, err := m.Continue(v.r.Context(), providers.Request{Fields: a.fields})
	var denial *providers.Denial
	switch {
	case errors.As(err, &denial):
		a.wrong, a.badField = denial.Reason, cmp.Or(denial.Field, ask.Fields[0].Name)
		v.show(v.askPage(m, ask, p.flow, a))
	case err == nil && step.SendLink != nil:
		to, err := address.Parse(step.SendLink.Address)
		if err != nil {
			v.odd(http.StatusBadRequest)
			return
		}
		v.sendLink(p.flow, to, order{life: step.SendLink.Life, back: a.back, shared: a.shared, shown: to.String()})
	case err == nil && step.CheckSecret != nil:
		v.checkSecret(m, p.flow, ask, *step.CheckSecret, a)
	default:
		v.Log.Error("a sign-in method does not go on", zap.String("method", m.Name), zap.Error(err))
		v.unknown(errMethod)
	}
}

// wrongAddress returns the key of what is wrong with an address; empty if
// nothing is.
func wrongAddress(s string) string {
	switch _, err := address.Parse(s); {
	case errors.Is(err, address.ErrEmpty):
		return "email.empty"
	case errors.Is(err, address.ErrSigns):
		return "email.signs"
	case err != nil:
		return "email.shape"
	}
	return ""
}

// typoPage asks back about a domain one slip away from a well-known one, for
// every address alike, known or not.
func (v *visit) typoPage(m Method, f *flow, field string, typed, meant address.Address, a answers) ui.Page {
	hidden := func(email string) ui.Form {
		form := ui.Form{Hidden: []ui.Hidden{
			{Name: field, Value: email}, {Name: "confirmed", Value: "1"}, {Name: "return_to", Value: a.back},
		}}
		if a.shared {
			form.Hidden = append(form.Hidden, ui.Hidden{Name: "shared", Value: "1"})
		}
		return v.form(f, "/"+m.Path(), form)
	}
	yes, no := hidden(meant.String()), hidden(typed.String())
	yes.Buttons = []ui.Button{{Key: "typo.yes", Weight: ui.Main}}
	no.Buttons = []ui.Button{{Key: "typo.no", Weight: ui.Other}}
	return ui.Page{
		Title: "typo.title", Slots: ui.Slots{"typed": typed.String(), "suggestion": meant.String()},
		Body: []ui.Block{ui.Lead("typo.lead"), yes, no},
	}
}

// order is a link to be mailed.
type order struct {
	life   time.Duration
	back   string
	shared bool
	// shown is what this browser may be shown of the address.
	shown string
	// again reports that the link is asked for in place of another; stranger
	// that the browser has not shown to be the client's: it then gets no more
	// than that mail is sent.
	again, stranger bool
	// account belongs to whoever uses the link in this browser.
	account access.Subject
}

// letter is what the queue holds for one mail: nothing that signs in.
type letter struct {
	Made int64 `json:"c"`

	// Of a link:
	Address string `json:"a,omitempty"`
	Life    int64  `json:"l,omitempty"`
	Back    string `json:"r,omitempty"`
	Shared  bool   `json:"s,omitempty"`
	// Of one that staff send, to the client with Tag and nobody else:
	Invited bool   `json:"i,omitempty"`
	Words   string `json:"w,omitempty"` // the practice's own

	// Of a notice that a session was opened, a PIN made, an account linked or taken
	// away, PINs and codes turned on again, or that the address on file is another
	// (that one goes to Address):
	Tag      string      `json:"t,omitempty"`
	Session  access.Hash `json:"n,omitempty"`
	PIN      access.Hash `json:"p,omitempty"`
	Account  access.Hash `json:"u,omitempty"`
	Unlocked bool        `json:"o,omitempty"`
	Lifted   bool        `json:"f,omitempty"`
	Moved    bool        `json:"m,omitempty"`
	// Unlinked is the method whose account was taken away.
	Unlinked string `json:"k,omitempty"`
	// Left is of a Moved one to the address that was the client's and nobody else's: it
	// goes there whatever is done next. Consents is that it may go to who is off file
	// by then.
	Left     bool `json:"b,omitempty"`
	Consents bool `json:"e,omitempty"`
	// Withdrawn is of a notice, to Address, that access is.
	Withdrawn bool `json:"d,omitempty"`
}

// sendLink is the effect of a method's SendLink. In mode "conceal" it does the
// same for every address: one count, one queue item, one answer. Who is on
// file is looked up by the worker, when the answer has left.
func (v *visit) sendLink(f *flow, to address.Address, o order) {
	ctx := v.r.Context()
	onFile := true
	if v.Reveal {
		c, err := v.Clients.ByAddress(ctx, to)
		if err != nil && !errors.Is(err, directory.ErrNotFound) {
			v.unknown(err)
			return
		}
		onFile = err == nil && c.Access && c.EmailOK
	}
	d, mailbox, err := v.countAsk(ctx, f, to, onFile)
	if err != nil {
		v.unknown(err)
		return
	}
	if !d.Allowed {
		v.audit("link_refused", zap.String("because", "limit"))
		if mailbox {
			v.waitForMail(d.RetryAfter, o.back)
			return
		}
		v.wait(v.home(), d.RetryAfter, o.back)
		return
	}
	if !onFile {
		v.eng.noteAsked(ctx, v.Config, to, v.now)
		v.audit("address_unknown")
		v.show(v.unknownPage(to, o.back))
		return
	}
	item, err := v.eng.queue(ctx, v.now, to, o)
	if err != nil {
		v.unknown(err)
		return
	}
	v.audit("link_asked")
	if !o.stranger {
		v.jar.remember(v.w, &asked{
			Item: item, Life: int64(o.life / time.Second), Address: to.String(), Shown: o.shown,
			Back: o.back, Shared: o.shared, Again: o.again, Account: o.account,
		})
		to := v.Path + "/code"
		if o.again {
			to += "#"
		}
		v.redirect(to)
		return
	}
	v.redirect(v.Path + "/link?again=1#")
}

// queue puts a mail in the queue, durably, and returns the item's id, from
// which its link and code are derived.
func (e *engine) queue(ctx context.Context, now time.Time, to address.Address, o order) (id string, err error) {
	l := letter{Address: to.String(), Made: now.Unix(), Life: int64(o.life / time.Second), Shared: o.shared}
	if o.back != "/" {
		l.Back = o.back
	}
	id = itemID()
	return id, e.enqueueNow(ctx, id, l, now, now.Add(o.life))
}

// enqueueNow is enqueue for a mail that is due, and says so to the worker.
func (e *engine) enqueueNow(ctx context.Context, id string, l letter, now, expires time.Time) error {
	if err := e.enqueue(ctx, id, l, now, expires); err != nil {
		return err
	}
	select {
	case e.wake <- struct{}{}:
	default:
	}
	return nil
}

// itemID makes the id of a queue item, from which its link is derived.
func itemID() string { return base64.RawURLEncoding.EncodeToString(randomBytes(32)) }

func (e *engine) enqueue(ctx context.Context, id string, l letter, due, expires time.Time) error {
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return e.backend.Put(ctx, store.Item{ID: id, Data: data, Due: due, Expires: expires})
}

// unknownPage says, in mode "reveal", that an address is not on file.
func (v *visit) unknownPage(typed address.Address, back string) ui.Page {
	reach := "unknown.reach"
	if _, ok := v.takesPIN(); ok {
		reach = "unknown.reach.pin"
	}
	return ui.Page{
		Status: http.StatusUnprocessableEntity, Title: "unknown.title", Slots: ui.Slots{"typed": typed.String()},
		Body: []ui.Block{
			ui.Lead("unknown.lead"), ui.Text("unknown.tip"),
			ui.Link{Key: "unknown.other", Href: v.Path + "/" + v.home().Path() + returnQuery(back), Weight: ui.Main},
			ui.Text(reach),
		},
	}
}
