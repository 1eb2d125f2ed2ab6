// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/ui"
)

const codeDigits = 8

// sent is the page of a browser that has asked for a link.
func (v *visit) sent() {
	if len(v.jar.asked) == 0 {
		v.redirect(v.Path)
		return
	}
	v.show(v.sentPage(v.jar.newest(v.w), ""))
}

// sentPage says what to do now. In mode "conceal" it is the same for every
// address. wrong is the key of what was wrong with a typed code.
func (v *visit) sentPage(f *flow, wrong string) ui.Page {
	a := v.jar.asked[0]
	page := ui.Page{Title: "sent.title", Wrong: wrong, Slots: ui.Slots{
		"typed": a.Shown, "masked": a.Shown, "life": ui.Life(time.Duration(a.Life) * time.Second),
	}}
	if wrong != "" {
		page.Status = http.StatusUnprocessableEntity
	}
	lead := ui.Lead("sent.conceal.lead")
	switch {
	case a.Again:
		page.Title, lead = "again.title", "again.lead"
	case a.Account.Hash != "":
		for _, m := range v.Methods {
			if d := m.Describe(); m.Name == a.Account.Method {
				page.Title, lead = d.Text+".once.title", ui.Lead(d.Text+".once.lead")
				page.Slots["google"], page.Slots["method"] = a.Shown, d.Label
			}
		}
	case v.Reveal:
		lead = "sent.reveal.lead"
	}
	page.Body = []ui.Block{lead}
	if v.Reveal {
		became, wait := v.became(a)
		page.Slots["wait"] = wait
		switch {
		case became == "sent.bounced" && wrong == "": // there is no email to look for
			page.Body = []ui.Block{ui.Lead(became), ui.Link{
				Key: "sent.other", Href: v.Path + "/" + v.home().Path() + returnQuery(a.Back), Weight: ui.Main,
			}}
			return page
		case became != "":
			page.Body = append(page.Body, ui.Text(became))
		}
	}
	page.Body = append(page.Body,
		ui.Steps{Numbered: true, Keys: []string{"sent.step1", "sent.step2"}},
		ui.Text("sent.life"))
	head := []ui.Block{ui.Heading("sent.code.head"), ui.Text("sent.code.lead")}
	if a.Shared {
		head = []ui.Block{ui.Text("sent.shared")}
	}
	page.Body = append(page.Body, head...)
	page.Body = append(page.Body, v.form(f, "/code", ui.Form{
		Fields: []ui.Field{{
			Name: "code", Label: "sent.code.label", Hint: "sent.code.hint", Kind: ui.CodeField, Wrong: wrong != "",
		}},
		Buttons: []ui.Button{{Key: "sent.code.button", Weight: ui.Main}},
	}))
	first := !a.Again && a.Account.Hash == "" // by an address that was typed
	if !v.Reveal && first {
		page.Body = append(page.Body, ui.Tip("sent.conceal.none"))
	}
	if first {
		repeat := ui.Form{
			Hidden: []ui.Hidden{
				{Name: "email", Value: a.Address}, {Name: "confirmed", Value: "1"}, {Name: "return_to", Value: a.Back},
			},
			Buttons: []ui.Button{{Key: "sent.again", Weight: ui.Other}},
		}
		if a.Shared {
			repeat.Hidden = append(repeat.Hidden, ui.Hidden{Name: "shared", Value: "1"})
		}
		page.Body = append(page.Body, v.form(f, "/"+v.home().Path(), repeat))
		if wait := time.Unix(a.Made, 0).Add(mailMinute.Per).Sub(v.now); wait > 0 {
			page.Body = append(page.Body, ui.Told{Key: "sent.again.wait", Slots: ui.Slots{"wait": ui.Wait(wait)}})
		}
	}
	page.Body = append(page.Body,
		ui.Link{Key: "sent.none", Href: v.Path + "/help"},
		ui.Link{Key: "sent.other", Href: v.Path + "/" + v.home().Path() + returnQuery(a.Back)})
	return page
}

// became is the key of what became of the mail that this browser asked for, and
// how long ago it was sent; empty if nobody can tell. It is for mode "reveal":
// only a client's mail becomes anything.
func (v *visit) became(a *asked) (key, wait string) {
	c, _, err := v.addressee(a)
	if err != nil || c.ID == "" {
		return "", ""
	}
	p, err := v.eng.postbag(v.r.Context(), v.eng.records.Tag(c.ID))
	if err != nil {
		return "", ""
	}
	m := p.find(messageID(a.Item))
	if m == nil {
		return "sent.now", ""
	}
	ago := v.now.Sub(time.Unix(m.At, 0))
	switch m.Fate {
	case mail.Queued:
		if ago < time.Minute {
			return "sent.now", ""
		}
		return "sent.slow", ""
	case mail.Delayed:
		return "sent.slow", ""
	case mail.Bounced, mail.Withheld:
		return "sent.bounced", ""
	}
	return "sent.ago", ui.Wait(ago)
}

// code takes the code from a mail, in the browser that asked for the mail.
// Whatever is wrong with it, for a known address and for any other, the same
// is counted, read and written, and the same said.
func (v *visit) code() {
	p, ok := v.read()
	switch {
	case !ok:
		return
	case len(v.jar.asked) == 0:
		v.redirect(v.Path)
		return
	case p.flow == nil:
		v.crossed(p, v.sentPage(v.jar.newest(v.w), ""))
		return
	}
	code := strings.NewReplacer(" ", "", "-", "", "\u00a0", "").Replace(p.Get("code"))
	if m, ok := v.takesPIN(); ok && len(code) == m.Describe().Digits && onlyDigits(code) {
		page := v.sentPage(p.flow, "code.pin")
		page.Slots["digits"] = strconv.Itoa(len(code))
		v.show(page)
		return
	}
	if len(code) != codeDigits || !onlyDigits(code) {
		v.show(v.sentPage(p.flow, "code.empty"))
		return
	}
	tried, wait, err := v.countTry(p.flow)
	switch {
	case err != nil:
		v.unknown(err)
		return
	case wait > 0:
		v.wait(v.home(), wait, v.jar.asked[0].Back)
		return
	case len(tried) == 0:
		v.show(v.sentPage(p.flow, "code.spent"))
		return
	}
	var match *asked
	for _, a := range tried {
		if subtle.ConstantTimeCompare([]byte(v.eng.keys.mailCode(a.Item)), []byte(code)) == 1 {
			match = a
		}
	}
	if match == nil {
		v.countWrongCode(tried[0])
		return
	}
	o, err := v.codeLink(match)
	if err != nil {
		v.unknown(err)
		return
	}
	switch {
	case o.state == access.NoLink:
		v.countWrongCode(match)
	case o.state != access.Live && o.state != access.Used:
		v.show(v.sentPage(p.flow, "code.old"))
	default:
		who, err := v.who()
		if err != nil {
			v.unknown(err)
			return
		}
		if who.SignedIn() && who.Tag != o.tag && p.Get("switch") != "1" {
			v.show(v.switchByCode(p.flow, code))
			return
		}
		in := access.Redemption{Link: o.hash, Repeat: o.state == access.Used, Code: true, Shared: match.Shared}
		v.signIn(p.flow, o, in, "")
	}
}

func onlyDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// switchByCode asks, where somebody else is signed in, whether they are to be
// signed out. The code was right; it is tried once more with the answer.
func (v *visit) switchByCode(f *flow, code string) ui.Page {
	return ui.Page{Title: "switch.title", Body: []ui.Block{
		ui.Lead("switch.lead"),
		v.form(f, "/code", ui.Form{
			Hidden:  []ui.Hidden{{Name: "code", Value: code}, {Name: "switch", Value: "1"}},
			Buttons: []ui.Button{{Key: "switch.button", Weight: ui.Main}},
		}),
		ui.Link{Key: "switch.stay", Href: "/", Weight: ui.Other},
	}}
}

// countTry counts one try for each link of this browser that a code could
// belong to, and returns those that still had one; or how long the browser or
// its network has to wait. Those that have none are left out before: a store may
// count the others although one refuses, and each try would cost them two.
func (v *visit) countTry(f *flow) (links []*asked, wait time.Duration, err error) {
	for links = v.jar.asked; len(links) > 0; {
		asks := v.codeLimits(f, links)[:len(links)]
		for i := range asks {
			asks[i].Peek = true
		}
		d, err := v.eng.backend.Allow(v.r.Context(), asks)
		if err != nil {
			return nil, 0, err
		}
		if d.Allowed {
			break
		}
		var left []*asked
		for i, a := range links {
			if !slices.Contains(d.Refused, i) {
				left = append(left, a)
			}
		}
		links = left
	}
	if len(links) == 0 {
		return nil, 0, nil
	}
	d, err := v.eng.backend.Allow(v.r.Context(), v.codeLimits(f, links))
	switch {
	case err != nil || d.Allowed:
		return links, 0, err
	case slices.Min(d.Refused) < len(links): // spent since, by another try
		return nil, 0, nil
	}
	return nil, d.RetryAfter, nil
}

// codeLink finds the link that a right code belongs to.
func (v *visit) codeLink(a *asked) (opened, error) {
	o := opened{state: access.NoLink}
	c, to, err := v.addressee(a)
	if err != nil || c.ID == "" {
		return o, err
	}
	tag := v.eng.records.Tag(c.ID)
	secret := v.eng.keys.linkSecret(a.Item)
	return v.look(&flow{Token: session.Token(tag, secret), Browser: to.Canonical()})
}

// addressee returns the client at the address that was asked for, if there is
// one who may sign in.
func (v *visit) addressee(a *asked) (directory.Client, address.Address, error) {
	to, err := address.Parse(a.Address)
	if err != nil {
		return directory.Client{}, to, nil
	}
	c, err := v.Clients.ByAddress(v.r.Context(), to)
	if errors.Is(err, directory.ErrNotFound) || err == nil && !c.Access {
		return directory.Client{}, to, nil
	}
	return c, to, err
}

// countWrongCode counts a wrong code for the client, or does the same work on
// a record that is nobody's, and says that it was wrong.
func (v *visit) countWrongCode(a *asked) {
	c, to, err := v.addressee(a)
	if err != nil {
		v.unknown(err)
		return
	}
	tag, bound := v.eng.records.Tag(c.ID), v.eng.records.Address(to)
	if c.ID == "" {
		tag = v.eng.records.Scratch(to)
	}
	off := false
	err = v.eng.records.Update(v.r.Context(), tag, func(now time.Time, r *access.Record) error {
		if c.ID == "" {
			*r = access.Record{} // nobody's record is always like one just begun
		}
		r.Bind(now, c.ID, bound)
		r.WrongCode(now)
		r.Refused(now, "code_wrong", "magic_link", "wrong")
		off = r.CodesOff()
		return nil
	})
	if err != nil {
		v.unknown(err)
		return
	}
	if c.ID != "" {
		v.audit("code_wrong", zap.String("client", c.ID), zap.Bool("codes_off", off))
	} else {
		v.audit("code_wrong")
	}
	v.wrongCode()
}

func (v *visit) wrongCode() {
	v.show(v.sentPage(v.jar.newest(v.w), "code.wrong"))
}
