// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"crypto/subtle"
	"slices"
	"time"
)

// The bounds of guessing PINs (DESIGN section 6). They rest on the client and
// never on who guesses, so no number of networks gets around them.
const (
	pinTries = 10 // of one PIN
	dayTries = 20 // at one client's PINs in a day
	pinDay   = 24 * time.Hour

	// WrongPINs is how many wrong PINs in a row turn PINs off for a client, over
	// any number of PINs, until staff turn them on again (NIST SP 800-63B-4,
	// 3.2.2).
	WrongPINs = 100
)

// PINs is what a record knows of the PINs that staff gave out: the one that
// works, if any, and what was guessed. The counts belong to the client and not
// to a PIN, so that a new one starts none of them anew.
type PINs struct {
	Live *PIN `json:"p,omitempty"`
	// Row counts the wrong PINs since the last right one.
	Row int `json:"w,omitempty"`
	// Day is when the first of the Guesses of a day was made.
	Day     int64 `json:"d,omitempty"`
	Guesses int   `json:"g,omitempty"`
}

// PIN is a secret of a few digits that works once. What is kept of it is worth
// nothing without a key that is not in the store.
type PIN struct {
	ID      Hash   `json:"h"` // names it; it has nothing to do with its digits
	Salt    []byte `json:"s"`
	Check   []byte `json:"k"` // the digits, stretched with Salt and that key
	Made    int64  `json:"c"`
	Expires int64  `json:"x"`
	Tries   int    `json:"n,omitempty"`
	// Epoch is the store's when the PIN was made: see Fence.
	Epoch string `json:"o,omitempty"`
}

// Is reports whether guess, stretched for this PIN, is the PIN.
func (p PIN) Is(guess []byte) bool {
	return len(guess) > 0 && subtle.ConstantTimeCompare(p.Check, guess) == 1
}

// NoPIN is the outcome of a guess that lets nobody in, whatever the reason.
const NoPIN State = "pin.no"

// AddPIN puts a PIN in the place of the one before. The guesses that were
// counted stay counted.
func (r *Record) AddPIN(now time.Time, p PIN) {
	r.retirePIN(now, NewerAsked)
	p.Made, p.Tries, p.Epoch = now.Unix(), 0, r.epoch
	r.pins().Live = &p
	r.event(now, "pin_issued", "pin")
}

// LivePIN returns the PIN that works, if there is one. Whether it may still be
// guessed at, ReservePIN says.
func (r *Record) LivePIN(now time.Time) (PIN, bool) {
	if r.PINs == nil || r.PINs.Live == nil || now.Unix() >= r.PINs.Live.Expires {
		return PIN{}, false
	}
	return *r.PINs.Live, true
}

// UsedPIN returns the id of the PIN that this attempt has used, if its answer
// may be asked for again.
func (r *Record) UsedPIN(now time.Time, nonce Hash) (Hash, bool) {
	for _, p := range slices.Backward(r.Past) {
		if p.PIN && p.Nonce.is(nonce) && now.Unix() < p.At+secs(repeatLife) {
			return p.Hash, true
		}
	}
	return "", false
}

// ReservePIN counts a guess at the PIN with this id, and reports whether it may
// be looked at. That must be written down before anybody looks: of any number of
// guesses at once no more are looked at than of as many in turn.
func (r *Record) ReservePIN(now time.Time, id Hash) bool {
	p, ok := r.LivePIN(now)
	if !ok || !p.ID.is(id) || p.Tries >= pinTries || r.PINsClosed(now) {
		return false
	}
	c := r.PINs
	if c.newDay(now) {
		c.Day, c.Guesses = now.Unix(), 0
	}
	c.Guesses++
	c.Live.Tries++
	c.Row++
	switch {
	case r.PINsOff():
		r.event(now, "pin_off", "pin")
	case c.Live.Tries == pinTries:
		r.event(now, "pin_spent", "pin")
	}
	return true
}

// RedeemPIN uses up the PIN with the id in.Link and opens a session. It is for a
// guess that was reserved and then found to be right, and for the repetition of
// an answer that was lost; it is what Redeem is for links.
func (r *Record) RedeemPIN(now time.Time, in Redemption) (s Session, fresh bool, state State) {
	_, _, past := r.Look(now, in.Link)
	if past.PIN && past.Nonce.is(in.Nonce) && now.Unix() < past.At+secs(repeatLife) {
		if s, ok := r.Session(past.Session); ok && s.Over(now, in.Lifetimes) == "" {
			return s, false, Live
		}
		return Session{}, false, NoPIN // what ended is never made again
	}
	p, ok := r.LivePIN(now)
	if !ok || !p.ID.is(in.Link) || in.Repeat {
		return Session{}, false, NoPIN
	}
	r.PINs.Row = 0
	s = r.admit(now, in, in.Shared)
	used := r.retirePIN(now, Used)
	used.Nonce, used.Session = in.Nonce, s.Hash
	return s, true, Live
}

// retirePIN turns the PIN, if there is one, into a memory. One whose time is up
// has expired, whatever else would end it now.
func (r *Record) retirePIN(now time.Time, why State) *Past {
	if r.PINs == nil || r.PINs.Live == nil {
		return nil
	}
	p, at := r.PINs.Live, max(now.Unix(), r.PINs.Live.Made)
	if now.Unix() >= p.Expires {
		why, at = Expired, p.Expires
	}
	r.PINs.Live = nil
	r.remember(Past{Hash: p.ID, State: why, At: at, Life: p.Expires - p.Made, PIN: true})
	return &r.Past[len(r.Past)-1]
}

// StopPIN voids the PIN with this id, or whichever is live if id is empty, and
// returns what was so with it before.
func (r *Record) StopPIN(now time.Time, id Hash, why State) State {
	p, live := r.LivePIN(now)
	if !live || id != "" && !p.ID.is(id) {
		_, state, _ := r.Look(now, id)
		return state
	}
	r.retirePIN(now, why)
	r.event(now, "pin_stopped", "pin")
	return Live
}

// PINsOff reports whether too many PINs in a row were wrong. It shows to nobody
// who guesses: a right PIN is then answered like a wrong one.
func (r *Record) PINsOff() bool { return r.PINs != nil && r.PINs.Row >= WrongPINs }

// PINsClosed reports whether no PIN of this client's can be tried now: because
// they are off, or because there were too many guesses within a day. Staff are
// told, or they would read out a PIN that cannot work.
func (r *Record) PINsClosed(now time.Time) bool {
	return r.PINsOff() || r.PINs != nil && !r.PINs.newDay(now) && r.PINs.Guesses >= dayTries
}

// newDay reports whether the day is over in which guesses were counted. A clock
// that was set back does not begin another.
func (c *PINs) newDay(now time.Time) bool { return now.Unix() >= c.Day+secs(pinDay) }

// Unlock lets PINs and mail codes be tried again after too many wrong ones. It
// reports whether any were closed; otherwise it changes nothing. It is for
// staff, who know why. What was guessed at until then does not come back: there
// has to be a new PIN.
func (r *Record) Unlock(now time.Time) bool {
	if !r.PINsClosed(now) && !r.CodesOff() {
		return false
	}
	if r.PINsClosed(now) {
		r.retirePIN(now, StoppedOffice)
		r.PINs.Row, r.PINs.Guesses, r.PINs.Day = 0, 0, 0
	}
	if r.CodesOff() {
		r.WrongCodes = 0
	}
	r.event(now, "unlocked", "")
	return true
}

func (r *Record) pins() *PINs {
	if r.PINs == nil {
		r.PINs = new(PINs)
	}
	return r.PINs
}
