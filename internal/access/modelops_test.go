// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"fmt"
	"strings"
	"time"
)

// The addresses that are on file in turn; the last is none.
var addresses = []Hash{HashOf([]byte("a")), HashOf([]byte("b")), ""}

func (m *model) bind(i int) Hash { m.bound = i; return addresses[i] }

func (m *model) operate() {
	switch n := m.rnd.IntN(100); {
	case n < 22:
		m.ask()
	case n < 32:
		if l := m.anyLink(); l != nil {
			m.Readded++
			m.add(l)
		}
	case n < 58:
		m.redeemAny()
	case n < 64:
		m.wrongAddresses()
	case n < 68:
		m.wrongCodes()
	case n < 71:
		m.stopLink()
	case n < 81:
		m.touch()
	case n < 86:
		m.endSession()
	case n < 87:
		[]func(){m.endAll, m.endAll, m.endSessions, m.stopMailed}[m.rnd.IntN(4)]()
	case n < 89:
		m.change()
	case n < 92:
		m.lt = lifetimes[m.rnd.IntN(len(lifetimes))]
		m.step("lifetimes", func(*Record) bool { return true })
	case n < 93: // many browsers
		m.lt, m.hurry = lifetimes[0], true
		for range m.rnd.IntN(24) {
			m.now = m.now.Add(m.between(0, 20))
			m.ask()
			l := m.links[len(m.links)-1]
			m.redeem(l, Redemption{Link: l.Hash, Nonce: m.nonce(50), Browser: m.nonce(14)})
		}
	case n < 94: // somebody who goes on asking
		m.hurry = true
		for range m.rnd.IntN(20) {
			m.now = m.now.Add(m.between(0, 20))
			m.ask()
		}
	case n < 98:
		for range []int{1, 1, 3}[m.rnd.IntN(3)] {
			m.issue()
			m.guess()
		}
	case n < 99:
		m.guessAgain()
	case m.chance(50):
		m.stopPIN()
	default:
		m.unlock()
	}
	if m.hurry || m.chance(10) {
		m.hurry = false
		m.step("nothing", func(*Record) bool { return true })
	}
}

// ask makes a link; the clock of whoever makes it is a little off.
func (m *model) ask() {
	made := m.now.Unix() + int64(m.rnd.IntN(7)-3)
	life := []time.Duration{24 * time.Hour, 24 * time.Hour, time.Hour, 5 * time.Minute, 200 * 24 * time.Hour}[m.rnd.IntN(5)]
	l := &mlink{Link: Link{
		Hash: HashOf(fmt.Appendf(nil, "link %d", len(m.links))), Made: made, Expires: made + secs(life), Shared: m.chance(20),
	}}
	if m.chance(50) {
		l.ReturnTo = "/" + strings.Repeat([]string{"a", "&", "<", `"`, "\x01"}[m.rnd.IntN(5)], m.rnd.IntN(maxReturn+50))
	}
	m.links = append(m.links, l)
	m.add(l)
}

// add is what the worker does with a queue item, for the first time or again.
func (m *model) add(l *mlink) {
	m.step("add link", func(r *Record) bool {
		before := m.stateOf(l)
		remembered := m.remembered(l)
		got := r.AddLink(m.now, l.Link)
		switch before {
		case Live, Expired:
			if got != before {
				m.failf("AddLink of a link that is %q = %q", before, got)
			}
			return false
		case "": // for the first time, or it was refused before
			l.Expires = min(l.Expires, l.Made+secs(pastLife/2))
			switch {
			case got == Live && m.now.Unix() < l.Expires:
				m.taken(l)
				return true
			case got == Expired && m.now.Unix() >= l.Expires:
			case got == NewerAsked && m.outdated(l):
			default:
				m.failf("AddLink of a new link = %q", got)
			}
		default:
			if got == Live || remembered && got != before {
				m.failf("AddLink of a link that is %q = %q", before, got)
			}
		}
		return m.chance(50)
	})
}

func (m *model) taken(l *mlink) {
	m.expireLinks()
	if live := m.live(); len(live) >= 3 {
		m.retire(live[0], NewerAsked)
	}
	// It is the newest, however long ago it was made.
	m.links = append(keep(m.links, func(o *mlink) bool { return o != l }), l)
	l.state = Live
}

// outdated reports whether the record may have forgotten a link that ended
// since l was made, and therefore cannot tell that l is not that one.
func (m *model) outdated(l *mlink) bool {
	for _, o := range m.retired {
		if o.at >= l.Made && !m.remembered(o) {
			return true
		}
	}
	return false
}

func (m *model) redeemAny() {
	l := m.anyLink()
	if l == nil {
		return
	}
	in := Redemption{
		Link: l.Hash, Nonce: m.nonce(6), Repeat: m.chance(15), Typed: m.chance(40), Code: m.chance(30),
		Shared: m.chance(20), Browser: m.nonce(14),
	}
	if m.chance(60) && l.nonce != "" {
		in.Nonce = l.nonce
	}
	if in.Code {
		in.Typed = false
	}
	m.redeem(l, in)
}

func (m *model) redeem(l *mlink, in Redemption) {
	in.Session = HashOf([]byte(in.Link + " by " + in.Nonce)) // as the gate derives it
	in.Method, in.Kind = "magic_link", strings.Repeat("Samsung Internet on Chromebook", 1+m.rnd.IntN(2))
	in.Lifetimes = m.lt
	m.step("redeem", func(r *Record) bool {
		before := m.stateOf(l)
		_, looked, _ := r.Look(m.now, l.Hash)
		s, fresh, got := r.Redeem(m.now, in)
		want := before
		switch {
		case before == Used:
			return m.repeated(l, in, looked, s, fresh, got)
		case before != Live:
			want = looked // check has held it against before
			m.Refused++
		case in.Repeat:
			want = Used
		case in.Typed && l.Wrong >= 10:
			want = Closed
			m.Closed++
		case in.Code && m.wrong >= 100:
			want = Closed
			m.CodesOff++
		}
		if got != want || fresh != (got == Live) {
			m.failf("Redeem of a link that is %q = %t, %q, want %q", before, fresh, got, want)
		}
		if got != Live {
			return false
		}
		m.opened(l, in, s)
		return true
	})
}

// opened follows a redemption.
func (m *model) opened(l *mlink, in Redemption, got Session) {
	if l.session != nil {
		m.failf("a link opened a second session")
	}
	l.state, l.nonce = Used, in.Nonce
	m.stopLinks(NewerSignedIn)
	m.retire(l, Used)
	if in.Code {
		m.wrong = 0
	}
	m.signedIn(l, in, got, in.Shared || l.Shared)
}

// signedIn follows the opening of a session.
func (m *model) signedIn(l *mlink, in Redemption, got Session, shared bool) {
	live := keep(m.sessions, func(s *msession) bool { _, over := m.over(s); return !over })
	if len(live) >= 20 {
		m.end(live[0], ByElsewhere)
		m.Crowded++
	}
	s := &msession{hash: in.Session, made: m.now.Unix(), used: m.now.Unix(), shared: shared}
	idle, absolute := m.lt.Idle, m.lt.Absolute
	if s.shared {
		idle, absolute = m.lt.SharedIdle, m.lt.SharedAbsolute
	}
	s.idle, s.dead = secs(idle), s.made+secs(absolute)
	if got.Hash != s.hash || got.Shared != s.shared || got.Made != s.made {
		m.failf("another session was opened than was asked for")
	}
	m.sessions, l.session = append(m.sessions, s), s
	if !s.shared {
		m.order = newest(append(keep(m.order, func(b Hash) bool { return b != in.Browser }), in.Browser), 10)
		was := m.known
		m.known = map[Hash]int64{}
		for b := range was {
			m.known[b] = 0
		}
		for _, b := range m.order {
			m.known[b] = was[b]
		}
		m.known[in.Browser] = m.now.Unix()
	}
	m.Opened++
}

// repeated judges the answer to who used the link before, or did not.
func (m *model) repeated(l *mlink, in Redemption, looked State, s Session, fresh bool, got State) bool {
	_, over := m.over(l.session)
	same := in.Nonce == l.nonce && !l.late && m.now.Unix() < l.at+secs(repeatLife)
	switch {
	case fresh:
		m.failf("a used link opened a second session")
	case got == Live && (!same || over || s.Hash != l.session.hash):
		m.failf("a used link answered with a session: same browser in time %t, over %t", same, over)
	case got != Live && same && !over && m.remembered(l) && !l.session.gone:
		m.failf("a lost answer was not repeated: %q", got)
	case got != Live && got != looked:
		m.failf("a used link is %q, want %q", got, looked)
	}
	if got == Live {
		m.Repeated++
	}
	return false
}

func (m *model) wrongAddresses() {
	l := m.anyLink()
	if l == nil {
		return
	}
	m.step("wrong addresses", func(r *Record) bool {
		for range []int{1, 3, 11}[m.rnd.IntN(3)] {
			closed := r.WrongAddress(m.now, l.Hash)
			live := m.stateOf(l) == Live
			if live {
				l.Wrong = min(l.Wrong+1, 10)
			}
			if closed != (live && l.Wrong == 10) {
				m.failf("WrongAddress = %t at %d", closed, l.Wrong)
			}
		}
		return true
	})
}

func (m *model) wrongCodes() {
	m.step("wrong codes", func(r *Record) bool {
		n := []int{1, 5, 60}[m.rnd.IntN(3)]
		for range n {
			r.WrongCode(m.now)
		}
		m.wrong = min(m.wrong+n, 100)
		return true
	})
}

func (m *model) stopLink() {
	l := m.anyLink()
	if l == nil {
		return
	}
	m.step("stop link", func(r *Record) bool {
		before := m.stateOf(l)
		_, looked, _ := r.Look(m.now, l.Hash)
		if got := r.StopLink(m.now, l.Hash); got != looked {
			m.failf("StopLink of a link that is %q = %q", before, got)
		}
		if before == Live {
			m.retire(l, StoppedClient)
		}
		return before == Live
	})
}

func (m *model) touch() {
	s := m.anySession()
	if s == nil {
		return
	}
	m.step("touch", func(r *Record) bool {
		grain := time.Duration(m.rnd.IntN(2)) * time.Minute
		_, over := m.over(s)
		got, want := r.Touch(m.now, s.hash, m.lt, grain), !over && m.now.Unix() >= s.used+secs(grain)
		if got != want {
			m.failf("Touch = %t, want %t (over %t)", got, want, over)
		}
		if got {
			s.used = m.now.Unix()
		}
		return got
	})
}

func (m *model) endSession() {
	s := m.anySession()
	if s == nil {
		return
	}
	m.step("end session", func(r *Record) bool {
		if got, want := r.EndSession(m.now, s.hash, BySignOut), !s.over && m.now.Unix() < min(s.dead, s.used+s.idle); got != want {
			m.failf("EndSession = %t, want %t", got, want)
		}
		m.end(s, BySignOut)
		return true
	})
}

func (m *model) endAll() {
	m.step("end all", func(r *Record) bool {
		r.EndAll(m.now, "")
		m.stop(StoppedClient, ByElsewhere)
		return true
	})
}

// endSessions is staff signing the client out.
func (m *model) endSessions() {
	m.step("end sessions", func(r *Record) bool {
		r.EndSessions(m.now, ByPractice)
		for _, s := range m.sessions {
			m.end(s, ByPractice)
		}
		return true
	})
}

// stopMailed is a client who wants no more mail.
func (m *model) stopMailed() {
	m.step("stop links", func(r *Record) bool {
		r.StopLinks(m.now)
		m.stopLinks(StoppedOffice)
		return true
	})
}

// change puts another address on file, or none, or the first one again.
func (m *model) change() {
	m.step("bind", func(r *Record) bool {
		i := m.rnd.IntN(len(addresses))
		another := i != m.bound
		r.Bind(m.now, "client", m.bind(i))
		if another {
			m.stop(StoppedOffice, ByPractice)
		}
		return true
	})
}

func (m *model) stop(link State, session End) {
	m.stopLinks(link)
	m.retirePIN(link)
	for _, s := range m.sessions {
		m.end(s, session)
	}
	for b := range m.known {
		m.known[b] = 0
	}
	m.order = nil
}
