// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package managed

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/directory/index"
	"github.com/portalgate/portalgate/internal/store"
)

// Whoever searches must not wait for thousands of drawers to be read again. So a
// search goes by the copies that there are, which the feed keeps as the store is,
// and Refresh renews them for as long as staff are there, should a feed miss
// something. A search decides nothing.
const (
	// renewAt is how old a copy is that Refresh renews.
	renewAt = time.Minute
	// searchLife is how old a copy may be that is searched.
	searchLife = 2 * renewAt
	// staffGone is how long after a search copies are no longer renewed.
	staffGone = time.Hour
)

// search is the index of all drawers.
type search struct {
	turn    chan struct{}    // held by the one who brings it up to date
	index   *index.Index     // guarded by turn
	indexed [drawers]*drawer // guarded by turn; what index has of each
	asked   atomic.Int64     // when somebody searched last, in Unix seconds
}

// Find implements directory.Finder.
func (m *Directory) Find(ctx context.Context, q directory.Query) (found []directory.Client, next string, err error) {
	p, err := m.place()
	if err != nil {
		return nil, "", err
	}
	x, err := m.current(ctx, p)
	if err != nil {
		return nil, "", err
	}
	return x.Find(q)
}

// current returns the index, with what has changed.
func (m *Directory) current(ctx context.Context, p *place) (*index.Index, error) {
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the list of clients: %w: %w", store.ErrUnknown, context.Cause(ctx))
	}
	m.asked.Store(p.now().Unix())
	if err := m.renew(ctx, p, searchLife); err != nil {
		return nil, err
	}
	if m.index == nil {
		m.index = index.New(nil)
	}
	var gone, fresh []directory.Client
	for i := range m.copies {
		s := &m.copies[i]
		s.mu.Lock()
		d := s.d
		s.mu.Unlock()
		if d == m.indexed[i] {
			continue
		}
		before := m.indexed[i]
		if before == nil {
			before = &drawer{}
		}
		gone = append(gone, before.without(d)...)
		fresh = append(fresh, d.without(before)...)
		m.indexed[i] = d
	}
	if len(gone) > 0 || len(fresh) > 0 {
		m.index = m.index.Change(gone, fresh)
	}
	return m.index, nil
}

// renew reads the drawers of which there is no copy, or one that is too old.
func (m *Directory) renew(ctx context.Context, p *place, life time.Duration) error {
	var old []int
	for i := range m.copies {
		s := &m.copies[i]
		s.mu.Lock()
		if s.at.IsZero() || p.shared && p.now().Sub(s.at).Abs() >= life {
			old = append(old, i)
		}
		s.mu.Unlock()
	}
	return each(ctx, old, func(ctx context.Context, i int) error {
		_, err := m.lookOneOfMany(ctx, p, i)
		return err
	})
}

// Refresh renews the copies that are searched, while somebody searches. It is
// for a store that others change too.
func (m *Directory) Refresh(ctx context.Context) {
	p, err := m.place()
	if err == nil && p.now().Sub(time.Unix(m.asked.Load(), 0)) < staffGone {
		_ = m.renew(ctx, p, renewAt) // or the next search does, and says why not
	}
}

// All implements directory.Bulk.
func (m *Directory) All(ctx context.Context) (on []directory.Client, gone []string, err error) {
	p, err := m.place()
	if err != nil {
		return nil, nil, err
	}
	all, err := m.everything(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	for _, d := range all {
		for _, k := range d.Clients {
			on = append(on, k.client())
		}
		gone = append(gone, d.Gone...)
	}
	return on, gone, nil
}

// everything returns all drawers as they are now.
func (m *Directory) everything(ctx context.Context, p *place) (all [drawers]*drawer, err error) {
	numbers := make([]int, drawers)
	for i := range numbers {
		numbers[i] = i
	}
	err = each(ctx, numbers, func(ctx context.Context, i int) (err error) {
		all[i], err = m.lookOneOfMany(ctx, p, i)
		return err
	})
	return all, err
}

// lookOneOfMany returns a drawer as it is now. Of thousands that are read one after
// the other, one may well be late; so it is asked for twice.
func (m *Directory) lookOneOfMany(ctx context.Context, p *place, i int) (*drawer, error) {
	d, err := m.look(ctx, p, i, true)
	if errors.Is(err, store.ErrUnknown) && ctx.Err() == nil {
		d, err = m.look(ctx, p, i, true)
	}
	return d, err
}
