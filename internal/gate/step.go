// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/ui"
	"github.com/portalgate/portalgate/providers"
)

// A program may ask one thing after the other. What it wants to see again is in
// the browser's flow, sealed, with the question: an answer to another question
// is not taken to it.

// stepAttempt is how often one attempt may be answered, and perSecret how often
// what proves an address may be typed beside it, from all networks together. That
// is counted for every address alike, and closes no other way in.
var (
	stepAttempt = limit.Rate{Count: 5, Per: time.Hour}
	perSecret   = limit.Rate{Count: 20, Per: 24 * time.Hour}
)

// maxFlow is how large a flow may become; browsers take 4096 bytes with the name.
const maxFlow = 3900

// beginProgram shows a program's first form.
func (v *visit) beginProgram(m Method) {
	if v.prefetch() { // or as a picture in another site's page: nobody sees it
		return
	}
	step, ok := v.first(m, v.back())
	if !ok {
		return
	}
	if step.State == nil {
		v.show(v.askPage(m, step.Ask, v.jar.newest(v.w), answers{back: v.back()}))
		return
	}
	f := v.jar.name(&flow{Away: m.Name, State: step.State, Ask: step.Ask, Back: v.back()})
	if !v.hold(m, f) {
		return
	}
	v.show(v.askPage(m, step.Ask, f, answers{back: f.Back}))
}

// first asks a program for its first form. It is counted before, for whoever has
// that done without end keeps the program from everybody. Where there is no form,
// that was said.
func (v *visit) first(m Method, back string) (step providers.Step, ok bool) {
	// Once to be shown and once to be answered.
	often := limit.Rate{Count: 2 * v.Limits.Requests.Count, Per: v.Limits.Requests.Per}
	d, err := v.eng.backend.Allow(v.r.Context(), []limit.Ask{{Key: v.eng.keys.limitKey("step-begin", v.network()), Rate: often}})
	if !v.allowed(m, back, d, err) {
		return step, false
	}
	step, err = m.Start(v.r.Context(), providers.Request{Language: pageLanguage})
	if err != nil || step.Ask == nil {
		v.Log.Error("a sign-in method does not begin", zap.String("method", m.Name), zap.Error(err))
		v.notNow(m, back)
		return step, false
	}
	return step, true
}

// hold gives the browser a flow that a program has written in, if it can hold
// it.
func (v *visit) hold(m Method, f *flow) bool {
	if len(f.State) > 1024 || len(sealJSON(v.eng.keys.flow, f, f.id)) > maxFlow {
		v.Log.Error("a sign-in method's form and state are too large for a cookie", zap.String("method", m.Name))
		v.notNow(m, f.Back)
		return false
	}
	if v.jar.flow(f.id) == nil {
		v.jar.add(v.w, f)
	} else {
		v.jar.setFlow(v.w, f)
	}
	return true
}

// step takes what was typed into a program's form.
func (v *visit) step(m Method, p posted) {
	var under *flow // the attempt that is under way, if one is
	if f := p.flow; f != nil && f.Away == m.Name {
		switch {
		case f.Claim != nil && p.Get("switch") == "1":
			v.finish(m, f, true)
			return
		case f.Claim != nil || f.Refusal != nil: // it was taken in before, and ours lost
			v.goOn(m, f)
			return
		case f.Ask != nil || f.Email != "":
			under = f
		}
	}
	a := answers{
		back: safeReturn(p.Get("return_to"), v.Path), fields: map[string]string{}, shared: p.Get("shared") == "1",
	}
	if p.foreign && under == nil { // for no other site's page is a program asked
		v.crossed(p, ui.Page{Body: []ui.Block{v.way(m, m.Describe().Text+".offer", ui.Main, a.back)}})
		return
	}
	ask := v.question(m, under, a.back)
	if ask == nil {
		return
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
		if !p.Has(field.Name) { // an answer to another question
			v.show(v.askPage(m, ask, p.flow, a))
			return
		}
	}
	to, typed, wrong := v.addressIn(m, p, ask, &a)
	if wrong != nil {
		v.show(*wrong)
		return
	}
	f := under
	if f == nil {
		f = v.jar.name(&flow{Away: m.Name, Back: a.back})
	}
	if f.Steps == 0 {
		f.Shared = a.shared
	}
	if typed && f.Email == "" {
		f.Email = to.String()
	}
	if typed && f.Steps == 0 && len(ask.Fields) == 1 {
		v.takeAddress(m, p.flow, f, ask.Fields[0].Name, to)
		return
	}
	if !v.countStep(m, p.flow, f, to) {
		return
	}
	if f.Email != "" {
		v.takeAlike(m, f, ask, a)
		return
	}
	v.take(m, f, ask, a)
}

// question is the form that an answer is to; nil if there is none, which was then
// said.
func (v *visit) question(m Method, under *flow, back string) *providers.Ask {
	if under == nil {
		step, _ := v.first(m, back)
		return step.Ask
	}
	ask := under.Ask
	if ask == nil {
		ask = m.Describe().AfterAddress
	}
	if ask == nil {
		v.notNow(m, back)
	}
	return ask
}

// known is the flow of a form: f, if the browser has it already.
func (v *visit) known(f *flow) *flow {
	if v.jar.flow(f.id) == nil {
		return v.jar.newest(v.w)
	}
	return f
}

// addressIn returns the address that a form has, and the page to show if it is
// none, or looks like a slip.
func (v *visit) addressIn(m Method, p posted, ask *providers.Ask, a *answers) (to address.Address, typed bool, wrong *ui.Page) {
	for _, field := range ask.Fields {
		if field.Kind != providers.Email {
			continue
		}
		if a.wrong = wrongAddress(a.fields[field.Name]); a.wrong != "" {
			a.badField = field.Name
			page := v.askPage(m, ask, p.flow, *a)
			return to, false, &page
		}
		to, _ = address.Parse(a.fields[field.Name])
		a.fields[field.Name] = to.Canonical()
		if s, ok := to.Suggestion(); ok && p.Get("confirmed") == "" && len(ask.Fields) == 1 {
			page := v.typoPage(m, p.flow, field.Name, to, s, *a)
			return to, false, &page
		}
		return to, true, nil
	}
	return to, false, nil
}

// takeAddress is the step after an address, the same for every address: the
// program's part is done when the answer has left.
func (v *visit) takeAddress(m Method, from, f *flow, field string, to address.Address) {
	ctx := v.r.Context()
	after := m.Describe().AfterAddress
	if after == nil {
		v.Log.Error("a sign-in method asks for an address and does not declare what follows", zap.String("method", m.Name))
		v.notNow(m, f.Back)
		return
	}
	onFile := true
	if v.Reveal {
		client, err := v.Clients.ByAddress(ctx, to)
		if err != nil && !errors.Is(err, directory.ErrNotFound) {
			v.unknown(err)
			return
		}
		onFile = err == nil && client.Access
	}
	k := &v.eng.keys
	d, _, err := v.countAddress(ctx, onFile, v.stepLimits(from), []limit.Ask{
		{Key: k.limitKey("step-unknown-browser", from.Browser), Rate: v.Limits.Unknown},
		{Key: k.limitKey("step-unknown-network", v.network()), Rate: unknownNetwork},
	}, v.programLimits(k, to, false))
	if !v.allowed(m, f.Back, d, err) {
		return
	}
	if !onFile {
		v.audit("address_unknown")
		v.show(v.unknownPage(to, f.Back))
		return
	}
	state := f.State
	f.Steps, f.Ask, f.State = 1, nil, nil
	if !v.hold(m, f) {
		return
	}
	v.audit("method_asked", zap.String("method", m.Name))
	v.show(v.askPage(m, after, f, answers{back: f.Back}))
	_ = http.NewResponseController(v.w).Flush() // not every writer can
	v.prepare(m, f, field, to, state)
}

// stepLimits are the limits of who answers a program.
func (v *visit) stepLimits(from *flow) []limit.Ask {
	return []limit.Ask{
		{Key: v.eng.keys.limitKey("step-browser", from.Browser), Rate: perBrowser},
		{Key: v.eng.keys.limitKey("step-network", v.network()), Rate: v.Limits.Requests},
	}
}

// countStep counts an answer before it is taken anywhere. to is the address that
// was typed beside it, if one was. Its own limit comes last: see countAddress.
func (v *visit) countStep(m Method, from, f *flow, to address.Address) bool {
	k := &v.eng.keys
	asks := v.stepLimits(from)
	if f.Steps > 0 {
		asks = append(asks, limit.Ask{Key: k.limitKey("step-attempt", f.id, string(f.Nonce)), Rate: stepAttempt})
	}
	if to != (address.Address{}) {
		asks = append(asks, limit.Ask{Key: k.limitKey("step-guesser", v.network(), to.Canonical()), Rate: perGuesser},
			secretLimit(k, to, false))
	}
	d, err := v.eng.backend.Allow(v.r.Context(), asks)
	return v.allowed(m, f.Back, d, err)
}

// allowed reports whether the limits of a program let a visit go on. If not, that
// was said.
func (v *visit) allowed(m Method, back string, d limit.Decision, err error) bool {
	switch {
	case err != nil:
		v.unknown(err)
	case !d.Allowed:
		v.audit("method_refused", zap.String("method", m.Name), zap.String("because", "limit"))
		v.wait(m, d.RetryAfter, back)
	}
	return err == nil && d.Allowed
}

// take takes an answer to a program that has asked for no address.
func (v *visit) take(m Method, f *flow, ask *providers.Ask, a answers) {
	req := m.request(a.fields, f.State, directory.Client{})
	req.Callback, req.Attempt = v.callbackURL(m), v.eng.keys.attempt(f, m.Name)
	step, claim, err := m.Continue(v.r.Context(), req)
	if denial, denied := errors.AsType[*providers.Denial](err); denied {
		v.audit("method_refused", zap.String("method", m.Name), zap.String("because", "answer"))
		a.wrong, a.badField = ui.Own(denial.Text), ask.Fields[0].Name
		for _, field := range ask.Fields {
			if field.Name == denial.Field {
				a.badField = denial.Field
			}
		}
		v.show(v.askPage(m, ask, v.known(f), a))
		return
	}
	if err != nil {
		v.Log.Error("a sign-in method does not go on", zap.String("method", m.Name), zap.Error(err))
	}
	if err != nil || !v.follow(m, f, step, claim) {
		v.notNow(m, f.Back)
	}
}

// follow does what a program says, and reports whether it can be done.
func (v *visit) follow(m Method, f *flow, step providers.Step, claim *providers.Claim) bool {
	switch {
	case claim != nil:
		return v.accept(m, f, claim)
	case step.Redirect != nil:
		to := elsewhereURL(*step.Redirect)
		if to == "" {
			break
		}
		f.State, f.Ask = step.State, nil
		f.Steps = min(f.Steps+1, 100)
		if v.hold(m, f) {
			v.sendAway(m, to)
		}
		return true
	case step.Ask != nil:
		f.State, f.Ask = step.State, step.Ask
		f.Steps = min(f.Steps+1, 100)
		if v.hold(m, f) {
			v.show(v.askPage(m, step.Ask, f, answers{back: f.Back}))
		}
		return true
	}
	v.Log.Error("a sign-in method says nothing that can be done", zap.String("method", m.Name))
	return false
}

// accept keeps who a program says that this is, and reports whether it can be
// believed.
func (v *visit) accept(m Method, f *flow, claim *providers.Claim) bool {
	c := v.believe(m, f, claim)
	if c == nil {
		return false
	}
	f.Ask = nil
	v.keep(m, f, c, nil)
	return true
}

// believe returns what is kept of who a method says that this is; nil if that
// cannot be. It takes an account with an address, and where one was typed, with
// that one.
func (v *visit) believe(m Method, f *flow, claim *providers.Claim) *claimed {
	if claim.Subject == "" || claim.Email == "" || len(claim.Subject) > 255 || len(claim.Email) > 320 {
		v.Log.Error("a sign-in method names nobody", zap.String("method", m.Name))
		return nil
	}
	if f.Email != "" {
		said, err := address.Parse(claim.Email)
		asked, _ := address.Parse(f.Email)
		if err != nil || said.Canonical() != asked.Canonical() {
			v.Log.Error("a sign-in method answers for another address than was typed", zap.String("method", m.Name))
			return nil
		}
	}
	c := &claimed{
		At: v.now.Unix(), Account: v.eng.keys.account(m.Name, claim.Subject),
		Email: claim.Email, Verified: claim.EmailVerified,
		// An address that was typed here came from no account that could have got
		// it from another owner.
		Authoritative: claim.Authoritative || f.Email != "",
	}
	if m.isProgram() { // which says no more of it than its configuration allows
		c.Ways = access.Ways(claim.AMR)
	}
	return c
}
