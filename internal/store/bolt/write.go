// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"context"
	"errors"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/portalgate/portalgate/internal/store"
)

// A commit waits for the disk twice, and changes come together: what has come
// while one is under way goes into the next, as one transaction. Nobody waits for
// company, as in bbolt's Batch, which was six times slower for eight writers than
// each in turn.

// maxTogether bounds what one that fails makes the others repeat.
const maxTogether = 16

// change is a call of write.
type change struct {
	f        func(tx *bbolt.Tx) error
	err      error
	panicked any
	done     chan struct{} // closed when err and panicked are set
}

// write runs f in a transaction and commits it, all or nothing. Nothing of it is
// committed, and the error is nil, if f returns store.ErrUnchanged. f may run
// more than once, and only what it does last counts.
func (s *Store) write(ctx context.Context, f func(tx *bbolt.Tx) error) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.running.Done()

	c := &change{f: f, done: make(chan struct{})}
	s.turns.Lock()
	s.waiting = append(s.waiting, c)
	s.turns.Unlock()
	for waits := true; waits; {
		select {
		case <-c.done:
			waits = false
		case s.writer <- struct{}{}:
			s.commit(s.next())
			<-s.writer
		case <-ctx.Done():
			if s.giveUp(c) {
				return unknown(context.Cause(ctx))
			}
			<-c.done // somebody is at it
			waits = false
		}
	}
	switch {
	case c.panicked != nil:
		panic(c.panicked)
	case c.err == store.ErrUnchanged:
		s.reads.Add(1)
		return nil
	case c.err != nil:
		return unknown(c.err)
	}
	s.writes.Add(1)
	return nil
}

// next takes those whose turn it is.
func (s *Store) next() []*change {
	s.turns.Lock()
	defer s.turns.Unlock()
	n := min(len(s.waiting), maxTogether)
	together := slices.Clone(s.waiting[:n])
	s.waiting = slices.Delete(s.waiting, 0, n)
	return together
}

// giveUp takes c out of those that wait, and reports whether it was among them.
func (s *Store) giveUp(c *change) bool {
	s.turns.Lock()
	defer s.turns.Unlock()
	i := slices.Index(s.waiting, c)
	if i < 0 {
		return false
	}
	s.waiting = slices.Delete(s.waiting, i, i+1)
	return true
}

// errOut leaves a transaction because of one change in it.
var errOut = errors.New("one change does not commit")

// commit makes changes in one transaction. One that fails, or changes nothing,
// is left out and the others are made anew, so that nothing of it stays. Nobody
// learns what came of theirs before all is on the disk: it may rest on a change
// of another.
func (s *Store) commit(together []*change) {
	all := together
	for {
		var out *change
		err := errOut
		if len(together) > 0 {
			err = s.db.Update(func(tx *bbolt.Tx) error {
				for _, c := range together {
					if c.run(tx); c.err != nil || c.panicked != nil {
						out = c
						return errOut
					}
				}
				return nil
			})
		}
		if out != nil {
			together = slices.DeleteFunc(slices.Clone(together), func(c *change) bool { return c == out })
			continue
		}
		for _, c := range all {
			if err != nil && err != errOut {
				c.err = err
			}
			close(c.done)
		}
		return
	}
}

// run makes one change. A panic is for whoever asked for it.
func (c *change) run(tx *bbolt.Tx) {
	c.panicked = nil
	defer func() { c.panicked = recover() }()
	c.err = c.f(tx)
}
