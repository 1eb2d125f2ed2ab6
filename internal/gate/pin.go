// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"
	"golang.org/x/crypto/argon2"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/seal"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/ui"
	"github.com/portalgate/portalgate/providers"
)

// A guess at a PIN costs the same and is answered alike whether the address is
// on file, has a PIN, or has another one: the same is counted, read, stretched
// and written. What guessing costs the client is a rule of package access.

const (
	saltSize  = 16
	checkSize = 32
	// maxStretching is how many guesses are stretched at a time, 19 MiB each; one
	// more is kept free for staff, who wait behind nobody.
	maxStretching = 3
	// turnTime is how long a guess waits for its turn.
	turnTime = 2 * time.Second
)

// perGuesser is the one limit of guessing that shows. It is kept for a network
// and a typed address, on file or not, so that nobody locks a client out from
// elsewhere.
var perGuesser = limit.Rate{Count: 5, Per: 15 * time.Minute}

// Stretch is what it takes to try one PIN (Argon2id, RFC 9106). The zero value
// is 2 passes over 19 MiB, as OWASP's password storage sheet has it.
type Stretch struct {
	Passes, KiB uint32
}

// stretcher turns PINs into what can be kept of them.
type stretcher struct {
	pepper []byte
	cost   Stretch
	turns  chan struct{}
	desk   chan struct{}
}

func newStretcher(pepper []byte, cost Stretch) *stretcher {
	if cost == (Stretch{}) {
		cost = Stretch{Passes: 2, KiB: 19 << 10}
	}
	return &stretcher{pepper: pepper, cost: cost, turns: make(chan struct{}, maxStretching), desk: make(chan struct{}, 1)}
}

// guess is what becomes of a guess, when it has its turn. Whoever has the store,
// but not the root secret, has nothing to try PINs against.
func (s *stretcher) guess(ctx context.Context, pin string, salt []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, turnTime)
	defer cancel()
	return s.stretch(ctx, s.turns, pin, salt)
}

func (s *stretcher) stretch(ctx context.Context, turns chan struct{}, pin string, salt []byte) ([]byte, error) {
	select {
	case turns <- struct{}{}:
		defer func() { <-turns }()
	case <-ctx.Done():
		return nil, errors.Join(store.ErrUnknown, ctx.Err())
	}
	return argon2.IDKey(seal.MAC(s.pepper, pin), salt, s.cost.Passes, s.cost.KiB, 1, checkSize), nil
}

// nobodys is a PIN that is not there, of the size of any other.
func (s *stretcher) nobodys() access.PIN {
	b := seal.MAC(s.pepper, "nobody's")
	return access.PIN{ID: access.HashOf(b), Salt: b[:saltSize], Check: b[:checkSize]}
}

// checkSecret is the effect of a method's CheckSecret: it signs in by a secret
// that staff have issued.
func (v *visit) checkSecret(m Method, f *flow, ask *providers.Ask, c providers.CheckSecret, a answers) {
	ctx := v.r.Context()
	to, err := address.Parse(c.Address)
	if err != nil {
		v.odd(http.StatusBadRequest)
		return
	}
	who, err := v.who()
	if err != nil {
		v.unknown(err)
		return
	}
	if who.SignedIn() && signsInBy(who.Client).Canonical() != to.Canonical() && !a.switching {
		a.switching = true // asked before anything is tried, so that it tells nothing
		v.show(v.askPage(m, ask, f, a))
		return
	}
	d, err := v.countGuess(ctx, f, to)
	if err != nil {
		v.unknown(err)
		return
	}
	if !d.Allowed {
		v.audit("pin_refused", zap.String("because", "limit"))
		v.waitForPIN(m, d.RetryAfter, a.back)
		return
	}
	client, err := v.Clients.ByAddress(ctx, to)
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		v.unknown(err)
		return
	}
	e := &entry{
		tag: v.eng.records.Scratch(to), bound: v.eng.records.Address(to), back: a.back,
		in: access.Redemption{Method: m.Name, Shared: a.shared},
	}
	if onFile := err == nil && client.Access; onFile {
		e.tag, e.client = v.eng.records.Tag(client.ID), client
	}
	r, err := v.eng.records.Get(ctx, e.tag)
	if err = ignoreNotFound(err); err != nil {
		v.unknown(err)
		return
	}
	pin := v.eng.pins.nobodys()
	if r != nil && e.client.ID != "" && r.BoundTo(e.client.ID, e.bound) {
		if p, ok := r.LivePIN(v.now); ok {
			pin, e.in.Link = p, p.ID
		} else if id, used := r.UsedPIN(v.now, access.HashOf(f.Nonce)); used {
			e.in.Link, e.in.Repeat = id, true
		}
	}
	guess, err := v.eng.pins.guess(ctx, c.Secret, pin.Salt)
	if err != nil {
		v.unknown(err)
		return
	}
	may := e.in.Repeat
	if !may {
		if may, err = v.reserveGuess(ctx, to, e); err != nil {
			v.unknown(err)
			return
		}
	}
	// Only what was reserved is looked at. Looking at more would show: a right
	// guess goes on to the queue and to the record, and takes longer.
	if !may || !e.in.Repeat && !pin.Is(guess) {
		v.auditWrongPIN(e.client.ID)
		v.noPIN(m, f, ask, a)
		return
	}
	e.likely = !e.in.Repeat
	e.redeem = func(now time.Time, r *access.Record, in access.Redemption) (access.Session, bool, access.State, error) {
		s, fresh, state := r.RedeemPIN(now, in)
		return s, fresh, state, store.ErrUnchanged
	}
	switch state, err := v.enter(f, e); {
	case err != nil:
		v.unknown(err)
	case state != access.Live:
		v.auditWrongPIN(e.client.ID)
		v.noPIN(m, f, ask, a)
	default:
		v.admit(f, e)
	}
}

// reserveGuess counts a guess at the client's live PIN and reports whether it
// may be looked at. Where there is none, it does the same to a record that is
// nobody's. A record is written in any case.
func (v *visit) reserveGuess(ctx context.Context, to address.Address, e *entry) (may bool, err error) {
	if e.in.Link != "" {
		err = v.eng.records.Update(ctx, e.tag, func(now time.Time, r *access.Record) error {
			may = r.BoundTo(e.client.ID, e.bound) && r.ReservePIN(now, e.in.Link)
			return nil
		})
		return may, err
	}
	nobodys := v.eng.pins.nobodys()
	err = v.eng.records.Update(ctx, v.eng.records.Scratch(to), func(now time.Time, r *access.Record) error {
		*r = access.Record{} // nobody's record is always like one just begun
		r.Bind(now, "", e.bound)
		nobodys.Expires = now.Unix() + 1
		r.AddPIN(now, nobodys)
		r.ReservePIN(now, nobodys.ID)
		return nil
	})
	return false, err
}

// auditWrongPIN tells of a guess that let nobody in.
func (v *visit) auditWrongPIN(client string) {
	v.tried(client, "pin_wrong", pinMethod, "wrong")
	if client == "" {
		v.audit("pin_wrong")
		return
	}
	v.audit("pin_wrong", zap.String("client", client))
}

// noPIN is the one answer to whatever lets nobody in.
func (v *visit) noPIN(m Method, f *flow, ask *providers.Ask, a answers) {
	a.wrong, a.badField = string(access.NoPIN), ask.Fields[len(ask.Fields)-1].Name
	page := v.askPage(m, ask, f, a)
	page.Body = append(page.Body, ui.Text("pin.no.help"), ui.Text("pin.no.reach"))
	v.show(page)
}

// countGuess counts a guess before anything is looked at.
func (v *visit) countGuess(ctx context.Context, f *flow, to address.Address) (limit.Decision, error) {
	k := &v.eng.keys
	return v.eng.backend.Allow(ctx, []limit.Ask{
		{Key: k.limitKey("pin-guesser", v.network(), to.Canonical()), Rate: perGuesser},
		{Key: k.limitKey("pin-browser", f.Browser), Rate: perBrowser},
		{Key: k.limitKey("pin-network", v.network()), Rate: v.Limits.Requests},
	})
}

// waitForPIN tells a person to wait before the next try. Other ways stay open.
func (v *visit) waitForPIN(m Method, d time.Duration, back string) {
	v.pause(d, m, back, "pin.wait.other", ui.Page{Title: "pin.wait.title", Body: []ui.Block{ui.Lead("pin.wait.lead")}})
}
