// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portalgate/portalgate/internal/access"
)

const (
	shards = 16
	// perShard bounds the records kept: two generations of this many in each
	// of the shards, about 200 000 in all.
	perShard = 6400
	// missLife is how long a tag without a record is believed to have none.
	// A cookie that names nothing costs one store read in that time.
	missLife = 5 * time.Second
)

// cache keeps decoded records. When a generation is full it becomes the old
// one, and what is not asked for by the time the next is full is forgotten: no
// list to maintain, no goroutine.
type cache struct {
	now func() time.Time
	// life is how long a copy is good, where other processes change the store
	// too; zero is until it is replaced.
	life time.Duration

	seed maphash.Seed
	sh   [shards]shard
}

type shard struct {
	mu sync.Mutex

	young, old map[string]*entry
	// gen counts the changes in this shard. A read from the store is kept only
	// if there was none while it was under way.
	gen uint64
}

// entry is what is known of a tag, as long as its record does not change.
type entry struct {
	rec *access.Record // nil: there is none
	at  time.Time      // when that was so
	// again reports that it was read because the copy before it lacked something.
	again atomic.Bool

	// visitors are the sessions of rec that were in use, each with the client
	// as the directory had them: what need not be worked out again.
	visitors atomic.Pointer[Visitor]
}

func newCache(now func() time.Time) *cache {
	c := &cache{now: now, seed: maphash.MakeSeed()}
	for i := range c.sh {
		c.sh[i].young = make(map[string]*entry)
	}
	return c
}

func (c *cache) shard(tag string) *shard {
	return &c.sh[maphash.String(c.seed, tag)%shards]
}

// get returns what is known of tag, nil for nothing, and the generation to
// give to fill.
func (c *cache) get(tag string) (e *entry, gen uint64) {
	s := c.shard(tag)
	s.mu.Lock()
	defer s.mu.Unlock()
	e = s.young[tag]
	if e == nil {
		if e = s.old[tag]; e != nil {
			s.setLocked(tag, e)
		}
	}
	if e != nil && !c.fresh(e) {
		e = nil
	}
	return e, s.gen
}

// stale reports whether e, which knows nothing of what was asked for, may only
// be too old to: where others change the store, what is not there may be there
// by now. That is found out at once, and then 10 times a second at most.
func (c *cache) stale(e *entry) bool {
	return c.life > 0 && (!e.again.Load() || c.now().Sub(e.at).Abs() >= c.life/50)
}

func (c *cache) fresh(e *entry) bool {
	life := c.life
	if e.rec == nil {
		life = missLife
	}
	return life == 0 || c.now().Sub(e.at).Abs() < life
}

// clear forgets everything.
func (c *cache) clear() {
	for i := range c.sh {
		s := &c.sh[i]
		s.mu.Lock()
		s.gen++
		s.young, s.old = make(map[string]*entry), nil
		s.mu.Unlock()
	}
}

// fill keeps what was read from the store, unless something changed since gen.
func (c *cache) fill(tag string, r *access.Record, gen uint64, at time.Time) *entry {
	e := &entry{rec: r, at: at}
	s := c.shard(tag)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gen == gen {
		s.setLocked(tag, e)
	}
	return e
}

// put keeps what was written since at. Where others change the store, one of
// them may have changed it after that: then nothing is kept if something changed
// since gen.
func (c *cache) put(tag string, r *access.Record, gen uint64, at time.Time) {
	s := c.shard(tag)
	s.mu.Lock()
	defer s.mu.Unlock()
	moved := s.gen != gen
	s.gen++
	if c.life > 0 && moved {
		delete(s.young, tag)
		delete(s.old, tag)
		return
	}
	s.setLocked(tag, &entry{rec: r, at: at})
}

// generation is what put wants to know from before a change.
func (c *cache) generation(tag string) uint64 {
	s := c.shard(tag)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gen
}

// drop forgets tag.
func (c *cache) drop(tag string) {
	s := c.shard(tag)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gen++
	delete(s.young, tag)
	delete(s.old, tag)
}

func (s *shard) setLocked(tag string, e *entry) {
	if len(s.young) >= perShard {
		s.young, s.old = make(map[string]*entry), s.young
	}
	// The tag may be a piece of a header or a form, which must not be kept for it.
	s.young[strings.Clone(tag)] = e
	delete(s.old, tag)
}

// live counts the sessions in the kept records that are not over.
func (c *cache) live(now time.Time, lt access.Lifetimes) int {
	n := 0
	for i := range c.sh {
		s := &c.sh[i]
		s.mu.Lock()
		for _, generation := range []map[string]*entry{s.young, s.old} {
			for _, e := range generation {
				if e.rec == nil {
					continue
				}
				for _, session := range e.rec.Sessions {
					if session.Over(now, lt) == "" {
						n++
					}
				}
			}
		}
		s.mu.Unlock()
	}
	return n
}
