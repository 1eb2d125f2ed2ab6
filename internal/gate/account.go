// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"fmt"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/ui"
)

// A client is told by mail that an account at another place now lets in, with a
// press that takes it away again.

// method returns the method with a name.
func (c *Config) method(name string) (Method, bool) {
	for _, m := range c.Methods {
		if m.Name == name {
			return m, true
		}
	}
	return Method{}, false
}

// tellAccount mails the notice that an account was linked, if there is somebody to
// tell.
func (e *engine) tellAccount(ctx context.Context, c *Config, now time.Time, it store.Item, l letter) (came, error) {
	none := came{what: "notice"}
	r, err := e.records.Get(ctx, l.Tag)
	if err = ignoreNotFound(err); err != nil {
		return none, err
	}
	var s access.Subject
	if r != nil {
		s = r.Subject(func(s access.Subject) bool { return s.Hash == l.Account })
	}
	switch {
	case s.Hash == "" && now.Unix() < l.Made+int64(noticeLate/time.Second):
		return none, errEarly
	case s.Hash == "":
		return none, nil // it was not linked after all
	}
	to, bound, err := e.records.OnFile(ctx, c.Clients, r.Client)
	if err != nil || !r.BoundTo(r.Client, bound) || !to.EmailOK {
		return none, err
	}
	m, ok := c.method(s.Method)
	if !ok {
		return none, nil // it lets nobody in
	}
	letters, err := mail.NewComposer(c.UI, c.Templates)
	if err != nil {
		return none, err
	}
	id := messageID(fmt.Sprint("account ", l.Account, s.Made)) // linked again it is told again
	told, err := letters.AccountLinked(mail.Notice{
		ID: id, To: to.Email, First: firstName(to), When: time.Unix(s.Made, 0),
		Stop: c.page("/stop", session.Token(l.Tag, e.keys.stopAccountSecret(l.Account))),
	}, m.Describe().Text, m.Describe().Label)
	if err != nil {
		return none, err
	}
	return e.post(ctx, c, parcel{tag: l.Tag, client: to.ID, withheld: r.NoMail(), mailNote: mailNote{
		ID: id, Kind: "notice", To: bound, Asked: l.Made, Until: it.Expires.Unix(),
	}}, told)
}

// stopsAccount returns the account that a stop token names, linked still or
// taken away before; nil if it names none.
func (e *engine) stopsAccount(r *access.Record, given access.Hash) *access.Subject {
	names := func(h access.Hash) bool { return access.HashOf(e.keys.stopAccountSecret(h)) == given }
	if s := r.Subject(func(s access.Subject) bool { return names(s.Hash) }); s.Hash != "" {
		return &s
	}
	for _, p := range r.Past {
		if p.State == access.StoppedClient && names(p.Hash) {
			return &access.Subject{Hash: p.Hash}
		}
	}
	return nil
}

// stopAccountPage asks whether to take an account away.
func (v *visit) stopAccountPage(o opened, wrong string) ui.Page {
	text, slots := "google", ui.Slots{"method": "Google"} // if it is gone already
	if m, ok := v.method(o.account.Method); ok {
		text, slots["method"] = m.Describe().Text, m.Describe().Label
	}
	text = "stop." + text
	if o.state != access.Live {
		return ui.Page{Title: text + ".off", Slots: slots, Body: []ui.Block{ui.Lead(text + ".done")}}
	}
	// The address is not told to whoever has no more than the stop link.
	return v.stopForm(o, wrong, ui.Page{Title: text + ".title", Slots: slots, Body: []ui.Block{ui.Lead(text + ".lead")}},
		ui.Button{Key: text + ".button", Weight: ui.Main})
}
