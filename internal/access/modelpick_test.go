// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"fmt"
	"time"
)

// What a sequence does and when, by chance.

// chance reports true in n of 100 cases.
func (m *model) chance(n int) bool { return m.rnd.IntN(100) < n }

// between is a time between two seconds from now, with a fraction.
func (m *model) between(from, to int) time.Duration {
	return time.Duration(from+m.rnd.IntN(to-from+1))*time.Second + time.Duration(m.rnd.IntN(1e9))
}

// pass lets time pass: mostly little, sometimes a step back, sometimes days,
// sometimes to the second at which something ends.
func (m *model) pass() {
	switch n := m.rnd.IntN(100); {
	case n < 50:
		m.now = m.now.Add(m.between(0, 60))
	case n < 65:
		m.now = m.now.Add(-m.between(0, 5))
	case n < 80:
		m.now = m.now.Add(m.between(60, 3*3600))
	case n < 84:
		m.now = m.now.Add(m.between(3600, 3*86400))
	case n < 85:
		m.now = m.now.Add(m.between(86400, 100*86400))
	default:
		m.now = time.Unix(m.boundary()+int64(m.rnd.IntN(3)-1), 0)
	}
}

// boundary is a time, not far back, at which something ends.
func (m *model) boundary() int64 {
	at := m.now.Unix()
	if m.pin != nil && m.chance(20) {
		at = []int64{m.pin.Expires, m.day + secs(pinDay)}[m.rnd.IntN(2)]
	} else if l := m.anyLink(); l != nil && m.chance(50) {
		at = l.Expires
		if l.state == Used {
			at = l.at + secs(repeatLife)
		}
	} else if s := m.anySession(); s != nil {
		at = []int64{s.dead, s.used + s.idle, s.used + 60, s.used + secs(m.lt.Idle)}[m.rnd.IntN(4)]
	}
	if at < m.now.Unix()-5 {
		return m.now.Unix()
	}
	return at
}

// anyLink is one there was, more likely a late one.
func (m *model) anyLink() *mlink {
	if len(m.links) == 0 {
		return nil
	}
	from := 0
	if m.chance(75) {
		from = max(0, len(m.links)-4)
	}
	return m.links[from+m.rnd.IntN(len(m.links)-from)]
}

func (m *model) anySession() *msession {
	if len(m.sessions) == 0 {
		return nil
	}
	from := 0
	if m.chance(75) {
		from = max(0, len(m.sessions)-4)
	}
	return m.sessions[from+m.rnd.IntN(len(m.sessions)-from)]
}

// nonce is one of n hashes, so that some come again.
func (m *model) nonce(n int) Hash { return HashOf(fmt.Appendf(nil, "nonce %d", m.rnd.IntN(n))) }
