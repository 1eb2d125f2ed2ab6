// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package managed

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/store"
)

// viewLife is how long what was read of all drawers may be gone by. With writeTime
// it is less than claimLife: whoever claimed so long ago that the claim may be
// taken over had made the change before.
const viewLife = time.Minute

// one is a client of those that are put on file together.
type one struct {
	directory.Client
	version int // that is on file; zero for none
	random  bool
	moves   bool // to another address
	spot    spot
	gets    claimed
	gives   claimed
}

// Put implements directory.Bulk. It writes each drawer once, the claims first.
func (m *Directory) Put(ctx context.Context, clients []directory.Client, before directory.Before) error {
	p, err := m.place()
	if err != nil {
		return err
	}
	began := p.now()
	all, err := m.everything(ctx, p)
	if err != nil {
		return err
	}
	batch := make([]*one, len(clients))
	for i, c := range clients {
		if batch[i], err = m.prepare(ctx, p, &all, c); err != nil {
			return err
		}
	}
	claims := group(batch, func(o *one) int { return o.spot.drawer })
	err = each(ctx, slices.Collect(maps.Keys(claims)), func(ctx context.Context, i int) error {
		return m.claimAll(ctx, p, &all, began, i, claims[i])
	})
	if err != nil {
		return err
	}
	if added := newIDs(batch); before != nil && len(added) > 0 {
		if err := before(ctx, added); err != nil {
			return err
		}
	}
	puts := group(batch, func(o *one) int { return p.drawerOf(o.ID) })
	err = each(ctx, slices.Collect(maps.Keys(puts)), func(ctx context.Context, i int) error {
		return m.change(ctx, p, i, func(now time.Time, d *drawer) error { return d.putAll(now, puts[i]) })
	})
	if err != nil {
		return err
	}
	moved := slices.DeleteFunc(batch, func(o *one) bool { return !o.moves || o.gives.ID != o.ID })
	gives := group(moved, func(o *one) int { return o.gives.drawer })
	return each(ctx, slices.Collect(maps.Keys(gives)), func(ctx context.Context, i int) error {
		for _, o := range gives[i] {
			m.release(ctx, p, o.gives)
		}
		return nil
	})
}

// prepare checks a client against what is on file.
func (m *Directory) prepare(ctx context.Context, p *place, all *[drawers]*drawer, c directory.Client) (*one, error) {
	o := &one{version: c.Version}
	c, a, err := checked(c)
	if err != nil {
		return nil, err
	}
	o.Client, o.spot, o.random = c, p.spot(a), c.ID == ""
	if o.random {
		return o, nil
	}
	d := all[p.drawerOf(c.ID)]
	if o.version == 0 {
		return o, d.mayAdd(c.ID)
	}
	before, err := d.of(c.ID, o.version)
	if err != nil {
		return nil, err
	}
	if o.moves = !has(before, a); o.moves {
		o.gives, err = m.held(ctx, p, before)
	}
	return o, err
}

// newIDs are the ids of those who are put on file and were not.
func newIDs(batch []*one) (ids []string) {
	for _, o := range batch {
		if o.version == 0 {
			ids = append(ids, o.ID)
		}
	}
	return ids
}

func group(batch []*one, by func(*one) int) map[int][]*one {
	groups := make(map[int][]*one)
	for _, o := range batch {
		groups[by(o)] = append(groups[by(o)], o)
	}
	return groups
}

// claimAll claims the addresses of one drawer, and says who gets which id.
func (m *Directory) claimAll(ctx context.Context, p *place, all *[drawers]*drawer, began time.Time, i int, these []*one) error {
	return m.changeClaims(ctx, p, i, func(now time.Time, c claims) (err error) {
		if p.now().Sub(began) > viewLife {
			return errLate
		}
		same := true
		for _, o := range these {
			held := c[o.spot.name]
			if o.version > 0 && !o.moves && held.ID == o.ID {
				continue
			}
			id := o.ID
			if o.random {
				id = ""
			}
			if o.gets, err = o.spot.claimFor(now, id, held, all[p.drawerOf(held.ID)]); err != nil {
				return err
			}
			c[o.spot.name], o.ID, same = o.gets.claim, o.gets.ID, false
		}
		if same {
			return store.ErrUnchanged
		}
		return nil
	})
}

// putAll puts the clients of one drawer into it.
func (d *drawer) putAll(now time.Time, these []*one) error {
	same := true
	for _, o := range these {
		c := o.Client
		on, there := d.client(c.ID)
		if o.version > 0 {
			if _, err := d.of(c.ID, o.version); err != nil {
				return err
			}
			if c.Created, c.Version = on.Created, on.Version; c == on {
				continue
			}
			c.Version++
		} else {
			if there && o.random {
				return &directory.Taken{By: on}
			}
			if err := d.mayAdd(c.ID); err != nil {
				return err
			}
			c.Created, c.Version = now.Truncate(time.Second).UTC(), 1
		}
		if o.gets.ID != "" {
			if err := o.gets.inTime(now); err != nil {
				return err
			}
		}
		d.put(c)
		same = false
	}
	if same {
		return store.ErrUnchanged
	}
	return nil
}
