// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/ui"
	"github.com/portalgate/portalgate/providers"
)

// A method may be a program of somebody else's. It is asked, and it may not
// answer; what it answers may be a lie, and how long it takes tells something.
//
// What a typed address brings about there is done when our own answer has left,
// and only if the address is on file. For any other the program is not called,
// and from then on all refusals are the same page at the same time, whether the
// address is on file, the program says no, says nonsense, or says nothing. So
// what proves it is asked for in one form: another one, or another place, could be
// shown to those on file alone.

// refusalSlack is how much longer than a call a refusal takes, for what the gate
// has to do beside.
const refusalSlack = 50 * time.Millisecond

// program is what a method that is one has to say beside the rest.
type program interface {
	// Available returns why it cannot be used now; nil if it can.
	Available() error
	// Ready waits until it takes calls, as long as for an answer, and returns why
	// if it does not. It then takes those of the request with this context, also if
	// it is replaced by another meanwhile.
	Ready(context.Context) error
	// Within is how long a question to it may take.
	Within() time.Duration
	// SharesPhone reports whether it is told the phone number of the client
	// whose address was typed.
	SharesPhone() bool
}

// isProgram reports whether the method is a program.
func (m Method) isProgram() bool { _, ok := m.Authenticator.(program); return ok }

// down reports that the method cannot be used now.
func (m Method) down() bool {
	p, ok := m.Authenticator.(program)
	return ok && p.Available() != nil
}

// ready reports that a method can be asked, once it has begun to run. If not,
// that was said.
func (v *visit) ready(m Method, back string) bool {
	p, ok := m.Authenticator.(program)
	if !ok {
		return true
	}
	if p.Available() == nil { // if not, that was logged when it came to be
		err := p.Ready(v.r.Context())
		if err == nil {
			return true
		}
		v.Log.Error("a sign-in method is not ready", zap.String("method", m.Name), zap.Error(err))
	}
	v.notNow(m, back)
	return false
}

// within is how long a question to a program may take.
func (m Method) within() time.Duration { return m.Authenticator.(program).Within() }

// pageLanguage is the language of every page there is.
const pageLanguage = "en"

// request is what a program is told. client is the one whose address was typed;
// the zero value if none was, or nobody has it.
func (m Method) request(fields map[string]string, state []byte, client directory.Client) providers.Request {
	req := providers.Request{Fields: fields, State: state, Language: pageLanguage}
	if m.Authenticator.(program).SharesPhone() {
		req.Phone = client.Phone
	}
	return req
}

// way leads to a method, or says that it does not now.
func (v *visit) way(m Method, key string, w ui.Weight, back string) ui.Block {
	d := m.Describe()
	switch {
	case m.down():
		return ui.Told{Key: "method.down", Slots: methodSlots(d)}
	case d.Away:
		form := v.offer(m, v.jar.newest(v.w), back, false)
		form.Buttons[0].Key, form.Buttons[0].Weight = key, w
		return form
	}
	return ui.Link{Key: key, Slots: methodSlots(d), Href: v.Path + "/" + m.Path() + returnQuery(back), Weight: w}
}

// prepared is what a program has made of an address. It waits in the store,
// because the browser had its answer before.
type prepared struct {
	// OK reports that there is a client, and that the program has done its part.
	OK    bool   `json:"o"`
	State []byte `json:"s,omitempty"`
}

// preparing is how many addresses are taken to programs at a time.
const preparing = 64

// prepareLife is how long what a program has made of an address is kept, where
// it does not say.
const prepareLife = 10 * time.Minute

// prepare takes an address to the program, if it is on file, and keeps what
// comes of it. It begins at some moment of its own: at the heels of the answer
// it would show in those that follow.
func (v *visit) prepare(m Method, f *flow, field string, to address.Address, state []byte) {
	e, c, rt := v.eng, v.Config, v.rt
	key := e.keys.preparedKey(f)
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.closed {
		return
	}
	rt.background.Go(func() {
		// Ready first: if another takes the program's place meanwhile, it still does this.
		pause := rand.N(max(1, rt.o.Pause))
		ctx, cancel := context.WithTimeout(rt.life, pause+2*m.within())
		defer cancel()
		if err := m.Authenticator.(program).Ready(ctx); err != nil {
			c.Log.Error("a sign-in method is not ready", zap.String("method", m.Name), zap.Error(err))
		}
		select {
		case <-time.After(pause):
		case <-rt.life.Done():
			return
		}
		select {
		case e.preparing <- struct{}{}:
			defer func() { <-e.preparing }()
		case <-ctx.Done():
			c.Log.Error("too much is asked of sign-in methods", zap.String("method", m.Name))
			return
		}
		p := c.prepared(ctx, m, field, to, state)
		data, err := json.Marshal(p)
		if err == nil {
			err = e.backend.Update(ctx, key, func(now time.Time, _ store.Value) (store.Value, error) {
				return store.Value{Data: data, Expires: now.Add(m.life())}, nil
			})
		}
		if err != nil {
			c.Log.Error("keeping what a sign-in method has prepared", zap.String("method", m.Name), zap.Error(err))
		}
	})
}

// life is how long what the method sends is good for, within that of a flow.
func (m Method) life() time.Duration {
	if d := m.Describe().Life; d > 0 {
		return min(d, openLife)
	}
	return prepareLife
}

// prepared calls the program if the address is on file.
func (c *Config) prepared(ctx context.Context, m Method, field string, to address.Address, state []byte) prepared {
	client, err := c.Clients.ByAddress(ctx, to)
	if err != nil || !client.Access {
		if err != nil && !errors.Is(err, directory.ErrNotFound) {
			c.Log.Error("looking up an address", zap.String("method", m.Name), zap.Error(err))
		}
		return prepared{}
	}
	step, claim, err := m.Continue(ctx, m.request(map[string]string{field: to.Canonical()}, state, client))
	switch after := m.Describe().AfterAddress; {
	case err != nil:
		c.Log.Error("a sign-in method does not go on", zap.String("method", m.Name), zap.Error(err))
	case claim != nil:
		c.Log.Error("a sign-in method asks no more than an address, and is not believed", zap.String("method", m.Name))
	case step.Ask == nil || after == nil || !reflect.DeepEqual(*step.Ask, *after):
		c.Log.Error("a sign-in method asks something else after an address than it declares, and is not believed", zap.String("method", m.Name))
	default:
		return prepared{OK: true, State: step.State}
	}
	return prepared{}
}

// wasPrepared returns what the program has made of the flow's address, and
// waits for it if need be.
func (e *engine) wasPrepared(ctx context.Context, f *flow) (p prepared, err error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		v, err := e.backend.Get(ctx, e.keys.preparedKey(f))
		if err == nil {
			return p, json.Unmarshal(v.Data, &p)
		} else if !errors.Is(err, store.ErrNotFound) {
			return p, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return p, ctx.Err()
		}
	}
}

// takeAlike takes an answer to the program if the address of the attempt is on
// file, and refuses in one way, at one time, whatever else is so.
func (v *visit) takeAlike(m Method, f *flow, ask *providers.Ask, a answers) {
	ctx := v.r.Context()
	over := time.NewTimer(m.within() + refusalSlack)
	defer over.Stop()
	if v.asked(ctx, m, f, a.fields) {
		return
	}
	select {
	case <-over.C:
	case <-ctx.Done():
	}
	v.audit("method_refused", zap.String("method", m.Name), zap.String("because", "answer"))
	a.wrong, a.badField = "plugin.no", ask.Fields[len(ask.Fields)-1].Name
	v.show(v.askPage(m, ask, v.known(f), a))
}

// asked asks the program about an attempt for an address, and reports whether it
// has said who it is, which was then shown. It may say yes or no, and nothing
// else.
func (v *visit) asked(ctx context.Context, m Method, f *flow, fields map[string]string) bool {
	ctx, cancel := context.WithTimeout(ctx, m.within())
	defer cancel()
	to, err := address.Parse(f.Email)
	if err != nil {
		return false
	}
	client, err := v.Clients.ByAddress(ctx, to)
	if err != nil || !client.Access {
		return false
	}
	state := f.State
	if f.Steps == 1 && f.Ask == nil {
		p, err := v.eng.wasPrepared(ctx, f)
		if err != nil {
			v.Log.Error("what a sign-in method has prepared", zap.String("method", m.Name), zap.Error(err))
		}
		if err != nil || !p.OK {
			return false
		}
		state = p.State
	}
	_, claim, err := m.Continue(ctx, m.request(fields, state, client))
	switch _, denied := errors.AsType[*providers.Denial](err); {
	case claim != nil && err == nil:
		return v.accept(m, f, claim)
	case err != nil && !denied:
		v.Log.Error("a sign-in method does not go on", zap.String("method", m.Name), zap.Error(err))
	case err == nil:
		v.Log.Error("a sign-in method answers for an address with neither a claim nor a denial, and is not believed", zap.String("method", m.Name))
	}
	return false
}
