// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"time"

	"github.com/portalgate/portalgate/internal/limit"
)

// Allow implements [store.Store]. The groups but the last are one round trip,
// the last is another.
func (s *Store) Allow(ctx context.Context, asks []limit.Ask) (limit.Decision, error) {
	if err := s.begin(ctx); err != nil {
		return limit.Decision{}, err
	}
	defer s.end()

	d := limit.Decision{Allowed: true}
	groups := s.groups(asks)
	if n := len(groups) - 1; n > 0 {
		if err := s.count(ctx, asks, groups[:n], &d); err != nil || !d.Allowed {
			return d, err
		}
		groups = groups[n:]
	}
	err := s.count(ctx, asks, groups, &d)
	return d, err
}

// Forget implements [store.Store].
func (s *Store) Forget(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()
	c := &call{script: forgetScript}
	for _, key := range keys {
		c.keys = append(c.keys, s.limit(key))
	}
	s.run(ctx, c)
	return done(c.reply, c.err)
}

// groups sorts asks by the slot of their key: each group is their indexes.
func (s *Store) groups(asks []limit.Ask) (groups [][]int) {
	at := make(map[string]int, len(asks))
	for i, a := range asks {
		tag := tagOf(a.Key)
		g, ok := at[tag]
		if !ok {
			g = len(groups)
			at[tag], groups = g, append(groups, nil)
		}
		groups[g] = append(groups[g], i)
	}
	return groups
}

// count asks whole groups and adds to d what they say.
func (s *Store) count(ctx context.Context, asks []limit.Ask, groups [][]int, d *limit.Decision) error {
	calls := make([]*call, len(groups))
	for i, g := range groups {
		c := &call{script: allowScript}
		for _, n := range g {
			a := asks[n]
			count, each := 0, time.Duration(0)
			if a.Rate.Count > 0 && a.Rate.Per > 0 {
				count, each = a.Rate.Count, interval(a.Rate)
			}
			c.keys = append(c.keys, s.limit(a.Key))
			c.args = append(c.args, count, each.Microseconds(), a.Peek)
		}
		calls[i] = c
	}
	s.run(ctx, calls...)

	refused := make([]bool, len(asks))
	for i, c := range calls {
		if c.err != nil {
			*d = limit.Decision{}
			return c.err
		}
		waits, ok := c.reply.([]any)
		if !ok || len(waits) != len(groups[i]) {
			*d = limit.Decision{}
			return unknown(errReply)
		}
		for j, w := range waits {
			us, ok := w.(int64)
			if !ok {
				*d = limit.Decision{}
				return unknown(errReply)
			}
			if us == 0 {
				continue
			}
			wait := time.Duration(us) * time.Microsecond
			if us < 0 {
				wait = limit.Never
			}
			refused[groups[i][j]] = true
			d.RetryAfter = max(d.RetryAfter, wait)
		}
	}
	for i, r := range refused {
		if r {
			d.Refused = append(d.Refused, i)
		}
	}
	d.Allowed = len(d.Refused) == 0
	return nil
}

// interval is how long one event takes at a rate, as limit.Rate.Next has it.
func interval(r limit.Rate) time.Duration {
	n := time.Duration(r.Count)
	return (r.Per + n*time.Microsecond - 1) / (n * time.Microsecond) * time.Microsecond
}

// limit is the name of a limit's key, with the braces it came with.
func (s *Store) limit(key string) string { return s.prefix + "l:" + key }
