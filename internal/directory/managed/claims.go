// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package managed

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/seal"
	"github.com/portalgate/portalgate/internal/store"
)

// An address is claimed for an id before a client gets it, in a drawer that is
// found by the address's keyed hash. A claim is a hint and no more: it says whose
// address it may be, and the client's own drawer says whether it is.
//
// A claim without such a client is either what is left of a change that came to
// nothing, or part of one that is under way. The two are told apart by time:
// whoever has claimed makes the change within writeTime or not at all, and nobody
// takes over a claim that is younger than claimLife. Between the two is more than
// clocks of one cluster may differ.
const (
	claimLife = 5 * time.Minute
	writeTime = 3 * time.Minute
)

var (
	errDamaged = fmt.Errorf("a drawer of addresses is damaged: %w", store.ErrUnknown)
	errLate    = fmt.Errorf("the change took too long: %w", store.ErrUnknown)
	errBusy    = fmt.Errorf("somebody else is about to get this address; try again in five minutes: %w", store.ErrUnknown)
)

// claim says for whom an address was claimed.
type claim struct {
	ID string `json:"id"`
	// At is when, in Unix milliseconds, and a little more where that was another
	// claim's time: no two claims of one address have the same.
	At int64 `json:"at"`
}

// claims is what one drawer of addresses holds.
type claims map[string]claim

// spot is where the claim of an address is.
type spot struct {
	address address.Address
	drawer  int
	name    string
}

func (p *place) spot(a address.Address) spot {
	h := seal.MAC(p.key, "address", a.Canonical())
	return spot{a, number(h), base64.RawURLEncoding.EncodeToString(h[2:18])}
}

func (m *Directory) claimsName(i int) string { return m.gate + "/addresses/" + strconv.Itoa(i) }

func decodeClaims(data []byte) (claims, error) {
	c := make(claims)
	if len(data) > 0 && json.Unmarshal(data, &c) != nil {
		return nil, errDamaged
	}
	return c, nil
}

func (m *Directory) readClaims(ctx context.Context, p *place, i int) (claims, error) {
	v, err := p.Get(ctx, m.claimsName(i))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	return decodeClaims(v.Data)
}

// changeClaims changes a drawer of addresses, as change does one of clients.
func (m *Directory) changeClaims(ctx context.Context, p *place, i int, f func(now time.Time, c claims) error) error {
	return p.Update(ctx, m.claimsName(i), func(now time.Time, old store.Value) (store.Value, error) {
		c, err := decodeClaims(old.Data)
		if err != nil {
			return store.Value{}, err
		}
		if err := f(now, c); err != nil {
			return store.Value{}, err
		}
		if len(c) == 0 {
			return store.Value{}, nil
		}
		return store.Value{Data: encode(c)}, nil
	})
}

// claimed is what a change holds in hand.
type claimed struct {
	spot
	claim
	fresh bool // it is of nobody's but this change: no other counts on it
}

// claimFor decides whether an address may be claimed for a client. held is the
// claim that there is, empty for none, and holder the drawer of who holds it. A
// client who has no id yet takes over that of a claim that came to nothing: so
// an import that is run again does not get in its own way.
func (s spot) claimFor(now time.Time, id string, held claim, holder *drawer) (claimed, error) {
	at := max(now.UnixMilli(), held.At+1)
	got := claimed{s, claim{id, at}, held.ID == "" || held.ID != id}
	if id == "" {
		got.ID = newID()
	}
	if held.ID == "" || held.ID == id {
		return got, nil
	}
	c, on := holder.client(held.ID)
	switch {
	case on && has(c, s.address):
		return claimed{}, &directory.Taken{By: c}
	case holder.gone(held.ID): // never comes back
		return got, nil
	case !on && id == "":
		got.ID, got.fresh = held.ID, false
		return got, nil
	case now.UnixMilli()-held.At > claimLife.Milliseconds():
		return got, nil
	}
	return claimed{}, errBusy
}

// claim claims an address for a client; if id is empty, for whom the result says.
func (m *Directory) claim(ctx context.Context, p *place, s spot, id string) (got claimed, err error) {
	for {
		seen, err := m.readClaims(ctx, p, s.drawer)
		if err != nil {
			return claimed{}, err
		}
		held := seen[s.name]
		holder, err := m.look(ctx, p, p.drawerOf(held.ID), true)
		if err != nil {
			return claimed{}, err
		}
		err = m.changeClaims(ctx, p, s.drawer, func(now time.Time, c claims) (err error) {
			if c[s.name] != held {
				return errMoved
			}
			if got, err = s.claimFor(now, id, held, holder); err == nil {
				c[s.name] = got.claim
			}
			return err
		})
		if !errors.Is(err, errMoved) {
			return got, err
		}
	}
}

// errMoved says that a claim is not what it was when its holder was looked up.
var errMoved = errors.New("claimed in between")

// inTime returns an error if it is too late to write what was claimed.
func (c claimed) inTime(now time.Time) error {
	if now.UnixMilli()-c.At > writeTime.Milliseconds() {
		return errLate
	}
	return nil
}

// held returns the claim of an address that a client is about to give up.
func (m *Directory) held(ctx context.Context, p *place, c directory.Client) (claimed, error) {
	a, err := address.Parse(c.Email)
	if err != nil {
		return claimed{}, nil
	}
	s := p.spot(a)
	seen, err := m.readClaims(ctx, p, s.drawer)
	return claimed{spot: s, claim: seen[s.name]}, err
}

// release gives up a claim, unless it was made anew meanwhile. If that fails, the
// claim does no harm but for five minutes.
func (m *Directory) release(ctx context.Context, p *place, gave claimed) {
	if gave.ID == "" {
		return
	}
	_ = m.changeClaims(ctx, p, gave.drawer, func(_ time.Time, c claims) error {
		if c[gave.name] != gave.claim {
			return store.ErrUnchanged
		}
		delete(c, gave.name)
		return nil
	})
}
