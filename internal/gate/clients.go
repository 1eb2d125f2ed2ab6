// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/directory/file"
)

// What changes on the list of clients holds at once, because every use of a
// record asks the list. It must also hold for good: a row that is put back must
// not bring back the sessions and links that it had when it went. So each
// change is noted, in order, and made to the record, however long the store is
// down and however often the configuration is loaded again meanwhile.

// change is one thing that happened to one client on the list.
type change struct {
	id string
	// was is what was on file until then, and is from then on; the zero one is
	// nothing.
	was, is directory.Client
}

// follow watches the list of clients of c in place of that of before, and notes
// what differs between the two.
func (rt *Runtime) follow(before, c *Config) {
	rt.mu.Lock()
	stop := rt.watch
	rt.watch = nil
	closed := rt.closed
	rt.mu.Unlock()
	if stop != nil {
		stop() // without the lock: what it waits for may note something
	}
	rt.meter.stale.Store(false) // the list of c has just been read
	list, ok := c.Clients.(*file.File)
	if !ok || closed {
		return
	}
	if before != nil {
		if old, ok := before.Clients.(*file.File); ok && old != list {
			ids, added := list.Since(old)
			rt.note(c, old, ids, added)
		}
	}
	ctx, cancel := context.WithCancel(rt.life)
	var running sync.WaitGroup
	running.Go(func() {
		list.Watch(ctx, time.Second, file.Report{
			Changed: func(old *file.File, ids, added []string) {
				rt.meter.stale.Store(false)
				rt.note(c, old, ids, added)
			},
			Failed: func(err error) {
				rt.meter.stale.Store(true)
				c.Log.Error("reading the list of clients; the list before it stays", zap.Error(err))
			},
		})
	})
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.closed { // meanwhile; nobody would stop it
		cancel()
		return
	}
	rt.watch = func() { cancel(); running.Wait() }
}

// note notes how the clients with these ids stood before and stand now. One who
// was added starts afresh.
func (rt *Runtime) note(c *Config, before *file.File, ids, added []string) {
	if len(ids) == 0 {
		return
	}
	c.Log.Info("the list of clients changed", zap.Int("clients", len(ids)))
	var changes []change
	for _, id := range added {
		changes = append(changes, change{id: id})
	}
	for _, id := range ids {
		was, _ := before.ByID(rt.life, id)
		is, _ := c.Clients.ByID(rt.life, id)
		changes = append(changes, change{id: id, was: was, is: is})
	}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.changes = append(rt.changes, changes...)
	if !rt.settling && !rt.closed {
		rt.settling = true
		rt.background.Go(rt.settle)
	}
}

// settle makes the noted changes to the records, one after the other.
func (rt *Runtime) settle() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		rt.mu.Lock()
		if len(rt.changes) == 0 {
			rt.changes, rt.settling = nil, false
			rt.mu.Unlock()
			return
		}
		next := rt.changes[0]
		rt.mu.Unlock()
		err := rt.settleOne(next)
		if err == nil {
			rt.mu.Lock()
			rt.changes = rt.changes[1:]
			rt.mu.Unlock()
			continue
		}
		if rt.life.Err() == nil && rt.unsettled.Due(rt.now()) {
			rt.conf.Load().Log.Error("taking a change of the list of clients to a record; those after it wait, and it is tried every second",
				zap.String("client", next.id), zap.Error(err))
		}
		select {
		case <-rt.life.Done():
			return
		case <-tick.C:
		}
	}
}

func (rt *Runtime) settleOne(ch change) error {
	e, err := rt.open(rt.life)
	if err != nil {
		return err
	}
	if err := rt.announceChange(rt.life, e, ch.was, ch.is); err != nil {
		return err
	}
	return e.records.Rebind(rt.life, ch.id, e.boundTo(ch.is))
}
