// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"bytes"
	"fmt"
)

// Whether the record says what the model does.
// check holds the record against the model.
func (m *model) check() {
	r := m.decode()
	m.checkSessions(r)
	if m.hurry {
		return
	}
	for i, l := range m.links {
		if i < len(m.links)-24 && l.state != Live && i%8 != m.n%8 {
			continue // long over; looked at every eighth time
		}
		_, got, past := r.Look(m.now, l.Hash)
		want := m.stateOf(l)
		switch {
		case l.state == "" && got == NoLink:
		case l.state != Live && got == NoLink && !m.remembered(l):
			m.Forgotten++
		case got != want:
			m.failf("link %d is %q, want %q", i, got, want)
		case got == Used && past.ReturnTo != "" && past.ReturnTo != l.ReturnTo:
			m.failf("link %d leads elsewhere", i)
		}
	}
	m.checkPINs(r)
	for b, used := range m.known {
		if got, want := r.Knows(m.now, b), m.now.Unix() < used+secs(knownLife); got != want {
			m.failf("Knows(%s) = %t, want %t", b, got, want)
		}
	}
	if r.WrongCodes != m.wrong {
		m.failf("%d wrong codes, want %d", r.WrongCodes, m.wrong)
	}
	for _, l := range r.Links {
		if o := m.links[m.byHash(l.Hash)]; l.Wrong != o.Wrong || l.ReturnTo != "" && l.ReturnTo != o.ReturnTo {
			m.failf("link %d: %d wrong addresses, want %d (or it leads elsewhere)", m.byHash(l.Hash), l.Wrong, o.Wrong)
		}
	}
	for i := range addresses {
		if got, want := r.BoundTo("client", addresses[i]), i == m.bound && addresses[i] != ""; got != want && m.data != nil {
			m.failf("BoundTo(address %d) = %t, want %t", i, got, want)
		}
	}
	if len(m.data) > MaxSize || len(r.Links) > 3 || len(r.Sessions) > 20 || len(r.Live(m.now, m.lt)) > 20 ||
		len(r.Known) > 10 || len(r.Past) > 16 || len(r.Events) > 12 {
		m.failf("too much: %d bytes, %d links, %d sessions, %d known, %d past, %d events",
			len(m.data), len(r.Links), len(r.Sessions), len(r.Known), len(r.Past), len(r.Events))
	}
	if !m.chance(20) {
		return
	}
	if again, expires := r.Encode(m.now); !bytes.Equal(again, m.data) || !expires.Equal(m.expires) {
		m.failf("a record changes by being stored twice:\n%s\n%s", m.data, again)
	}
}

// squeezed is how many live sessions a record holds at least before one is
// ended for want of room: beside a PIN one less than without.
const squeezed = 17

func (m *model) checkSessions(r *Record) {
	var live int
	for _, s := range m.sessions {
		if _, over := m.over(s); !over {
			live++
		}
	}
	for i, s := range m.sessions {
		got, ok := r.Session(s.hash)
		why, over := m.over(s)
		switch {
		case !ok && !over:
			// It may have been too much for the record: the oldest goes.
			if live <= squeezed {
				m.failf("session %d is gone while %d are live", i, live)
			}
			s.over, s.gone = true, true
			live--
			m.Squeezed++
		case !ok:
			s.over, s.gone = true, true // longer lifetimes later do not bring it back
		case s.gone:
			m.failf("session %d came back", i)
		case got.Over(m.now, m.lt) != why:
			m.failf("session %d is over %q, want %q", i, got.Over(m.now, m.lt), why)
		}
	}
	for _, s := range r.Live(m.now, m.lt) {
		idle, absolute := s.Ends(m.lt)
		if !m.now.Before(idle) || idle.After(absolute) {
			m.failf("a live session ends at %d, at the latest %d", idle.Unix(), absolute.Unix())
		}
	}
}

func (m *model) byHash(h Hash) int {
	for i, l := range m.links {
		if l.Hash == h {
			return i
		}
	}
	panic(fmt.Sprintf("seed %d, step %d: the record has a link that nobody made", m.seed, m.n))
}
