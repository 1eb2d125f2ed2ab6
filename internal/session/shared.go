// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/store"
)

const (
	// sharedLife is how long a copy of a record serves where other gates change
	// the same store: what a feed could not tell is over after that.
	sharedLife = 5 * time.Second
	// againLife is how long what was revoked is remembered, to be revoked once
	// more if the store loses the write.
	againLife = time.Minute
	// maxAgain bounds that memory.
	maxAgain = 10_000
)

// again is what this process revoked lately, for a store that may lose writes
// that it has acknowledged: another primary may never have had them.
type again struct {
	mu sync.Mutex

	epoch string // guarded by mu; of the store, as last seen
	list  []revocation
}

type revocation struct {
	at   time.Time
	tag  string
	what access.Revoked
}

// Share says that other processes change the store too. It is called before
// anything else.
func (rs *Records) Share() { rs.cache.life = sharedLife }

// Changed takes up that another process changed the value of key, or that
// nobody knows what changed, if key is empty: copies are dropped, and what is
// open in a session that has ended is closed.
func (rs *Records) Changed(ctx context.Context, changed string, dir directory.Directory, lt access.Lifetimes) {
	tag, ok := strings.CutPrefix(changed, key(""))
	switch {
	case changed == "":
		rs.cache.clear()
	case !ok:
		return
	default:
		rs.cache.drop(tag)
	}
	for o := range rs.streams.sessions(tag) {
		rs.sweep(ctx, o, dir, lt)
	}
}

// seen notes the epoch that the store is in. If it is another one than before,
// what was revoked lately is revoked again.
func (rs *Records) seen(epoch string) {
	if epoch == "" {
		return
	}
	a := &rs.again
	a.mu.Lock()
	before := a.epoch
	a.epoch = epoch
	var list []revocation
	if before != "" && before != epoch {
		list, a.list = a.list, nil
	}
	a.mu.Unlock()
	for _, v := range list {
		if rs.now().Sub(v.at).Abs() < againLife {
			rs.soon(job{"again " + v.tag + v.at.String(), v.tag, func(now time.Time, r *access.Record) error {
				if !r.Revoke(now, v.what) {
					return store.ErrUnchanged
				}
				return nil
			}})
		}
	}
}

// revoked remembers what a change took away.
func (rs *Records) revoked(tag, epoch string, what access.Revoked) {
	if epoch == "" || what.Empty() {
		return
	}
	a := &rs.again
	a.mu.Lock()
	defer a.mu.Unlock()
	now := rs.now()
	for len(a.list) > 0 && (len(a.list) >= maxAgain || now.Sub(a.list[0].at).Abs() >= againLife) {
		a.list = a.list[1:]
	}
	a.list = append(a.list, revocation{now, tag, what})
}
