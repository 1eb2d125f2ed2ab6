// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"hash/maphash"
	"sync"
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
	now  func() time.Time
	seed maphash.Seed
	sh   [shards]shard
}

type shard struct {
	mu sync.Mutex

	young, old map[string]entry
	// gen counts the changes in this shard. A read from the store is kept only
	// if there was none while it was under way.
	gen uint64
}

type entry struct {
	rec    *access.Record // nil: there is none
	missed time.Time      // when that was found out
}

func newCache(now func() time.Time) *cache {
	c := &cache{now: now, seed: maphash.MakeSeed()}
	for i := range c.sh {
		c.sh[i].young = make(map[string]entry)
	}
	return c
}

func (c *cache) shard(tag string) *shard {
	return &c.sh[maphash.String(c.seed, tag)%shards]
}

// get returns what is known of tag, and the generation to give to fill.
func (c *cache) get(tag string) (r *access.Record, known bool, gen uint64) {
	s := c.shard(tag)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.young[tag]
	if !ok {
		if e, ok = s.old[tag]; ok {
			s.setLocked(tag, e)
		}
	}
	if ok && e.rec == nil && c.now().Sub(e.missed).Abs() >= missLife {
		ok = false
	}
	return e.rec, ok, s.gen
}

// fill keeps what was read from the store, unless something changed since gen.
func (c *cache) fill(tag string, r *access.Record, gen uint64) {
	s := c.shard(tag)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gen == gen {
		s.setLocked(tag, entry{r, c.now()})
	}
}

// put keeps what was just written.
func (c *cache) put(tag string, r *access.Record) {
	s := c.shard(tag)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gen++
	s.setLocked(tag, entry{rec: r})
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

func (s *shard) setLocked(tag string, e entry) {
	if len(s.young) >= perShard {
		s.young, s.old = make(map[string]entry), s.young
	}
	s.young[tag] = e
	delete(s.old, tag)
}
