// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"slices"
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

	// epochs are those in which the store was seen and when each last was, newest
	// the last of them to be met: one, or in a cluster one for each shard, side
	// by side.
	epochs map[string]time.Time // guarded by mu
	newest string               // guarded by mu
	list   []*revocation        // guarded by mu; oldest first
}

// revocation is what a change took away. Its fields are guarded by again.mu.
type revocation struct {
	at    time.Time
	tag   string
	epoch string // in which that was written
	what  access.Revoked
	lost  bool // the store may have lost it
}

// keptLocked reports whether v was written a minute before its epoch was last
// seen: whatever takes that one's place has it by then. A shard that is away is
// not seen, however long that takes.
func (a *again) keptLocked(v *revocation) bool { return a.epochs[v.epoch].Sub(v.at) >= againLife }

// seen notes an epoch that the store is in. If it is a new one, what was revoked
// lately is revoked again: see Run.
func (rs *Records) seen(epoch string) {
	if epoch == "" {
		return
	}
	a := &rs.again
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, met := a.epochs[epoch]; !met {
		if a.epochs == nil || len(a.epochs) >= maxEpochs {
			a.epochs = make(map[string]time.Time)
		}
		a.newest = epoch
		rs.doubtLocked()
	}
	a.epochs[epoch] = rs.now()
}

func (rs *Records) doubt() {
	rs.again.mu.Lock()
	defer rs.again.mu.Unlock()
	rs.doubtLocked()
}

// doubtLocked believes of nothing that was revoked lately that it still is.
func (rs *Records) doubtLocked() {
	a := &rs.again
	for _, v := range a.list {
		v.lost = v.lost || !a.keptLocked(v)
	}
	if len(a.list) > 0 {
		select {
		case rs.doubted <- struct{}{}:
		default:
		}
	}
}

// forgetLocked drops what no failover loses any more, and the oldest if there is
// too much.
func (a *again) forgetLocked() {
	a.list = slices.DeleteFunc(a.list, func(v *revocation) bool { return !v.lost && a.keptLocked(v) })
	a.list = a.list[max(0, len(a.list)-maxAgain):]
}

// revoked remembers what a change took away in an epoch.
func (rs *Records) revoked(tag, epoch string, what access.Revoked) {
	if epoch == "" || what.Empty() {
		return
	}
	a := &rs.again
	a.mu.Lock()
	defer a.mu.Unlock()
	// Of two answers on their way, the one from before a failover may be the
	// later to arrive.
	v := &revocation{rs.now(), tag, epoch, what, epoch != a.newest}
	if a.list = append(a.list, v); len(a.list) > maxAgain {
		a.list = a.list[1:]
	}
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
		epoch, err := rs.update(ctx, v.tag, func(now time.Time, r *access.Record) error {
			if !r.Revoke(now, v.what) {
				return store.ErrUnchanged
			}
			return nil
		})
		if err != nil {
			rs.setLost(v, true)
			continue
		}
		a.mu.Lock()
		v.at, v.epoch = rs.now(), epoch
		a.mu.Unlock()
	}
}

// look reads a record of each epoch in which something was revoked lately, for
// the epoch that comes with it: a gate that nobody visits would not notice a
// failover.
func (rs *Records) look(ctx context.Context) {
	a := &rs.again
	a.mu.Lock()
	a.forgetLocked()
	tags := make(map[string]string)
	for _, v := range a.list {
		tags[v.epoch] = v.tag
	}
	a.mu.Unlock()
	for epoch, tag := range tags {
		v, err := rs.st.Get(ctx, key(tag))
		if errors.Is(err, store.ErrNotFound) { // lost whole, which says nothing of the epoch by itself
			v.Epoch, err = rs.update(ctx, tag, func(time.Time, *access.Record) error { return store.ErrUnchanged })
		}
		if err != nil {
			continue
		}
		rs.seen(v.Epoch)
		if v.Epoch != epoch { // the record has moved to another shard, or its own is not what it was
			a.mu.Lock()
			for _, v := range a.list {
				v.lost = v.lost || v.epoch == epoch
			}
			a.mu.Unlock()
		}
	}
}

func (rs *Records) setLost(v *revocation, lost bool) {
	rs.again.mu.Lock()
	defer rs.again.mu.Unlock()
	v.lost = lost
}
