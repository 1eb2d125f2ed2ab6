// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package session answers who is behind a cookie, and is the one way in which
// access records are read and changed.
//
// A record that was read is kept in memory, so that a signed-in request costs
// no store read. Every change of a record goes through [Records.Update], which
// replaces the copy before it returns: with a store that only this process
// writes, the copy is never older than the last change. A change that ends a
// session also ends what is still under way in it: see [Records.Follow].
//
// Three answers are possible: signed in, not signed in, and unknown. Unknown
// is an error, never "not signed in": a store that is down signs nobody out.
// The rules themselves are in package access; cookies are package gate's.
package session

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/seal"
	"github.com/portalgate/portalgate/internal/store"
)

// Records reads and changes access records. It may be used concurrently.
type Records struct {
	st      store.Store
	floor   time.Time
	now     func() time.Time
	tagKey  []byte
	addrKey []byte
	cache   *cache
	streams streams
	again   again
	moving  moving
	later   chan job      // changes
	looks   chan job      // what may have to be closed
	doubted chan struct{} // tells Run of what may have to be revoked again

	// turns order the changes of one record with the renewal of its copy: each
	// has room for who is at it.
	turns [256]chan struct{}
	seed  maphash.Seed

	mu      sync.Mutex
	pending map[string]bool // guarded by mu; jobs that wait, by name
}

// New returns the records in a store. now is the clock for what is only read;
// changes are made at the store's time. Links and sessions that were made
// before floor do not count (see access.Record.VoidBefore).
func New(st store.Store, root *seal.Root, now func() time.Time, floor time.Time) *Records {
	rs := &Records{
		st: st, now: now, floor: floor,
		tagKey: root.Key("tag"), addrKey: root.Key("address"),
		cache: newCache(now), later: make(chan job, 1024), looks: make(chan job, 1024), doubted: make(chan struct{}, 1),
		seed: maphash.MakeSeed(), pending: make(map[string]bool),
	}
	for i := range rs.turns {
		rs.turns[i] = make(chan struct{}, 1)
	}
	return rs
}

// TagSize is the length of a tag: 80 bits in base 32.
const TagSize = 16

var tagEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Tag returns the name under which a client's record is kept and which stands
// in the client's cookies and links: a keyed hash of the id, which says
// nothing to anybody without the key.
func (rs *Records) Tag(client string) string {
	return tagEncoding.EncodeToString(seal.MAC(rs.tagKey, "client", client)[:10])
}

// Scratch returns the tag of a record that belongs to nobody, for an address
// that is not on file: what is done for it costs what it costs for a client.
// There are a few thousand, so that strangers cannot fill the store.
func (rs *Records) Scratch(a address.Address) string {
	h := seal.MAC(rs.tagKey, "scratch address", a.Canonical())
	return tagEncoding.EncodeToString(seal.MAC(rs.tagKey, "scratch", string(h[:1]), string(h[1]&0x0f))[:10])
}

// IsTag reports whether s has the form of a tag.
func IsTag(s string) bool {
	if len(s) != TagSize {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// Address returns the keyed hash by which a record is bound to an address.
func (rs *Records) Address(a address.Address) access.Hash {
	return access.HashOf(seal.MAC(rs.addrKey, a.Canonical()))
}

func key(tag string) string { return "access/" + tag }

// Get returns a client's record, or store.ErrNotFound. The record is shared:
// it must not be changed. It comes without its events.
func (rs *Records) Get(ctx context.Context, tag string) (*access.Record, error) {
	e, err := rs.entry(ctx, tag)
	if err != nil {
		return nil, err
	}
	if e.rec == nil {
		return nil, store.ErrNotFound
	}
	return e.rec, nil
}

// Again is Get for who did not find in a copy what another gate may just have put
// there.
func (rs *Records) Again(ctx context.Context, tag string) (*access.Record, error) {
	if e, _ := rs.cache.get(tag); e != nil && rs.cache.stale(e) {
		if _, err := rs.reread(ctx, tag); err != nil {
			return nil, err
		}
	}
	return rs.Get(ctx, tag)
}

// reread reads a record anew that lacks something.
func (rs *Records) reread(ctx context.Context, tag string) (*entry, error) {
	rs.cache.drop(tag)
	e, err := rs.entry(ctx, tag)
	if err == nil {
		e.again.Store(true)
	}
	return e, err
}

// entry returns what is known of tag, read from the store if need be.
func (rs *Records) entry(ctx context.Context, tag string) (*entry, error) {
	e, gen := rs.cache.get(tag)
	if e != nil {
		return e, nil
	}
	asked := rs.now()
	v, err := rs.st.Get(ctx, key(tag))
	if err == nil {
		rs.seen(v.Epoch)
	}
	if errors.Is(err, store.ErrNotFound) {
		return rs.cache.fill(tag, nil, gen, asked), nil
	}
	if err != nil {
		return nil, err
	}
	r, err := access.Decode(v.Data)
	if r == nil {
		return nil, errors.Join(store.ErrUnknown, err) // fail closed: neither in nor out
	}
	r.VoidBefore(rs.now(), rs.floor)
	r.Fence(rs.now(), v.Epoch)
	r.Events = nil // memory is for what is asked for
	return rs.cache.fill(tag, r, gen, asked), nil
}

// Update changes a client's record. f gets the store's time and a record of
// its own, empty if there is none, and may be called more than once. An error
// from f leaves the record as it was and is returned, except
// store.ErrUnchanged, which leaves it and is not an error. Whoever gives up
// while others are at the record gets store.ErrUnknown.
func (rs *Records) Update(ctx context.Context, tag string, f func(now time.Time, r *access.Record) error) error {
	for range 3 {
		if _, err := rs.update(ctx, tag, f); !errors.Is(err, errCrowded) {
			return err
		}
		if err := rs.makeRoom(ctx, tag); err != nil {
			// The log is away. As long as no event is lost, nobody is kept out for it.
			_, werr := rs.write(ctx, tag, f, (*access.Record).Overfull)
			if errors.Is(werr, errCrowded) {
				return errors.Join(werr, err)
			}
			return werr
		}
	}
	return errCrowded
}

// update is Update for a record in which there is room, or errCrowded. It says in
// which epoch the record was.
func (rs *Records) update(ctx context.Context, tag string, f func(now time.Time, r *access.Record) error) (epoch string, err error) {
	return rs.write(ctx, tag, f, (*access.Record).Crowded)
}

// write changes a record, unless events waited in it and it has no room for more.
func (rs *Records) write(ctx context.Context, tag string, f func(now time.Time, r *access.Record) error, noRoom func(*access.Record) bool) (epoch string, err error) {
	turn := rs.turns[maphash.String(rs.seed, tag)%uint64(len(rs.turns))]
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return "", fmt.Errorf("waiting for a record: %w: %w", store.ErrUnknown, context.Cause(ctx))
	}
	var before, after *access.Record
	gen, asked := rs.cache.generation(tag), rs.now()
	err = rs.st.Update(ctx, key(tag), func(now time.Time, old store.Value) (store.Value, error) {
		after, epoch = nil, old.Epoch
		r, err := access.Decode(old.Data)
		if err != nil {
			return store.Value{}, errors.Join(store.ErrUnknown, err)
		}
		if epoch != "" { // what is acknowledged may be lost
			before = r.Standing()
		}
		r.Because(CauseIn(ctx))
		waiting := len(r.Events) > 0
		r.VoidBefore(now, rs.floor)
		r.Fence(now, epoch)
		if err := f(now, r); err != nil {
			return store.Value{}, err
		}
		if rs.moving.log == nil {
			r.Events = nil
		}
		data, expires := r.Encode(now)
		if waiting && noRoom(r) {
			return store.Value{}, errCrowded
		}
		after = r
		return store.Value{Data: data, Expires: expires}, nil
	})
	rs.seen(epoch)
	switch {
	case err != nil:
		rs.cache.drop(tag) // it may have been written all the same
		if after != nil && len(after.Events) > 0 {
			rs.moving.doubt(tag)
		}
		if after != nil && before != nil && errors.Is(err, store.ErrUnknown) {
			rs.revoked(tag, epoch, after.RevokedSince(before).ButUsed())
		}
	case after != nil:
		if before != nil {
			rs.revoked(tag, epoch, after.RevokedSince(before))
		}
		rs.moving.tell(tag, after)
		after.Events = nil
		rs.cache.put(tag, after, gen, asked)
		rs.streams.settle(tag, after)
	}
	return epoch, err
}

// Live counts the sessions that are not over, of the clients whose records
// this process keeps in memory.
func (rs *Records) Live(lt access.Lifetimes) int { return rs.cache.live(rs.now(), lt) }
