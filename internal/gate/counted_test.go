// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/store"
)

// counted counts what is asked of a store. fail makes every call fail; lose
// makes changes of which nobody learns that they were made; full leaves no room
// in the queue; refuse makes changes fail and nothing else; apart counts as much
// as a store may although an ask refuses.
type counted struct {
	store.Backend
	gets, updates, allows, puts, queued, notices atomic.Int64
	fail, lose, full, refuse, lost, apart, deaf  atomic.Bool // deaf: of the audit log alone
	held                                         atomic.Pointer[held]
	health                                       atomic.Pointer[store.Health]
	unfit                                        atomic.Pointer[error]
	due                                          atomic.Int64 // when the last item that was given back is, in nanoseconds
}

// Check makes it a store that can be asked.
func (c *counted) Check(context.Context) (h store.Health, err error) {
	if p := c.health.Load(); p != nil {
		h = *p
	}
	if p := c.unfit.Load(); p != nil {
		err = *p
	}
	return h, err
}

// held holds up the changes of records from when the first has begun.
type held struct{ begun, going chan struct{} }

func (c *counted) down() error {
	if c.fail.Load() {
		return fmt.Errorf("pulled the plug: %w", store.ErrUnknown)
	}
	return nil
}

func (c *counted) Get(ctx context.Context, key string) (store.Value, error) {
	c.gets.Add(1)
	if err := c.down(); err != nil {
		return store.Value{}, err
	}
	return c.Backend.Get(ctx, key)
}

// Update counts writes only: a change that was not made costs none.
func (c *counted) Update(ctx context.Context, key string, f func(time.Time, store.Value) (store.Value, error)) error {
	if err := c.down(); err != nil {
		return err
	}
	if h := c.held.Load(); h != nil && strings.HasPrefix(key, "access/") {
		select {
		case h.begun <- struct{}{}:
		default:
		}
		<-h.going
	}
	if c.refuse.Load() || c.deaf.Load() && strings.HasPrefix(key, "audit/") {
		return fmt.Errorf("too contended: %w", store.ErrUnknown)
	}
	err := c.Backend.Update(ctx, key, func(now time.Time, old store.Value) (store.Value, error) {
		v, err := f(now, old)
		if err == nil {
			c.updates.Add(1)
		}
		return v, err
	})
	if err == nil && c.lose.Load() {
		return fmt.Errorf("the answer was lost: %w", store.ErrUnknown)
	}
	return err
}

func (c *counted) Allow(ctx context.Context, asks []limit.Ask) (limit.Decision, error) {
	c.allows.Add(1)
	if err := c.down(); err != nil {
		return limit.Decision{}, err
	}
	if c.apart.Load() && len(asks) > 1 { // the last is a group of its own, and so are the others
		d := limit.Decision{Allowed: true}
		for i, a := range asks {
			if i == len(asks)-1 && !d.Allowed {
				break
			}
			one, err := c.Backend.Allow(ctx, []limit.Ask{a})
			if err != nil {
				return limit.Decision{}, err
			}
			if !one.Allowed {
				d.Allowed, d.RetryAfter, d.Refused = false, max(d.RetryAfter, one.RetryAfter), append(d.Refused, i)
			}
		}
		return d, nil
	}
	return c.Backend.Allow(ctx, asks)
}

func (c *counted) Put(ctx context.Context, it store.Item) error {
	c.puts.Add(1)
	if err := c.down(); err != nil {
		return err
	}
	if c.full.Load() {
		return store.ErrFull
	}
	c.count(it.ID).Add(1)
	return c.Backend.Put(ctx, it)
}

func (c *counted) Lease(ctx context.Context, lane store.Lane, max int, hold time.Duration) ([]store.Item, error) {
	items, err := c.Backend.Lease(ctx, lane, max, hold)
	if len(items) > 0 && c.lost.CompareAndSwap(true, false) {
		for i := range items {
			items[i].Lost = true
		}
	}
	return items, err
}

func (c *counted) Retry(ctx context.Context, id string, due time.Time) error {
	c.due.Store(due.UnixNano())
	return c.Backend.Retry(ctx, id, due)
}

func (c *counted) Done(ctx context.Context, id string) error {
	err := c.Backend.Done(ctx, id)
	c.count(id).Add(-1)
	return err
}

// count is where a queue item is counted: notices apart, for they are due
// later, and the clock stands.
func (c *counted) count(id string) *atomic.Int64 {
	if strings.HasPrefix(id, "notice-") {
		return &c.notices
	}
	return &c.queued
}
