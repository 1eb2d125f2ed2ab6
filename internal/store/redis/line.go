// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"runtime"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	// maxFlights is how many exchanges with a node are under way at once, each
	// on a connection of its own. Calls that come meanwhile wait for one to end
	// and travel together: under load a call costs both sides far less, and one
	// connection that hangs holds up only who is on it.
	maxFlights = 4
	// maxAboard is how many calls are one exchange at most.
	maxAboard = 64
)

// A station is where calls for one node wait.
type station struct {
	breaker breaker

	mu      sync.Mutex
	node    *goredis.Client // guarded by mu, as are the others; the client there was last
	waiting []*call
	flights int
}

func (s *Store) station(n *goredis.Client) *station {
	addr := n.Options().Addr
	if st, ok := s.stations.Load(addr); ok {
		return st.(*station)
	}
	st, _ := s.stations.LoadOrStore(addr, new(station))
	return st.(*station)
}

// join has calls sent to a node, together, and counts them in until what came
// of them is in them.
func (s *Store) join(l leg, arrived *sync.WaitGroup) {
	arrived.Add(len(l.calls))
	for _, c := range l.calls {
		c.arrived = arrived
	}
	st := s.station(l.node)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.node, st.waiting = l.node, append(st.waiting, l.calls...)
	if st.flights < maxFlights {
		st.flights++
		s.running.Go(func() { s.fly(st) })
	}
}

// fly makes exchanges until nobody waits. They belong to no caller: one who
// gives up takes nobody's answer along, and waits for its own, which comes
// within the time of an exchange or two.
func (s *Store) fly(st *station) {
	for {
		runtime.Gosched() // whoever is ready to come along does
		st.mu.Lock()
		n, calls := st.node, st.waiting[:min(len(st.waiting), maxAboard)]
		st.waiting = st.waiting[len(calls):]
		if len(calls) == 0 {
			st.flights, st.waiting = st.flights-1, nil
			st.mu.Unlock()
			return
		}
		st.mu.Unlock()
		ctx := until{context.Background(), time.Now().Add(s.timeout)}
		s.send(ctx, context.Background(), n, 0, calls...)
		for _, c := range calls {
			c.arrived.Done()
		}
	}
}
