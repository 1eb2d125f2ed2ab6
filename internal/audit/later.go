// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/portalgate/portalgate/internal/store"
)

// maxQueued bounds what waits in memory while the store is away.
const maxQueued = 4096

// Later appends an event within about a second. It is for what changes nothing, a
// dead link that was refused or what became of a mail: while it waits it is in
// memory only, and a process that is killed loses it. Of refusals that are alike one
// is kept while it waits. About nobody it is not kept,
// but costs the same: see Pretend.
func (c *Chain) Later(ev Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ev.Outcome != "" && ev.By == "" && slices.ContainsFunc(c.queued, ev.again) {
		return // a dead link that is pressed in a loop is refused once a second
	}
	c.queued = append(c.queued, ev)
	c.boundLocked()
}

// boundLocked gives up what there is no room for, the oldest first. What staff have
// done is the last to go: strangers can bring about the rest, as often as they like.
func (c *Chain) boundLocked() {
	for over := len(c.queued) - maxQueued; over > 0; {
		first, n := max(0, slices.IndexFunc(c.queued, func(ev Event) bool { return ev.By == "" })), 1
		for n < over && first+n < len(c.queued) && c.queued[first+n].By == "" {
			n++
		}
		c.queued = slices.Delete(c.queued, first, first+n)
		c.lost, over = c.lost+n, over-n
	}
}

// again reports whether o tells the same of the same, from the same network.
func (e Event) again(o Event) bool {
	return o.What == e.What && o.Client == e.Client && o.Method == e.Method && o.Outcome == e.Outcome && network(o.From) == network(e.From)
}

// network is what a visitor cannot change of an address: all of IPv4, and the /64 that
// one customer gets of IPv6.
func network(from string) string {
	ip, err := netip.ParseAddr(from)
	if err != nil || ip.Unmap().Is4() {
		return from
	}
	return netip.PrefixFrom(ip.WithZone(""), 64).Masked().String()
}

// Flush appends what Later was given. An error says that it waits on. How many had no
// room is an event of its own, once there is somewhere to keep it: as long as the
// store is away they would be one a second.
func (c *Chain) Flush(ctx context.Context) error {
	c.mu.Lock()
	events, lost := c.queued, c.lost
	c.queued, c.lost = nil, 0
	c.mu.Unlock()
	about := slices.DeleteFunc(slices.Clone(events), func(ev Event) bool { return ev.Client == "" && ev.By == "" })
	var err error
	switch {
	case len(events) == 0:
	case len(about) == 0:
		err = c.Pretend(ctx)
	default:
		err = c.Append(ctx, about...)
	}
	if err != nil {
		c.mu.Lock()
		c.queued, c.lost = append(events, c.queued...), c.lost+lost
		c.boundLocked()
		c.mu.Unlock()
		return err
	}
	if lost > 0 {
		c.Later(Event{ID: fmt.Sprintf("lost-%d-%d", lost, time.Now().UnixNano()), At: time.Now(), What: "events_lost", By: "gate", Note: fmt.Sprintf("%d events had no room", lost)})
	}
	return nil
}

// Roll closes a piece that is old enough, so that the store need not keep it
// where nothing happens any more.
func (c *Chain) Roll(ctx context.Context) error {
	n, h, err := c.current(ctx)
	if err != nil {
		return err
	}
	_, err = c.extend(ctx, n, h, nil)
	return err
}

// Pretend writes to the store as appending does, and adds nothing: what is done
// for somebody on file must not be told by its cost from what is done for nobody.
func (c *Chain) Pretend(ctx context.Context) error {
	return c.st.Update(ctx, "audit/nobody", func(now time.Time, _ store.Value) (store.Value, error) {
		return store.Value{Data: encode(now.UnixMilli()), Expires: now.Add(segmentAge)}, nil
	})
}
