// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"fmt"
	"time"
)

// mpins is what the model tells of PINs. A PIN that is over is a memory like
// that of a link, and takes its room.
type mpins struct {
	pin                         *mlink // the live one, if any
	old                         []*mlink
	tries, row, guesses, issued int
	day                         int64
}

// retirePIN ends the live PIN, if there is one.
func (m *model) retirePIN(why State) {
	p := m.pin
	if p == nil {
		return
	}
	m.pin, m.old = nil, append(m.old, p)
	if m.retire(p, why); m.now.Unix() >= p.Expires {
		p.state, p.at = Expired, p.Expires
	}
}

func (m *model) issue() {
	m.issued++
	m.step("issue", func(r *Record) bool {
		p := &mlink{Link: Link{
			Hash: HashOf(fmt.Appendf(nil, "pin %d", m.issued)), Made: m.now.Unix(),
			Expires: m.now.Unix() + secs([]time.Duration{24 * time.Hour, 5 * time.Minute}[m.rnd.IntN(2)]),
		}, state: Live}
		r.AddPIN(m.now, PIN{ID: p.Hash, Salt: make([]byte, 16), Check: make([]byte, 32), Expires: p.Expires})
		m.retirePIN(NewerAsked)
		m.pin, m.tries = p, 0
		return true
	})
}

// someID is mostly that of the live PIN.
func (m *model) someID() Hash {
	switch {
	case m.pin != nil && m.chance(80):
		return m.pin.Hash
	case len(m.old) > 0:
		return m.old[m.rnd.IntN(len(m.old))].Hash
	}
	return HashOf([]byte("no pin"))
}

// closed reports whether the client's own budgets allow no guess.
func (m *model) closed() bool {
	return m.row >= 100 || m.now.Unix() < m.day+86400 && m.guesses >= 20
}

// guess guesses some times; the last guess may be right.
func (m *model) guess() {
	right := m.chance(30)
	m.step("guess", func(r *Record) bool {
		id, reserved := m.someID(), false
		for range []int{1, 3, 12}[m.rnd.IntN(3)] {
			live := m.pin != nil && m.now.Unix() < m.pin.Expires && m.pin.Hash == id
			want := live && m.tries < 10 && !m.closed()
			if reserved = r.ReservePIN(m.now, id); reserved != want {
				m.failf("ReservePIN = %t, want %t: %d tries, %d in a row, %d since %d", reserved, want, m.tries, m.row, m.guesses, m.day)
			}
			switch {
			case want:
				if m.now.Unix() >= m.day+86400 {
					m.day, m.guesses = m.now.Unix(), 0
				}
				m.tries, m.row, m.guesses = m.tries+1, m.row+1, m.guesses+1
				m.Guessed++
			case live && m.tries >= 10:
				m.Spent++
			case live:
				m.PINsClosed++
			}
		}
		if right = right && reserved; right {
			m.redeemPIN(r)
		}
		return true
	})
	if right && m.chance(50) {
		m.guessAgain()
	}
}

func (m *model) redeemPIN(r *Record) {
	p := m.pin
	in := Redemption{Link: p.Hash, Nonce: m.nonce(6), Browser: m.nonce(14), Shared: m.chance(20), Method: "pin", Kind: "Firefox on Linux", Lifetimes: m.lt}
	in.Session = HashOf([]byte(in.Link + " by " + in.Nonce))
	s, fresh, state := r.RedeemPIN(m.now, in)
	if !fresh || state != Live {
		m.failf("a right guess that was reserved = %t, %q", fresh, state)
		return
	}
	p.nonce, m.row = in.Nonce, 0
	m.retirePIN(Used)
	m.signedIn(p, in, s, in.Shared)
}

// guessAgain asks again for the answer that was lost, or tries to use a PIN that
// is over.
func (m *model) guessAgain() {
	if len(m.old) == 0 {
		return
	}
	p := m.old[len(m.old)-1-m.rnd.IntN(min(2, len(m.old)))]
	in := Redemption{Link: p.Hash, Nonce: m.nonce(6), Session: "another", Lifetimes: m.lt}
	if p.nonce != "" && m.chance(70) {
		in.Nonce = p.nonce
	}
	m.step("guess again", func(r *Record) bool {
		s, fresh, state := r.RedeemPIN(m.now, in)
		if fresh {
			m.failf("a PIN that is %q opened a session", p.state)
		}
		same := p.state == Used && in.Nonce == p.nonce && !p.late && m.now.Unix() < p.at+600
		over := true
		if p.session != nil {
			_, over = m.over(p.session)
		}
		switch {
		case state == Live && (!same || over || s.Hash != p.session.hash):
			m.failf("a used PIN answered with a session: same browser in time %t, over %t", same, over)
		case state != Live && same && !over && m.remembered(p) && !p.session.gone:
			m.failf("a lost answer was not repeated: %q", state)
		case state == Live:
			m.Again++
		}
		return false
	})
}

func (m *model) stopPIN() {
	m.step("stop PIN", func(r *Record) bool {
		id := m.someID()
		live := m.pin != nil && m.now.Unix() < m.pin.Expires && m.pin.Hash == id
		if got := r.StopPIN(m.now, id, StoppedClient); (got == Live) != live {
			m.failf("StopPIN = %q, want it live %t", got, live)
		}
		if live {
			m.retirePIN(StoppedClient)
		}
		return live
	})
}

func (m *model) unlock() {
	m.step("unlock", func(r *Record) bool {
		closed, off := m.closed(), m.wrong >= 100
		if got := r.Unlock(m.now); got != (closed || off) {
			m.failf("Unlock = %t, want %t", got, closed || off)
		}
		if closed {
			m.retirePIN(StoppedOffice)
			m.row, m.guesses, m.day = 0, 0, 0
		}
		if off {
			m.wrong = 0
		}
		return closed || off
	})
}

// checkPINs holds what the record knows of PINs against the model.
func (m *model) checkPINs(r *Record) {
	p, live := r.LivePIN(m.now)
	if want := m.pin != nil && m.now.Unix() < m.pin.Expires; live != want || live && (p.ID != m.pin.Hash || p.Tries != m.tries) {
		m.failf("LivePIN = %t with %d tries, want %t with %d", live, p.Tries, want, m.tries)
	}
	var c PINs
	if r.PINs != nil {
		c = *r.PINs
	}
	if c.Row != m.row || m.now.Unix() < m.day+86400 && (c.Day != m.day || c.Guesses != m.guesses) {
		m.failf("%d in a row and %d since %d, want %d and %d since %d", c.Row, c.Guesses, c.Day, m.row, m.guesses, m.day)
	}
	for i, p := range m.old {
		_, got, past := r.Look(m.now, p.Hash)
		switch {
		case got == NoLink && !m.remembered(p):
		case got != p.state || !past.PIN:
			m.failf("PIN %d is %q, want %q", i, got, p.state)
		}
	}
}
