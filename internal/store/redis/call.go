// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"strings"
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
	casScript   = newScript(casLua)
	markScript  = newScript(markLua)
	allowScript = newScript(allowLua)
	putScript   = newScript(queueLua + putLua)
	leaseScript = newScript(queueLua + leaseLua)
	doneScript  = newScript(queueLua + doneLua)
	retryScript = newScript(queueLua + retryLua)
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

// how a call is sent.
type how int

const (
	source how = 1 << iota // the script itself, not its hash
	asking                 // to a node to which the slot is being moved
)

// send makes calls of one node, on one connection, which is what WAIT counts
// for: that of another connection would be about what that one wrote last.
func (s *Store) send(ctx, caller context.Context, n *goredis.Client, how how, calls ...*call) {
	b := &s.station(n).breaker
	probe, err := b.enter()
	if err != nil {
		for _, c := range calls {
			c.err = err
		}
		return
	}
	s.trips.Add(1)
	defer func() { s.leave(ctx, caller, b, probe, calls) }()
	if c := calls[0]; len(calls) == 1 && how == 0 && !c.wait && c.script != nil { // without a pipeline's cost
		if c.reply, c.err = n.EvalSha(ctx, c.script.hash, c.keys, c.args...).Result(); c.reply == nil && c.err == nil {
			c.err = errReply
		}
		return
	}

	// A node that is asked for records says first what it is, so that what it
	// is asked for can be believed. See history.lua, which is for the rest.
	var self *goredis.StringCmd
	var now *goredis.TimeCmd
	pipe := n.Pipeline()
	for _, c := range calls {
		if c.script == nil {
			self, now = pipe.Info(ctx, "replication"), pipe.Time(ctx)
			break
		}
	}
	reads, replies, waits := make([]*goredis.StringCmd, len(calls)), make([]*goredis.Cmd, len(calls)), make([]*goredis.Cmd, len(calls))
	for i, c := range calls {
		if how&asking != 0 {
			pipe.Do(ctx, "ASKING")
		}
		switch {
		case c.script == nil:
			reads[i] = pipe.Get(ctx, c.keys[0])
		case how&source != 0:
			replies[i] = pipe.Eval(ctx, c.script.source, c.keys, c.args...)
		default:
			replies[i] = pipe.EvalSha(ctx, c.script.hash, c.keys, c.args...)
		}
		if c.wait {
			// It ends before the exchange does: how many did is an answer.
			deadline, _ := ctx.Deadline()
			d := time.Until(deadline) - s.timeout/5
			waits[i] = pipe.Do(ctx, "WAIT", s.replicas, max(1, d.Milliseconds())) // 0 is for ever
		}
	}
	_, err = pipe.Exec(ctx)

	var epoch string
	var unfit error
	if self != nil {
		// A command that has neither reply nor error was never sent: where a
		// connection is refused with an answer, as for a wrong password, the
		// error is the pipeline's alone.
		if epoch, unfit = history(self.Val()); unfit != nil {
			unfit = cmp.Or(self.Err(), err, unfit)
		}
		unfit = cmp.Or(unfit, now.Err())
	}
	for i, c := range calls {
		if c.script == nil {
			c.found, c.err = found{now: now.Val(), epoch: epoch}, unfit
			record, err := reads[i].Result()
			switch {
			case errors.Is(err, goredis.Nil):
			case err != nil:
				c.err = err
			case len(record) < recordHeader:
				c.err = cmp.Or(unfit, errDamaged)
			default:
				c.found.record = record
			}
			continue
		}
		// No script returns nothing.
		if c.reply, c.err = replies[i].Result(); c.reply == nil && c.err == nil {
			c.err = cmp.Or(err, errReply)
		}
		if c.wait && c.err == nil {
			c.acks, c.err = waits[i].Int()
		}
	}
}

// history is the replication id in what a node says of itself, and an error if
// it is no primary.
func history(info string) (string, error) {
	const size = 16
	_, id, ok := strings.Cut(info, "master_replid:")
	switch {
	case strings.Contains(info, "role:slave"):
		return "", errReplica
	case !ok || len(id) < size:
		return "", errReply
	}
	return id[:size], nil
}

// leave tells a breaker what came of calls.
func (s *Store) leave(ctx, caller context.Context, b *breaker, probe bool, calls []*call) {
	verdict, failed := silent, false
	for _, c := range calls {
		failed = failed || c.err != nil
		if c.err == nil || isReply(c.err) {
			verdict = answered
		}
	}
	if verdict == silent && gone(caller) {
		verdict = unasked
	}
	b.leave(probe, verdict)
	if cluster, ok := s.client.(*goredis.ClusterClient); ok && failed {
		cluster.ReloadState(ctx) // another node may have taken its place
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
