// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// figures are one server's in one round.
type figures struct {
	perSecond, p50, p99, cpu float64 // times in seconds
}

// legs are how many parts a side's run in a round is cut into.
const legs = 4

// table is what a view came to: each side's figures, round by round.
type table struct {
	name       string
	bare, gate []figures
	// again is how long it was, on the gate, from one use of a session to the
	// next; zero if there was only one use, or one session.
	again time.Duration
}

// side is one of the two servers with connections to it.
type side struct {
	*client
	pid int
	at  *atomic.Int64 // the session that is next
}

// measure makes one table. Each round has servers of its own, for no two
// processes of one program cost quite the same, and that is no difference
// between bare and gate. Only where it takes too long to have every session
// read again do they stay.
func (h *house) measure(ctx context.Context, o options, c crowd, v view) (t table, err error) {
	t.name = v.name(c)
	// What never was read cannot be used to warm up: a few are left for that.
	all, spare := h.all, h.all
	if v.unread {
		cut := len(all) - len(all)/100
		all, spare = all[:min(cut, maxUnread)], all[cut:]
	}
	turns := turnsOf(v, all, o)
	var sides [2]side
	defer func() { hangUp(sides) }()
	var uses int64
	var spent time.Duration
	for round := range o.rounds {
		if round == 0 || v.unread || len(all) <= 1000 {
			hangUp(sides)
			if err := h.restart(ctx, round%2 == 0); err != nil {
				return t, err
			}
			if sides, err = h.callBoth(v.conns); err != nil {
				return t, err
			}
			if err := warm(sides, spare, o.span/3, !v.unread); err != nil {
				return t, err
			}
		}
		began, before := time.Now(), sides[1].at.Load()
		var sums [2]sum
		for leg := range legs {
			for turn := range sides {
				i := (round + leg + turn) % 2 // the other is first each time
				if err := sides[i].measure(turns(sides[i], leg), &sums[i]); err != nil {
					return t, err
				}
			}
		}
		spent, uses = spent+time.Since(began), uses+sides[1].at.Load()-before
		t.bare, t.gate = append(t.bare, sums[0].figures()), append(t.gate, sums[1].figures())
	}
	if len(all) > 1 && uses > 0 {
		t.again = time.Duration(float64(spent) * float64(len(all)) / float64(uses))
	}
	return t, nil
}

// maxUnread is how many sessions are read for the first time in a round.
const maxUnread = 12_000

// callBoth connects to both servers.
func (h *house) callBoth(conns int) (sides [2]side, err error) {
	for i, s := range []*server{h.bare, h.gate} {
		cl, err := dial(s.addr, h.host, conns, h.all[0])
		if err != nil {
			return sides, err
		}
		sides[i] = side{cl, s.cmd.Process.Pid, new(atomic.Int64)}
	}
	return sides, nil
}

func hangUp(sides [2]side) {
	for _, s := range sides {
		if s.client != nil {
			s.close()
		}
	}
}

// warm brings both servers to the state that is measured: with everything
// read that will be read again.
func warm(sides [2]side, all []cookies, span time.Duration, whole bool) error {
	for _, s := range sides {
		if whole {
			if _, err := s.load(once(all)); err != nil {
				return fmt.Errorf("warming up: %w", err)
			}
		}
		if _, err := s.load(until(all, new(atomic.Int64), span)); err != nil {
			return fmt.Errorf("warming up: %w", err)
		}
	}
	return nil
}

// turnsOf returns what a side has to do in each of its legs of a round.
func turnsOf(v view, all []cookies, o options) func(s side, leg int) func() *cookies {
	if !v.unread {
		return func(s side, _ int) func() *cookies { return until(all, s.at, o.span/legs) }
	}
	per := len(all) / legs
	return func(_ side, leg int) func() *cookies { return once(all[leg*per : (leg+1)*per]) }
}

// measure puts a load on a server and adds what it came to.
func (s side) measure(next func() *cookies, to *sum) error {
	before, err := cpuTime(s.pid)
	if err != nil {
		return err
	}
	r, err := s.load(next)
	if err != nil {
		return err
	}
	after, err := s.settled()
	if err != nil {
		return err
	}
	to.took = append(to.took, r.took...)
	to.wall += r.wall
	to.cpu += after - before
	return nil
}

// sum is what the legs of a round came to.
type sum struct {
	took      []time.Duration
	wall, cpu time.Duration
}

func (s *sum) figures() figures {
	slices.Sort(s.took)
	n := float64(len(s.took))
	return figures{
		perSecond: n / s.wall.Seconds(),
		p50:       quantile(s.took, 0.50).Seconds(),
		p99:       quantile(s.took, 0.99).Seconds(),
		cpu:       s.cpu.Seconds() / n,
	}
}

// settled returns the CPU time of a server when it has come to rest: what it
// does in the background for the requests it had is part of what they cost,
// and must not run into the other's turn.
func (s side) settled() (time.Duration, error) {
	const grain, rest = 10 * time.Millisecond, 500 * time.Microsecond
	before, err := cpuTime(s.pid)
	for end := time.Now().Add(5 * time.Second); err == nil; {
		time.Sleep(grain)
		var now time.Duration
		if now, err = cpuTime(s.pid); now-before < rest {
			return now, err
		}
		if before = now; time.Now().After(end) {
			return 0, errors.New("a server does not come to rest")
		}
	}
	return 0, err
}
