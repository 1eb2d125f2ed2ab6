// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

var replay = flag.Uint64("seed", 0, "replay the one sequence of TestModel with this seed, telling each step")

const opsPerSequence = 60

var sequences uint64 = 3000

// TestModel runs generated sequences of operations over one record, encoded
// and decoded between them as a store does, beside a model that knows nothing
// of how the record works: it keeps every link and session there ever was and
// forgets nothing. After each operation the record must say what the model
// says. It covers the record's part of THREATS L08 (replay), L12 (superseded)
// and L13 (what changes end).
//
// It runs 3 000 sequences, 200 000 with PORTALGATE_PROOF=1 (some 15 minutes:
// give it a -timeout). A failure names its seed: go test -run TestModel -seed <n> ./internal/access
func TestModel(t *testing.T) {
	if *replay != 0 {
		sequence(t, *replay)
		return
	}
	n := sequences
	if os.Getenv("PORTALGATE_PROOF") == "1" {
		n = 200000
	}
	var sum tally
	var mu sync.Mutex
	var wg sync.WaitGroup
	workers := uint64(runtime.GOMAXPROCS(0))
	for w := range workers {
		wg.Go(func() {
			for seed := 1 + w; seed <= n && !t.Failed(); seed += workers {
				m := sequence(t, seed)
				mu.Lock()
				sum.add(m.tally)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("proof: rules of access broken in 0 of %d sequences of %d operations: %+v", n, opsPerSequence, sum)
	// A model that never comes to the point proves nothing. Two points are rare.
	least := min(sum.Opened, sum.Repeated, sum.Refused, sum.Readded, sum.Lapsed, sum.Forgotten, sum.CodesOff, sum.Guessed, sum.Spent, sum.PINsClosed, sum.Again)
	if least == 0 || n >= 3000 && min(sum.Closed, sum.Crowded) == 0 {
		t.Errorf("some rule was never exercised: %+v", sum)
	}
}

// tally counts what sequences came to.
type tally struct{ Opened, Repeated, Refused, Readded, Lapsed, Forgotten, Closed, CodesOff, Crowded, Squeezed, Guessed, Spent, PINsClosed, Again int }

func (a *tally) add(b tally) {
	a.Opened += b.Opened
	a.Repeated += b.Repeated
	a.Refused += b.Refused
	a.Readded += b.Readded
	a.Lapsed += b.Lapsed
	a.Forgotten += b.Forgotten
	a.Closed += b.Closed
	a.CodesOff += b.CodesOff
	a.Crowded += b.Crowded
	a.Squeezed += b.Squeezed
	a.Guessed += b.Guessed
	a.Spent += b.Spent
	a.PINsClosed += b.PINsClosed
	a.Again += b.Again
}

func sequence(t *testing.T, seed uint64) *model {
	m := &model{
		t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 2)),
		now: time.Unix(1_800_000_000, 0), lt: lifetimes[0], known: map[Hash]int64{},
	}
	m.step("bind", func(r *Record) bool { r.Bind(m.now, "client", m.bind(0)); return true })
	for m.n = 1; m.n <= opsPerSequence && !t.Failed(); m.n++ {
		m.pass()
		m.operate()
	}
	return m
}

// The lifetimes that are configured in turn.
var lifetimes = []Lifetimes{
	{30 * time.Minute, 12 * time.Hour, 10 * time.Minute, time.Hour},
	{5 * time.Minute, 12 * time.Hour, 5 * time.Minute, 10 * time.Minute},
	{24 * time.Hour, 14 * 24 * time.Hour, time.Hour, 2 * time.Hour},
	{time.Minute, time.Minute, time.Minute, time.Minute},
}

// model is what there was, told by hand.
type model struct {
	t    *testing.T
	seed uint64
	n    int
	rnd  *rand.Rand
	now  time.Time
	lt   Lifetimes

	data    []byte  // the record, as the store holds it
	rec     *Record // the same, if it was decoded already
	expires time.Time

	links    []*mlink
	sessions []*msession
	retired  []*mlink // in that order
	known    map[Hash]int64
	order    []Hash // of known, newest last
	bound    int
	wrong    int // codes
	mpins
	did   string
	hurry bool // in the middle of many steps only sessions are checked
	tally
}

type mlink struct {
	Link
	state   State // "" until it was taken on
	at      int64
	session *msession
	nonce   Hash
	// forgotten is set by the first write that drops what became of it, late by
	// the first that comes too late to repeat a lost answer.
	forgotten, late bool
}

type msession struct {
	hash       Hash
	used       int64
	idle, dead int64 // as opened
	made       int64
	shared     bool
	over       bool
	why        End
	gone       bool // the record need not know it any more
}

func (m *model) failf(format string, args ...any) {
	m.t.Helper()
	m.t.Errorf("seed %d, step %d (%s) at %d: %s", m.seed, m.n, m.did, m.now.Unix(), fmt.Sprintf(format, args...))
}

// step lets f change the record and stores it. f reports whether it changed
// anything; if not, it is stored sometimes all the same.
func (m *model) step(did string, f func(r *Record) bool) {
	m.did = did
	if *replay != 0 {
		m.t.Logf("%d: %d %s", m.n, m.now.Unix(), did)
	}
	if !m.expires.IsZero() && !m.now.Before(m.expires) {
		m.data, m.rec = nil, nil // a store forgets it
		m.written()
	}
	r := m.decode()
	m.rec = nil // f may change it
	if m.data == nil {
		r.Bind(m.now, "client", addresses[m.bound])
	}
	if m.chance(2) || len(r.Events) > 4 || len(m.data) > MaxSize-512 {
		r.Moved(r.Events) // as whoever keeps records does, at the latest when there is no room
	}
	if !f(r) && m.rnd.IntN(4) > 0 {
		return
	}
	var waiting []Event
	for _, e := range r.Events {
		if !e.lesser() {
			waiting = append(waiting, e)
		}
	}
	m.data, m.expires = r.Encode(m.now)
	for _, e := range waiting {
		if !slices.Contains(r.Events, e) {
			m.failf("event %d (%s) is gone", e.N, e.What)
		}
	}
	m.written()
	m.check()
}

// decode reads the record from what is stored.
func (m *model) decode() *Record {
	if m.rec == nil {
		var err error
		if m.rec, err = Decode(m.data); err != nil {
			m.failf("Decode: %v", err)
			m.rec = &Record{}
		}
	}
	return m.rec
}

// written ends in the model what a write at this time finds to be over.
func (m *model) written() {
	t := m.now.Unix()
	m.expireLinks()
	for _, l := range m.retired {
		l.forgotten = l.forgotten || t >= l.at+secs(pastLife)
		l.late = l.late || t >= l.at+secs(repeatLife)
	}
	for _, s := range m.sessions {
		if end := min(s.dead, s.used+s.idle); !s.over && t >= end {
			s.over, s.why = true, ByIdle
			if end == s.dead {
				s.why = ByAge
			}
			m.Lapsed++
		}
	}
}

func (m *model) expireLinks() {
	for _, l := range m.links {
		if l.state == Live && m.now.Unix() >= l.Expires {
			m.retire(l, Expired)
			l.at = l.Expires
		}
	}
	if m.pin != nil && m.now.Unix() >= m.pin.Expires {
		m.retirePIN(Expired)
	}
	if m.pin == nil && m.row == 0 && m.now.Unix() >= m.day+86400 {
		m.day, m.guesses = 0, 0 // what is over is not kept
	}
}

func (m *model) retire(l *mlink, why State) {
	l.state, l.at = why, max(m.now.Unix(), l.Made)
	m.retired = append(m.retired, l)
}

func (m *model) stopLinks(why State) {
	m.expireLinks()
	for _, l := range m.live() {
		m.retire(l, why)
	}
}

// live returns the links that have not ended, in the order they came in.
func (m *model) live() []*mlink { return keep(m.links, func(l *mlink) bool { return l.state == Live }) }

// over is whether and why s is over at this time.
func (m *model) over(s *msession) (End, bool) {
	idle, absolute := m.lt.Idle, m.lt.Absolute
	if s.shared {
		idle, absolute = m.lt.SharedIdle, m.lt.SharedAbsolute
	}
	byAge := min(s.dead, s.made+secs(absolute))
	byIdle := s.used + min(s.idle, secs(idle))
	switch t := m.now.Unix(); {
	case s.over:
		return s.why, true
	case t >= byIdle && byIdle < byAge:
		return ByIdle, true
	case t >= byAge:
		return ByAge, true
	}
	return "", false
}

func (m *model) end(s *msession, why End) {
	t := m.now.Unix()
	switch idle := s.used + s.idle; {
	case s.over:
		return
	case t >= idle && idle < s.dead:
		why = ByIdle
	case t >= s.dead:
		why = ByAge
	}
	s.over, s.why = true, why
}

// remembered reports whether the record must still know what became of l: it
// is one of the last few. That many it keeps however little room there is.
func (m *model) remembered(l *mlink) bool {
	for _, o := range newest(m.retired, 4) {
		if o == l {
			return !l.forgotten && m.now.Unix() < l.at+secs(pastLife)
		}
	}
	return false
}

// stateOf is what is so with l now.
func (m *model) stateOf(l *mlink) State {
	if l.state == Live && m.now.Unix() >= l.Expires {
		return Expired
	}
	return l.state
}
