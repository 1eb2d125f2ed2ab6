// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/store"
)

// Staff issue PINs. A PIN is told once, to whoever issued it, and cannot be had
// again: what is kept of it checks a guess and gives nothing away.

// pinMethod is the name of the method for which staff issue PINs.
const pinMethod = "pin"

var (
	// ErrNoPIN is returned if the gate has no method that takes a PIN.
	ErrNoPIN = errors.New("this gate takes no PINs; add a line to it: sign_in pin")
	// ErrNoAccess is returned if a client has no portal access.
	ErrNoAccess = errors.New("this client has no portal access")
	// ErrNotVerified is returned if nobody says how the caller was made sure of.
	ErrNotVerified = errors.New("it does not say how the caller was made sure of, in at most 200 characters")
	// ErrLocked is returned if a PIN could not be used, because there were too
	// many wrong ones for the client: in a row, or within a day.
	ErrLocked = errors.New("PINs are off for this client after too many wrong ones; unlock the client first")
)

// maxVerified bounds PINOrder.VerifiedBy, in characters.
const maxVerified = 200

// PINOrder asks for a PIN for a client, named by id or by the address on file.
type PINOrder struct {
	Client string
	Email  string
	// By is who issues it: a staff member's id, or "operator".
	By string
	// VerifiedBy is how whoever is calling was made sure of. It goes into the
	// audit log.
	VerifiedBy string
}

// IssuedPIN is the one time that a PIN is told.
type IssuedPIN struct {
	PIN     string
	Expires time.Time
	Client  directory.Client
}

// IssuePIN makes a PIN for a client, in the place of an earlier one, and tells
// the client by mail. It returns directory.ErrNotFound if nobody on file is
// meant, ErrNoAccess, ErrNoPIN, ErrNotVerified, ErrLocked, or store.ErrUnknown.
func (rt *Runtime) IssuePIN(ctx context.Context, o PINOrder) (IssuedPIN, error) {
	if o.VerifiedBy == "" || utf8.RuneCountInString(o.VerifiedBy) > maxVerified {
		return IssuedPIN{}, ErrNotVerified
	}
	e, c, err := rt.desk(ctx)
	if err != nil {
		return IssuedPIN{}, err
	}
	m, ok := c.takesPIN()
	if !ok {
		return IssuedPIN{}, ErrNoPIN
	}
	who, err := c.find(ctx, o)
	if err != nil {
		return IssuedPIN{}, err
	}
	if !who.Access {
		return IssuedPIN{}, ErrNoAccess
	}
	at, err := address.Parse(who.Email)
	if err != nil {
		return IssuedPIN{}, fmt.Errorf("the address on file is none: %v", err)
	}
	d := m.Describe()
	pin := newPIN(d.Digits)
	made := access.PIN{ID: access.HashOf(randomBytes(16)), Salt: randomBytes(saltSize)}
	if made.Check, err = e.pins.stretch(ctx, e.pins.desk, pin, made.Salt); err != nil {
		return IssuedPIN{}, err
	}
	tag := e.records.Tag(who.ID)
	queued := rt.now()
	// The notice is queued first, and dropped if there is no such PIN: no PIN
	// works of which the client is not told.
	if who.EmailOK {
		l := letter{Made: queued.Unix(), Tag: tag, PIN: made.ID}
		if err := e.enqueue(ctx, "notice-pin-"+string(made.ID), l, queued.Add(noticeWait), queued.Add(24*time.Hour)); err != nil {
			return IssuedPIN{}, err
		}
	}
	var expires time.Time
	ctx = session.Acting(ctx, access.Cause{By: o.By, Note: o.VerifiedBy})
	err = e.records.Update(ctx, tag, func(now time.Time, r *access.Record) error {
		r.Bind(now, who.ID, e.records.Address(at))
		if r.PINsClosed(now) {
			return ErrLocked
		}
		if rt.now().Sub(queued) > noticeWait-time.Second {
			return store.ErrUnknown // the notice may be given up already: fail closed
		}
		expires = now.Add(d.Life)
		made.Expires = expires.Unix()
		r.AddPIN(now, made)
		return nil
	})
	if err != nil {
		return IssuedPIN{}, err
	}
	rt.audit(c, "pin_issued", zap.String("client", who.ID), zap.String("by", o.By), zap.String("verified_by", o.VerifiedBy))
	return IssuedPIN{PIN: pin, Expires: expires, Client: who}, nil
}

// VoidPIN voids a client's PIN. It is nil if there is none.
func (rt *Runtime) VoidPIN(ctx context.Context, client, by string) error {
	return rt.change(ctx, client, "pin_voided", by, func(now time.Time, r *access.Record) bool {
		return r.StopPIN(now, "", access.StoppedOffice) == access.Live
	})
}

// Unlock lets a client use PINs and mail codes again that too many wrong ones
// have turned off, has mail sent again that was held back after a complaint, and
// lifts the wait of a client who has asked for too many links, or whose address was
// typed too often for a program. Of the first and the last the client is told by
// mail. It is nil if there was nothing of the kind.
func (rt *Runtime) Unlock(ctx context.Context, client, by string) error {
	opened := false
	err := rt.change(ctx, client, "unlocked", by, func(now time.Time, r *access.Record) bool {
		resumed := r.ResumeMail(now)
		opened = r.Unlock(now)
		return opened || resumed
	})
	if err == nil && opened {
		rt.tellHelped(ctx, client, letter{Unlocked: true})
	}
	if err != nil {
		return err
	}
	return rt.liftWait(ctx, client, by)
}

// liftWait forgets how many links a client has asked for, and how often somebody
// has typed the address for a program, if that was too often.
func (rt *Runtime) liftWait(ctx context.Context, client, by string) error {
	e, c, err := rt.desk(ctx)
	if err != nil {
		return err
	}
	who, err := c.Clients.ByID(ctx, client)
	if err != nil {
		return err
	}
	to, err := address.Parse(who.Email)
	if err != nil {
		return nil // nobody can have asked for any
	}
	limits := slices.Concat(c.mailLimits(&e.keys, to, true), c.programLimits(&e.keys, to, true),
		[]limit.Ask{secretLimit(&e.keys, to, true)})
	d, err := e.backend.Allow(ctx, limits)
	if err != nil || d.Allowed {
		return err
	}
	var counted []string
	for _, a := range limits {
		counted = append(counted, a.Key)
	}
	if err := e.backend.Forget(ctx, counted...); err != nil {
		return err
	}
	rt.done(ctx, e, c, "wait_lifted", client, by)
	if slices.ContainsFunc(d.Refused, func(i int) bool { return limits[i].Rate != mailMinute }) { // a minute is over before it is told
		rt.tellHelped(ctx, client, letter{Lifted: true})
	}
	return nil
}

// Unlink takes away the accounts at other places, Google's or another's, that
// belong to a client, and ends what they have opened. The next one that bears the
// address is linked in their place. The client is told by mail. It is nil if there
// is none.
func (rt *Runtime) Unlink(ctx context.Context, client, by string) error {
	var gone []string
	err := rt.change(ctx, client, "account_unlinked", by, func(now time.Time, r *access.Record) bool {
		gone = nil
		for _, s := range r.Subjects {
			if r.Unlink(now, s.Hash) {
				gone = append(gone, s.Method)
			}
		}
		return len(gone) > 0
	})
	if err != nil {
		return err
	}
	for _, method := range gone {
		rt.tellHelped(ctx, client, letter{Unlinked: method})
	}
	return nil
}

// change changes the record of a client on file, and notes who did it if do
// reports that it did anything.
func (rt *Runtime) change(ctx context.Context, client, what, by string, do func(time.Time, *access.Record) bool) error {
	e, c, err := rt.desk(ctx)
	if err != nil {
		return err
	}
	who, err := c.Clients.ByID(ctx, client)
	if err != nil {
		return err
	}
	changed := false
	ctx = session.Acting(ctx, access.Cause{By: by})
	err = e.records.Update(ctx, e.records.Tag(who.ID), func(now time.Time, r *access.Record) error {
		if changed = do(now, r); !changed {
			return store.ErrUnchanged
		}
		return nil
	})
	if err == nil && changed {
		rt.audit(c, what, zap.String("client", who.ID), zap.String("by", by))
	}
	return err
}

// desk is what staff work with: an open store that is fit for it, and the
// configuration.
func (rt *Runtime) desk(ctx context.Context) (*engine, *Config, error) {
	c := rt.conf.Load()
	if c == nil {
		return nil, nil, errClosed
	}
	e, err := rt.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	if unfit := e.unfit.Load(); *unfit != nil {
		return nil, nil, *unfit
	}
	return e, c, nil
}

// takesPIN returns the method that takes the PINs of staff.
func (c *Config) takesPIN() (Method, bool) {
	for _, m := range c.Methods {
		if m.Describe().Digits > 0 {
			return m, true
		}
	}
	return Method{}, false
}

// find returns the client who is meant.
func (c *Config) find(ctx context.Context, o PINOrder) (directory.Client, error) {
	if o.Client != "" {
		return c.Clients.ByID(ctx, o.Client)
	}
	a, err := address.Parse(o.Email)
	if err != nil {
		return directory.Client{}, directory.ErrNotFound
	}
	return c.Clients.ByAddress(ctx, a)
}

// newPIN draws a PIN; each is as likely as any other.
func newPIN(digits int) string {
	max := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
	n, err := rand.Int(rand.Reader, max)
	if err != nil {
		panic("gate: " + err.Error()) // crypto/rand does not fail
	}
	return fmt.Sprintf("%0*d", digits, n)
}

// tellPIN mails the notice that a PIN was made, if there is somebody to tell.
func (e *engine) tellPIN(ctx context.Context, c *Config, now time.Time, it store.Item, l letter) (came, error) {
	none := came{what: "notice"}
	r, err := e.records.Again(ctx, l.Tag)
	if err = ignoreNotFound(err); err != nil {
		return none, err
	}
	if r == nil {
		r = new(access.Record)
	}
	pin, live := r.LivePIN(time.Unix(l.Made, 0))
	if _, _, past := r.Look(time.Unix(l.Made, 0), l.PIN); past.PIN {
		pin, live = access.PIN{ID: l.PIN, Made: l.Made, Expires: l.Made + past.Life}, true
	}
	switch made := live && pin.ID == l.PIN; {
	case !made && now.Unix() < l.Made+int64(noticeLate/time.Second):
		return none, errEarly // this may be a copy from before
	case !made:
		return none, nil // it was not made after all
	}
	to, bound, err := e.records.OnFile(ctx, c.Clients, r.Client)
	if err != nil || !r.BoundTo(r.Client, bound) || !to.EmailOK {
		return none, err
	}
	letters, err := mail.NewComposer(c.UI, c.Templates)
	if err != nil {
		return none, err
	}
	id := messageID("pin " + string(l.PIN))
	m, err := letters.PINIssued(mail.Notice{
		ID: id, To: to.Email, First: firstName(to), When: time.Unix(pin.Made, 0),
		Stop: c.page("/stop", session.Token(l.Tag, e.keys.stopPINSecret(l.PIN))),
	}, time.Duration(pin.Expires-pin.Made)*time.Second)
	if err != nil {
		return none, err
	}
	return e.post(ctx, c, parcel{tag: l.Tag, client: to.ID, withheld: r.NoMail(), mailNote: mailNote{
		ID: id, Kind: "notice", To: bound, Asked: l.Made, Until: it.Expires.Unix(),
	}}, m)
}
