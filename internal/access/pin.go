// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"crypto/subtle"
	"time"
)

// The bounds of guessing PINs (DESIGN section 6). They rest on the client and
// never on who guesses, so no number of networks gets around them.
const (
	pinTries = 10 // of one PIN; the last one voids it
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
	r.event(now, "pin_made", "pin")
}

// LivePIN returns the PIN that works, if there is one. A client whose PINs are
// off has none.
func (r *Record) LivePIN(now time.Time) (PIN, bool) {
	if r.PINs == nil || r.PINs.Live == nil || now.Unix() >= r.PINs.Live.Expires || r.PINsOff() {
		return PIN{}, false
	}
	return *r.PINs.Live, true
}

// UsedPIN returns the id of the PIN that this attempt has used, if its answer
// may be asked for again.
func (r *Record) UsedPIN(now time.Time, nonce Hash) (Hash, bool) {
	for _, p := range r.Past {
		if p.PIN && p.Nonce.is(nonce) && now.Unix() < p.At+secs(repeatLife) {
			return p.Hash, true
		}
	}
	return "", false
}

// TryPIN holds a guess against the live PIN and opens a session if it is right.
// in.Link is the id of the PIN that the guess was stretched for, and guess what
// came of that. It counts first and looks then, all in one write: of any number
// of guesses at once no more are looked at than of as many in turn. counted
// reports that the record has changed.
func (r *Record) TryPIN(now time.Time, in Redemption, guess []byte) (s Session, fresh, counted bool, state State) {
	if id, used := r.UsedPIN(now, in.Nonce); used && id.is(in.Link) {
		_, _, past := r.Look(now, id)
		if s, ok := r.Session(past.Session); ok && s.Over(now, in.Lifetimes) == "" {
			return s, false, false, Live
		}
		return Session{}, false, false, NoPIN // what ended is never made again
	}
	p, ok := r.LivePIN(now)
	if !ok || !p.ID.is(in.Link) {
		return Session{}, false, false, NoPIN
	}
	c := r.PINs
	if now.Unix() >= c.Day+secs(pinDay) || now.Unix() < c.Day {
		c.Day, c.Guesses = now.Unix(), 0
	}
	if c.Guesses >= dayTries {
		return Session{}, false, false, NoPIN
	}
	c.Guesses++
	c.Row++
	c.Live.Tries++
	right := p.Is(guess)
	switch {
	case right:
		c.Row = 0
		s = r.admit(now, in, in.Shared)
		past := r.retirePIN(now, Used)
		past.Nonce, past.Session = in.Nonce, s.Hash
		return s, true, true, Live
	case r.PINsOff():
		r.retirePIN(now, StoppedOffice)
		r.event(now, "pin_off", "pin")
	case c.Live.Tries >= pinTries:
		r.retirePIN(now, StoppedOffice)
		r.event(now, "pin_spent", "pin")
	}
	return Session{}, false, true, NoPIN
}

// retirePIN turns the live PIN, if there is one, into a memory.
func (r *Record) retirePIN(now time.Time, why State) *Past {
	if r.PINs == nil || r.PINs.Live == nil {
		return nil
	}
	p := r.PINs.Live
	r.PINs.Live = nil
	r.remember(Past{Hash: p.ID, State: why, At: max(now.Unix(), p.Made), Life: p.Expires - p.Made, PIN: true})
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

// Unlock lets PINs and mail codes be tried again after too many wrong ones. It
// reports whether anything was off. It is for staff, who know why.
func (r *Record) Unlock(now time.Time) bool {
	off := r.PINsOff() || r.CodesOff()
	r.WrongCodes = 0
	if r.PINs != nil {
		r.PINs.Row, r.PINs.Guesses, r.PINs.Day = 0, 0, 0
	}
	if off {
		r.event(now, "unlocked", "")
	}
	return off
}

func (r *Record) pins() *PINs {
	if r.PINs == nil {
		r.PINs = new(PINs)
	}
	return r.PINs
}
