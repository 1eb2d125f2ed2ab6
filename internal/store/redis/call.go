// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	_ "embed"
	"errors"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

//go:embed history.lua
var historyLua string

//go:embed cas.lua
var casLua string

//go:embed mark.lua
var markLua string

//go:embed allow.lua
var allowLua string

//go:embed forget.lua
var forgetLua string

//go:embed queue.lua
var queueLua string

//go:embed put.lua
var putLua string

//go:embed lease.lua
var leaseLua string

//go:embed done.lua
var doneLua string

//go:embed retry.lua
var retryLua string

var (
	casScript    = newScript(casLua)
	markScript   = newScript(markLua)
	allowScript  = newScript(allowLua)
	forgetScript = newScript(forgetLua)
	putScript    = newScript(queueLua + putLua)
	leaseScript  = newScript(queueLua + leaseLua)
	doneScript   = newScript(queueLua + doneLua)
	retryScript  = newScript(queueLua + retryLua)
)

type script struct{ source, hash string }

func newScript(source string) *script {
	source = historyLua + source
	return &script{source, goredis.NewScript(source).Hash()}
}

// maxHops is how many redirections a call follows.
const maxHops = 4

// A call is one thing to be asked of the node that has its keys, and then what
// came of it.
type call struct {
	// script is what to run; none is to read the one key.
	script *script
	keys   []string // all in one slot
	args   []any
	// wait asks how many replicas have what was written so far.
	wait bool

	reply any   // a script's
	found found // what the key had
	acks  int
	err   error

	arrived *sync.WaitGroup // for who waits for the flight it is on
}

// do runs one call.
func (s *Store) do(ctx context.Context, c *call) (any, error) {
	s.run(ctx, c)
	return c.reply, c.err
}

// run runs calls beside one another: those for one node are one round trip.
func (s *Store) run(caller context.Context, calls ...*call) {
	deadline := time.Now().Add(s.timeout)
	var legs []leg
	for _, c := range calls {
		n, err := s.primary(until{caller, deadline}, caller, c.keys[0])
		if err != nil {
			c.err = err
			continue
		}
		legs = board(legs, n, c)
	}
	var arrived sync.WaitGroup
	for _, l := range legs {
		if c := l.calls[0]; c.wait { // WAIT is for what its connection wrote: nobody else travels on it
			s.send(until{caller, deadline}, caller, l.node, 0, c)
		} else {
			s.join(l, &arrived)
		}
	}
	arrived.Wait()
	for _, c := range calls {
		if c.err != nil {
			s.follow(until{caller, deadline}, caller, c)
		}
		if c.err != nil {
			c.err = unknown(c.err)
		}
	}
}

// A leg is the part of some calls that goes to one node.
type leg struct {
	node  *goredis.Client
	calls []*call
}

func board(legs []leg, n *goredis.Client, c *call) []leg {
	for i := range legs {
		if legs[i].node == n {
			legs[i].calls = append(legs[i].calls, c)
			return legs
		}
	}
	return append(legs, leg{n, []*call{c}})
}

// until is a context with a deadline of its own and no timer for it: the client
// goes by the deadline.
type until struct {
	context.Context
	at time.Time
}

func (u until) Deadline() (time.Time, bool) {
	if at, ok := u.Context.Deadline(); ok && at.Before(u.at) {
		return at, true
	}
	return u.at, true
}

// follow sends a call again that was refused before it did anything: to a node
// that has not seen the script, or to another.
func (s *Store) follow(ctx, caller context.Context, c *call) {
	for range maxHops {
		how := how(0)
		var n *goredis.Client
		if addr, ok := goredis.IsMovedError(c.err); ok {
			n = s.nodeAt(ctx, addr)
		} else if addr, ok := goredis.IsAskError(c.err); ok {
			n, how = s.nodeAt(ctx, addr), asking
		} else if !goredis.HasErrorPrefix(c.err, "NOSCRIPT") {
			return
		} else {
			n, c.err = s.primary(ctx, caller, c.keys[0])
		}
		if n == nil {
			return
		}
		s.send(ctx, caller, n, how|source, c)
	}
}

// primary returns the node that holds a key.
func (s *Store) primary(ctx, caller context.Context, key string) (*goredis.Client, error) {
	cluster, ok := s.client.(*goredis.ClusterClient)
	if !ok {
		return s.client.(*goredis.Client), nil
	}
	b := &s.cluster // for the first look at the cluster, which asks all nodes
	probe, err := b.enter()
	if err != nil {
		return nil, err
	}
	n, err := cluster.MasterForKey(ctx, key)
	switch {
	case err == nil || isReply(err):
		b.leave(probe, answered)
	case gone(caller):
		b.leave(probe, unasked)
	default:
		b.leave(probe, silent)
	}
	return n, err
}

// nodeAt returns the node of a cluster at an address, nil if it is not known. It
// looks at the cluster anew.
func (s *Store) nodeAt(ctx context.Context, addr string) *goredis.Client {
	cluster, ok := s.client.(*goredis.ClusterClient)
	if !ok {
		return nil // a single server that belongs to a cluster
	}
	var mu sync.Mutex
	var found *goredis.Client
	cluster.ForEachMaster(ctx, func(_ context.Context, n *goredis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		if n.Options().Addr == addr || n.NodeAddress() == addr {
			found = n
		}
		return nil
	})
	return found
}

// isReply reports whether an error is what a server answered.
func isReply(err error) bool {
	var reply goredis.Error
	return errors.As(err, &reply)
}

// gone reports whether the caller has given up.
func gone(caller context.Context) bool {
	deadline, ok := caller.Deadline()
	return caller.Err() != nil || ok && !time.Now().Before(deadline)
}
