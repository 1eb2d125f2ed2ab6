// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"sync"
	"time"

	"github.com/portalgate/portalgate/internal/directory"
)

const (
	// knownFor is how long somebody who was on file counts as on file, just so.
	knownFor = 5 * time.Minute
	// most bounds who is remembered: two generations of this many.
	most = 20_000
)

// cache keeps who was on file, by id. That somebody is not is never kept. When a
// generation is full it becomes the old one, and what is not put again by the time
// the next is full is forgotten.
type cache struct {
	now func() time.Time

	mu         sync.Mutex
	young, old map[string]known
	gen        uint64 // counts who was found to be gone
}

type known struct {
	directory.Client
	at time.Time
}

func newCache(now func() time.Time) *cache {
	return &cache{now: now, young: make(map[string]known)}
}

func (c *cache) get(id string) (directory.Client, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.young[id]
	if !ok {
		k, ok = c.old[id]
	}
	return k.Client, ok && c.now().Sub(k.at).Abs() < knownFor
}

// generation is what put wants to know from before a question was asked.
func (c *cache) generation() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gen
}

// put keeps an answer, unless somebody was found to be gone since it was asked
// for: it may be the same person.
func (c *cache) put(client directory.Client, gen uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gen != gen {
		return
	}
	if len(c.young) >= most {
		c.young, c.old = make(map[string]known), c.young
	}
	c.young[client.ID] = known{client, c.now()}
	delete(c.old, client.ID)
}

func (c *cache) drop(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen++
	delete(c.young, id)
	delete(c.old, id)
}
