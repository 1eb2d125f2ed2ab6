// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Lifetimes are how long sessions last. All must be positive.
type Lifetimes struct {
	// Idle is the time without activity after which a session ends: 30 minutes
	// by default. Absolute is its end however active: 12 hours.
	Idle, Absolute time.Duration
	// SharedIdle and SharedAbsolute are the same on a shared computer: 10
	// minutes and 1 hour.
	SharedIdle, SharedAbsolute time.Duration
}

// Session is one browser that is signed in.
type Session struct {
	Hash   Hash   `json:"h"` // of the secret in its cookie
	Method string `json:"m"` // how it was opened
	Kind   string `json:"k,omitempty"`
	Ways   string `json:"a,omitempty"` // how it was proved who it is, in the method's words
	Made   int64  `json:"c"`
	Used   int64  `json:"u"`
	// Dead is its absolute end by the lifetimes it was opened under, Idle the
	// seconds it lasts by them without activity.
	Dead   int64 `json:"x"`
	Idle   int64 `json:"i"`
	Shared bool  `json:"s,omitempty"`
	// Browser is the beginning of the hash by which its browser is known; empty
	// on a shared computer. It is enough to forget a browser by.
	Browser string `json:"b,omitempty"`
	// Ended and Why tell of a session that was ended before its time.
	Ended int64 `json:"e,omitempty"`
	Why   End   `json:"y,omitempty"`
}

// End is why a session is over. Its text is the catalogue key that tells it.
type End string

// The ends of a session.
const (
	ByIdle      End = "ended.idle"
	ByAge       End = "ended.max"
	BySignOut   End = "ended.here"      // this browser signed out
	ByElsewhere End = "ended.elsewhere" // ended from another browser
	ByPractice  End = "ended.practice"
)

// Over returns why the session is over at now, or "" if it is not. Lifetimes
// that were shortened since hold at once; longer ones do not revive it.
func (s Session) Over(now time.Time, lt Lifetimes) End {
	idle, absolute := s.limits(lt)
	switch {
	case s.Ended != 0:
		return cmp.Or(s.Why, ByElsewhere) // fail closed: without a reason too it is over
	case now.Unix() < idle:
		return ""
	case idle < absolute:
		return ByIdle
	}
	return ByAge
}

// limits returns when s ends without further activity, and at the latest: the
// earlier of what held when it was opened and what holds now.
func (s Session) limits(lt Lifetimes) (idle, absolute int64) {
	i, a := lt.Of(s)
	absolute = min(s.Dead, s.Made+secs(a))
	return min(s.Used+min(s.Idle, secs(i)), absolute), absolute
}

// Of returns the lifetimes that hold for s.
func (lt Lifetimes) Of(s Session) (idle, absolute time.Duration) {
	if s.Shared {
		return lt.SharedIdle, lt.SharedAbsolute
	}
	return lt.Idle, lt.Absolute
}

// Ends returns when s will end without further activity, and at the latest.
func (s Session) Ends(lt Lifetimes) (idle, absolute time.Time) {
	i, a := s.limits(lt)
	return time.Unix(i, 0), time.Unix(a, 0)
}

// Session finds a session by the hash of its secret, over or not.
func (r *Record) Session(h Hash) (Session, bool) {
	for _, s := range r.Sessions {
		if s.Hash.is(h) {
			return s, true
		}
	}
	return Session{}, false
}

// Live returns the sessions that are not over, oldest first.
func (r *Record) Live(now time.Time, lt Lifetimes) []Session {
	return keep(r.Sessions, func(s Session) bool { return s.Over(now, lt) == "" })
}

// Touch notes activity in a session. It reports whether it changed anything: a
// session that is over stays over, and activity is noted once in every grain.
func (r *Record) Touch(now time.Time, h Hash, lt Lifetimes, grain time.Duration) bool {
	for i := range r.Sessions {
		s := &r.Sessions[i]
		if !s.Hash.is(h) {
			continue
		}
		if s.Over(now, lt) != "" || now.Unix() < s.Used+secs(grain) {
			return false
		}
		s.Used = now.Unix()
		return true
	}
	return false
}

// EndSession ends one session and reports whether it was still going.
func (r *Record) EndSession(now time.Time, h Hash, why End) bool {
	for i := range r.Sessions {
		if r.Sessions[i].Hash.is(h) && r.Sessions[i].end(now, why) {
			r.event(now, "signed_out", "")
			return true
		}
	}
	return false
}

// EndSessions ends every session, as one event, and reports whether any was still
// going. Links, the PIN and known browsers stay.
func (r *Record) EndSessions(now time.Time, why End) (ended bool) {
	for i := range r.Sessions {
		ended = r.Sessions[i].end(now, why) || ended
	}
	if ended {
		r.event(now, "sessions_ended", "")
	}
	return ended
}

// Stranger names a sign-in that was not the client's: the browser it came from,
// as [Session].Browser has it, or the one session of a shared computer.
type Stranger struct {
	Browser string `json:"b,omitempty"`
	Session Hash   `json:"s,omitempty"`
}

// Stranger returns how to name the sign-in that opened s.
func (s Session) Stranger() Stranger {
	if s.Browser != "" {
		return Stranger{Browser: s.Browser}
	}
	return Stranger{Session: s.Hash}
}

// Strangers returns every name that a sign-in in this record can have: also of one
// of which nothing is left but the account that it linked.
func (r *Record) Strangers() (all []Stranger) {
	for _, k := range r.Known {
		all = append(all, Stranger{Browser: brief(k.Hash)})
	}
	for _, s := range r.Sessions {
		all = append(all, s.Stranger())
	}
	for _, s := range r.Subjects {
		if s.By != (Stranger{}) {
			all = append(all, s.By)
		}
	}
	return all
}

// Expel ends what was opened by a sign-in that was not the client's, whatever
// else was opened in its browser included, and does not know that browser any
// more. It reports whether that changed anything.
func (r *Record) Expel(now time.Time, who Stranger) (changed bool) {
	known := len(r.Known)
	r.Known = keep(r.Known, func(k Known) bool { return brief(k.Hash) != who.Browser })
	changed = len(r.Known) < known
	for i := range r.Sessions {
		if r.Sessions[i].Stranger() == who {
			changed = r.Sessions[i].end(now, ByElsewhere) || changed
		}
	}
	for _, s := range r.Subjects { // what it linked would let it in again
		if s.By == who && who != (Stranger{}) {
			changed = r.Unlink(now, s.Hash) || changed
		}
	}
	if changed {
		r.event(now, "session_stopped", "")
	}
	return changed
}

// Harbours reports whether there is anything for Expel to take away.
func (r *Record) Harbours(who Stranger) bool {
	return slices.ContainsFunc(r.Known, func(k Known) bool { return brief(k.Hash) == who.Browser }) ||
		slices.ContainsFunc(r.Sessions, func(s Session) bool { return s.Ended == 0 && s.Stranger() == who }) ||
		slices.ContainsFunc(r.Subjects, func(s Subject) bool { return s.By == who && who != (Stranger{}) })
}

// brief is what a session keeps of its browser's hash: 36 bits.
func brief(h Hash) string { return string(h[:min(len(h), 6)]) }

// EndAll signs the client out everywhere: sessions end, links and the PIN stop
// working and no browser is known any more. here is the session that asked, if any.
func (r *Record) EndAll(now time.Time, here Hash) {
	for i := range r.Sessions {
		why := ByElsewhere
		if r.Sessions[i].Hash.is(here) {
			why = BySignOut
		}
		r.Sessions[i].end(now, why)
	}
	r.stopLinks(now, StoppedClient)
	r.retirePIN(now, StoppedClient)
	r.Known = nil
	r.event(now, "signed_out_everywhere", "")
}

// Knows reports whether a browser is known.
func (r *Record) Knows(now time.Time, browser Hash) bool {
	for _, k := range r.Known {
		if k.Hash.is(browser) && now.Unix() < k.Used+secs(knownLife) {
			return true
		}
	}
	return false
}

func (s *Session) end(now time.Time, why End) bool {
	s.lapse(now)
	if s.Ended != 0 {
		return false
	}
	s.Ended, s.Why = now.Unix(), why
	return true
}

// lapse writes down that the time of s is up, if it is. After that no clock
// set back and no longer lifetime makes it last.
func (s *Session) lapse(now time.Time) {
	idle := s.Used + s.Idle
	switch {
	case s.Ended != 0 || now.Unix() < min(idle, s.Dead):
	case idle < s.Dead:
		s.Ended, s.Why = idle, ByIdle
	default:
		s.Ended, s.Why = s.Dead, ByAge
	}
}

// Ways writes the names of RFC 8176 that a method gives for how somebody has
// proved who they are as a session keeps them: with a space between.
func Ways(names []string) string { return strings.Join(names, " ") }

// admit opens the session of an attempt that has shown what it takes.
func (r *Record) admit(now time.Time, in Redemption, shared bool) Session {
	s := Session{Hash: in.Session, Method: clip(in.Method, maxKind), Kind: clip(in.Kind, maxKind), Shared: shared, Ways: clip(in.Ways, maxWays)}
	if !shared {
		s.Browser = brief(in.Browser)
	}
	s = r.open(now, s, in.Lifetimes)
	if s.Browser != "" {
		r.know(now, in.Browser)
	}
	r.event(now, "signed_in", s.Method)
	return s
}

// open adds a session, ending the oldest if there are too many.
func (r *Record) open(now time.Time, s Session, lt Lifetimes) Session {
	idle, absolute := lt.Of(s)
	s.Made, s.Used, s.Dead, s.Idle = now.Unix(), now.Unix(), now.Unix()+secs(absolute), secs(idle)
	live := r.Live(now, lt)
	if over := len(live) - (maxSessions - 1); over > 0 {
		for _, old := range live[:over] {
			r.EndSession(now, old.Hash, ByElsewhere)
		}
	}
	r.Sessions = append(r.Sessions, s)
	if over := len(r.Sessions) - maxSessions; over > 0 {
		// The memory of ended sessions goes first; there are enough of them.
		r.Sessions = keep(r.Sessions, func(o Session) bool {
			if over > 0 && o.Over(now, lt) != "" {
				over--
				return false
			}
			return true
		})
	}
	return s
}

// know puts a browser among the known, newest last.
func (r *Record) know(now time.Time, browser Hash) {
	r.Known = keep(r.Known, func(k Known) bool { return !k.Hash.is(browser) })
	r.Known = newest(append(r.Known, Known{browser, now.Unix()}), maxKnown)
}
