// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/store"
)

const (
	// againLife is how long what was revoked is remembered, to be revoked once
	// more if the store loses the write.
	againLife = time.Minute
	// maxAgain bounds that memory.
	maxAgain = 10_000
	// maxEpochs bounds how many are told from new ones: far more than a
	// cluster has shards.
	maxEpochs = 4096
)

// again is what this process revoked lately, for a store that may lose writes
// that it has acknowledged: another primary may never have had them.
type again struct {
	mu sync.Mutex

	// epochs are those in which the store was seen, newest the last of them to
	// be met: one, or in a cluster one for each shard, side by side.
	epochs map[string]bool // guarded by mu
	newest string          // guarded by mu
	at     time.Time       // guarded by mu; when the store was last seen
	list   []*revocation   // guarded by mu; oldest first
}

type revocation struct {
	at   time.Time
	tag  string
	what access.Revoked
	lost bool // guarded by again.mu; the store may have lost it
}

// seen notes an epoch that the store is in. If it is a new one, what was revoked
// lately is revoked again: see Run.
func (rs *Records) seen(epoch string) {
	if epoch == "" {
		return
	}
	a := &rs.again
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.epochs[epoch] {
		if a.epochs == nil || len(a.epochs) >= maxEpochs {
			a.epochs = make(map[string]bool)
		}
		a.epochs[epoch], a.newest = true, epoch
		rs.doubtLocked()
	}
	a.at = rs.now()
}

func (rs *Records) doubt() {
	rs.again.mu.Lock()
	defer rs.again.mu.Unlock()
	rs.doubtLocked()
}

// doubtLocked believes of nothing that was revoked in the last minute before the
// store was last seen that it still is.
func (rs *Records) doubtLocked() {
	a := &rs.again
	for _, v := range a.list {
		v.lost = v.lost || a.at.Sub(v.at).Abs() < againLife
	}
	if len(a.list) > 0 {
		select {
		case rs.doubted <- struct{}{}:
		default:
		}
	}
}

// revoked remembers what a change took away in an epoch.
func (rs *Records) revoked(tag, epoch string, what access.Revoked) {
	if epoch == "" || what.Empty() {
		return
	}
	a := &rs.again
	a.mu.Lock()
	defer a.mu.Unlock()
	now := rs.now()
	for len(a.list) > 0 && (len(a.list) >= maxAgain || !a.list[0].lost && now.Sub(a.list[0].at).Abs() >= againLife) {
		a.list = a.list[1:]
	}
	// Of two answers on their way, the one from before a failover may be the
	// later to arrive.
	v := &revocation{now, tag, what, epoch != a.newest}
	a.list = append(a.list, v)
	if v.lost {
		select {
		case rs.doubted <- struct{}{}:
		default:
		}
	}
}

// revokeAgain takes away once more what the store may have lost. What fails is
// tried again a second later.
func (rs *Records) revokeAgain(ctx context.Context) {
	a := &rs.again
	a.mu.Lock()
	var lost []*revocation
	for _, v := range a.list {
		if v.lost {
			lost = append(lost, v)
		}
	}
	a.mu.Unlock()
	for _, v := range lost {
		rs.setLost(v, false) // before, for it may be lost again meanwhile
		err := rs.Update(ctx, v.tag, func(now time.Time, r *access.Record) error {
			if !r.Revoke(now, v.what) {
				return store.ErrUnchanged
			}
			return nil
		})
		if err != nil {
			rs.setLost(v, true)
		}
	}
}

// look reads a record in which something was revoked lately, for the epoch that
// comes with it: a gate that nobody visits would not notice a failover.
func (rs *Records) look(ctx context.Context) {
	a := &rs.again
	a.mu.Lock()
	tag := ""
	if n := len(a.list); n > 0 {
		if v := a.list[rand.N(n)]; rs.now().Sub(v.at).Abs() < againLife {
			tag = v.tag
		}
	}
	a.mu.Unlock()
	if tag == "" {
		return
	}
	if v, err := rs.st.Get(ctx, key(tag)); err == nil {
		rs.seen(v.Epoch)
	}
}

func (rs *Records) setLost(v *revocation, lost bool) {
	rs.again.mu.Lock()
	defer rs.again.mu.Unlock()
	v.lost = lost
}
