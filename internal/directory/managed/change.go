// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package managed

import (
	"context"
	"errors"
	"time"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/store"
)

var errIDTaken = &directory.Invalid{Field: "id", Text: "is on file already; leave it empty, or change that client"}

// checked is directory.Check, and returns the first thing that is wrong. A client
// without an id is going to get one.
func checked(c directory.Client) (directory.Client, address.Address, error) {
	id := c.ID
	if id == "" {
		c.ID = "0"
	}
	c, a, wrong := directory.Check(c)
	if len(wrong) > 0 {
		return directory.Client{}, a, wrong[0]
	}
	if id == "" {
		c.ID = ""
	}
	return c, a, nil
}

// Add implements directory.Keeper.
func (m *Directory) Add(ctx context.Context, c directory.Client, before directory.Before) (directory.Client, error) {
	p, err := m.place()
	if err != nil {
		return directory.Client{}, err
	}
	c, a, err := checked(c)
	if err != nil {
		return directory.Client{}, err
	}
	if c.ID != "" { // before an address is claimed in vain
		d, err := m.look(ctx, p, p.drawerOf(c.ID), true)
		if err != nil {
			return directory.Client{}, err
		}
		if err := d.mayAdd(c.ID); err != nil {
			return directory.Client{}, err
		}
	}
	got, err := m.claim(ctx, p, p.spot(a), c.ID)
	if err != nil {
		return directory.Client{}, err
	}
	random := c.ID == ""
	c.ID, c.Version = got.ID, 1
	if before != nil {
		if err := before(ctx, []string{c.ID}); err != nil {
			if got.fresh {
				m.release(ctx, p, got)
			}
			return directory.Client{}, err
		}
	}
	err = m.change(ctx, p, p.drawerOf(c.ID), func(now time.Time, d *drawer) error {
		c.Created = now.Truncate(time.Second).UTC()
		if other, on := d.client(c.ID); on && random {
			return &directory.Taken{By: other} // both took over one claim, and the other was first
		}
		if err := d.mayAdd(c.ID); err != nil {
			return err
		}
		d.put(c)
		return got.inTime(now)
	})
	if err != nil {
		m.giveBack(ctx, p, got, err)
		return directory.Client{}, err
	}
	return c, nil
}

// giveBack releases a claim for a change that was not made.
func (m *Directory) giveBack(ctx context.Context, p *place, got claimed, err error) {
	if got.fresh && !errors.Is(err, store.ErrUnknown) {
		m.release(ctx, p, got)
	}
}

// mayAdd reports why a new client may not have an id.
func (d *drawer) mayAdd(id string) error {
	if d.gone(id) {
		return directory.ErrDeleted
	}
	if d.at(id) >= 0 {
		return errIDTaken
	}
	return nil
}

// of returns the client with an id, if it is still of a version.
func (d *drawer) of(id string, version int) (directory.Client, error) {
	c, on := d.client(id)
	if !on {
		return directory.Client{}, directory.ErrNotFound
	}
	if c.Version != version {
		return directory.Client{}, directory.ErrChanged
	}
	return c, nil
}

// Change implements directory.Keeper.
func (m *Directory) Change(ctx context.Context, c directory.Client) (directory.Client, error) {
	p, err := m.place()
	if err != nil {
		return directory.Client{}, err
	}
	version := c.Version
	c, a, wrong := directory.Check(c)
	if len(wrong) > 0 {
		return directory.Client{}, wrong[0]
	}
	i := p.drawerOf(c.ID)
	d, err := m.look(ctx, p, i, true)
	if err != nil {
		return directory.Client{}, err
	}
	before, err := d.of(c.ID, version)
	if err != nil {
		return directory.Client{}, err
	}
	held, err := m.held(ctx, p, before)
	if err != nil {
		return directory.Client{}, err
	}
	var gets claimed
	moves := !has(before, a)
	claims := moves || held.ID != c.ID // a store may have lost a claim, which is made good here
	if claims {
		if gets, err = m.claim(ctx, p, p.spot(a), c.ID); err != nil {
			return directory.Client{}, err
		}
	}
	err = m.change(ctx, p, i, func(now time.Time, d *drawer) error {
		on, err := d.of(c.ID, version)
		if err != nil {
			return err
		}
		c.Created, c.Version = on.Created, version+1
		d.put(c)
		if claims {
			return gets.inTime(now)
		}
		return nil
	})
	if err != nil {
		if moves {
			m.giveBack(ctx, p, gets, err)
		}
		return directory.Client{}, err
	}
	if moves && held.ID == c.ID {
		m.release(ctx, p, held)
	}
	return c, nil
}

// Remove implements directory.Keeper.
func (m *Directory) Remove(ctx context.Context, id string, version int) error {
	p, err := m.place()
	if err != nil {
		return err
	}
	i := p.drawerOf(id)
	d, err := m.look(ctx, p, i, true)
	if err != nil {
		return err
	}
	before, err := d.of(id, version)
	if err != nil {
		return err
	}
	gives, err := m.held(ctx, p, before)
	if err != nil {
		return err
	}
	err = m.change(ctx, p, i, func(_ time.Time, d *drawer) error {
		if _, err := d.of(id, version); err != nil {
			return err
		}
		d.take(id)
		return nil
	})
	if err == nil && gives.ID == id {
		m.release(ctx, p, gives)
	}
	return err
}
