// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package assertion

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/portalgate/portalgate/identity"
)

const (
	// reuse is how long a signed assertion is used again. It then has 40 s
	// left, which is longer than any request should take to its upstream.
	reuse = 20 * time.Second
	// maxGeneration bounds each of the cache's two generations: 50 000
	// sessions at once per 20 s, some 50 MB. More are signed more often.
	maxGeneration = 50_000
)

// cacheKey is all that decides what an assertion says. How and when somebody
// signed in goes with the session.
type cacheKey struct {
	kid, issuer, audience, subject, session, email, name string
	anonymous                                            bool
}

type cached struct {
	at    time.Time
	once  sync.Once
	token string
	err   error
}

// cache holds assertions in two generations. The young one takes what is
// signed; after reuse, or when it is full, it becomes the old one and what was
// old is forgotten, which by then nobody wants any more. The zero cache is empty.
type cache struct {
	mu         sync.Mutex
	young, old map[cacheKey]*cached
	since      time.Time // when young began

	signed atomic.Uint64 // how many there were
}

// For returns an assertion that says c, signed at most 20 s ago: one is signed
// at most once in that time for each session and audience, while address and
// name stay. A session is opened in one way at one time, so AMR and AuthTime
// must be the same whenever Session is.
func (r *Ring) For(c identity.Claims, now time.Time) (string, error) {
	s := r.now.Load()
	key := cacheKey{s.kid, c.Issuer, c.Audience, c.Subject, c.Session, c.Email, c.Name, c.Anonymous}
	e := r.cache.entry(key, now)
	// Whoever comes first signs, outside the lock; the others wait for it.
	e.once.Do(func() {
		r.cache.signed.Add(1)
		e.token, e.err = s.sign(c, e.at)
	})
	if e.err != nil {
		r.cache.forget(key, e)
	}
	return e.token, e.err
}

// Signed counts the assertions that For has had to sign.
func (r *Ring) Signed() uint64 { return r.cache.signed.Load() }

// entry returns the assertion for key that may be used at now, signed or not yet.
func (c *cache) entry(key cacheKey, now time.Time) *cached {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.young[key]
	if e == nil {
		e = c.old[key]
	}
	if e != nil && usable(e.at, now) {
		return e
	}
	if c.young == nil || len(c.young) >= maxGeneration || !usable(c.since, now) {
		c.young, c.old, c.since = map[cacheKey]*cached{}, c.young, now
	}
	e = &cached{at: now}
	c.young[key] = e
	return e
}

// usable reports whether what began at t is younger than reuse at now. If the
// clock was put back it is not; that a request that came a little earlier is
// served a little later is no such thing.
func usable(t, now time.Time) bool {
	age := now.Sub(t)
	return age > -time.Second && age < reuse
}

// forget drops an entry that failed, so that the next request tries again.
func (c *cache) forget(key cacheKey, e *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young[key] == e {
		delete(c.young, key)
	}
	if c.old[key] == e {
		delete(c.old, key)
	}
}
