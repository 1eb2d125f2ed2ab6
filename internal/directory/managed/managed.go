// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package managed is the directory that a gate keeps in its own store:
// `clients managed`.
//
// Clients lie in a fixed number of drawers, each of them one value of the store
// with the ids of those who left it, for good. So a change is one
// compare-and-swap of one key, everybody can be gone through without a store that
// can list its keys, and an import writes each drawer once. See claims.go for how
// no two clients come to have one address.
//
// It decides nothing about access: whoever changes a client here first changes
// the client's access record.
package managed

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/seal"
	"github.com/portalgate/portalgate/internal/store"
)

// drawers is how many there are, of clients and of addresses. At 100 000 clients
// there are 25 in each. It can never be another number: a client would not be
// found.
const drawers = 4096

// Directory is a [directory.Bulk] in a store. It may be used concurrently.
type Directory struct {
	gate string
	in   atomic.Pointer[place] // nil until it was opened
	copies
	search
}

// place is an opened store and what is needed to find one's way in it.
type place struct {
	store.Store
	key    []byte
	seed   uint64
	shared bool
	now    func() time.Time
}

// New returns the directory of a gate. Until it is opened nobody knows who is on
// file: all its methods return store.ErrUnknown.
func New(gate string) *Directory {
	d := &Directory{gate: gate}
	d.turn = make(chan struct{}, 1)
	return d
}

// Open gives the directory the store that it is in, which must be a sealed one.
// shared reports that other processes change it too; then Changed has to be
// told of that, and Refresh called every few seconds. now is the clock by which
// copies grow old.
func (m *Directory) Open(st store.Store, root *seal.Root, shared bool, now func() time.Time) {
	key := root.Key("directory")
	m.in.Store(&place{st, key, binary.BigEndian.Uint64(root.MAC("directory", "drawers")), shared, now})
}

func (m *Directory) place() (*place, error) {
	if p := m.in.Load(); p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("the list of clients is not open yet: %w", store.ErrUnknown)
}

// drawerOf returns the number of the drawer that a client is in: of a hash (FNV-1a)
// that begins with a secret. It need not be a strong one, for a number says next to
// nothing and what is in a drawer is sealed, and it is asked for by every request.
func (p *place) drawerOf(id string) int {
	h := p.seed
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return int((h ^ h>>32) % drawers)
}

func number(hash []byte) int { return int(binary.BigEndian.Uint16(hash)) % drawers }

// ByID implements directory.Directory.
func (m *Directory) ByID(ctx context.Context, id string) (directory.Client, error) {
	p, err := m.place()
	if err != nil {
		return directory.Client{}, err
	}
	d, err := m.look(ctx, p, p.drawerOf(id), false)
	if err != nil {
		return directory.Client{}, err
	}
	if c, ok := d.client(id); ok {
		return c, nil
	}
	return directory.Client{}, directory.ErrNotFound
}

// ByAddress implements directory.Directory. Whether or not somebody has the
// address, it reads the same, so that the time it takes tells nothing.
func (m *Directory) ByAddress(ctx context.Context, a address.Address) (directory.Client, error) {
	p, err := m.place()
	if err != nil {
		return directory.Client{}, err
	}
	at := p.spot(a)
	claims, err := m.readClaims(ctx, p, at.drawer)
	if err != nil {
		return directory.Client{}, err
	}
	id := at.name // nobody's
	if held, ok := claims[at.name]; ok {
		id = held.ID
	}
	d, err := m.look(ctx, p, p.drawerOf(id), p.shared)
	if err != nil {
		return directory.Client{}, err
	}
	if c, ok := d.client(id); ok && has(c, a) {
		return c, nil
	}
	return directory.Client{}, directory.ErrNotFound
}

// has reports whether an address is the one that is on file for c.
func has(c directory.Client, a address.Address) bool {
	on, err := address.Parse(c.Email)
	return err == nil && on.Canonical() == a.Canonical()
}

// newID returns an id that nobody has ever had: 130 random bits.
func newID() string { return strings.ToLower(rand.Text()) }

// Interface guard
var _ directory.Bulk = (*Directory)(nil)
