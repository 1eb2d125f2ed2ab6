// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

//go:embed history.lua
var historyLua string

//go:embed get.lua
var getLua string

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
	getScript   = newScript(getLua)
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

// A call is a script to be run, and then what came of it.
type call struct {
	script *script
	keys   []string // all in one slot
	args   []any
	// wait asks how many replicas have what was written so far.
	wait bool

	reply any
	acks  int
	err   error
}

// do runs one call.
func (s *Store) do(ctx context.Context, c *call) (any, error) {
	s.run(ctx, c)
	return c.reply, c.err
}

// run runs calls beside one another: those for one node are one round trip.
func (s *Store) run(caller context.Context, calls ...*call) {
	ctx, cancel := context.WithTimeout(caller, s.timeout)
	defer cancel()

	nodes := make(map[*goredis.Client][]*call, 1)
	for _, c := range calls {
		n, err := s.primary(ctx, caller, c.keys[0])
		if err != nil {
			c.err = err
			continue
		}
		nodes[n] = append(nodes[n], c)
	}
	var wg sync.WaitGroup
	for n, calls := range nodes {
		if len(nodes) == 1 {
			s.send(ctx, caller, n, 0, calls...)
			break
		}
		wg.Go(func() { s.send(ctx, caller, n, 0, calls...) })
	}
	wg.Wait()
	for _, c := range calls {
		if c.err != nil {
			s.follow(ctx, caller, c)
		}
		if c.err != nil {
			c.err = unknown(c.err)
		}
	}
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
	b := s.breaker(n.Options().Addr)
	probe, err := b.enter()
	if err != nil {
		for _, c := range calls {
			c.err = err
		}
		return
	}
	s.trips.Add(1)
	if c := calls[0]; len(calls) == 1 && how == 0 && !c.wait { // the usual one, without a pipeline's cost
		if c.reply, c.err = n.EvalSha(ctx, c.script.hash, c.keys, c.args...).Result(); c.reply == nil && c.err == nil {
			c.err = errReply
		}
		s.leave(ctx, caller, b, probe, c)
		return
	}

	pipe := n.Pipeline()
	replies, waits := make([]*goredis.Cmd, len(calls)), make([]*goredis.Cmd, len(calls))
	for i, c := range calls {
		if how&asking != 0 {
			pipe.Do(ctx, "ASKING")
		}
		if how&source != 0 {
			replies[i] = pipe.Eval(ctx, c.script.source, c.keys, c.args...)
		} else {
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

	for i, c := range calls {
		// No script returns nothing. A command that has neither reply nor error
		// was never sent: where a connection is refused with an answer, as for a
		// wrong password, the error is the pipeline's alone.
		if c.reply, c.err = replies[i].Result(); c.reply == nil && c.err == nil {
			c.err = cmp.Or(err, errReply)
		}
		if c.wait && c.err == nil {
			c.acks, c.err = waits[i].Int()
		}
	}
	s.leave(ctx, caller, b, probe, calls...)
}

// leave tells a breaker what came of calls.
func (s *Store) leave(ctx, caller context.Context, b *breaker, probe bool, calls ...*call) {
	verdict, failed := silent, false
	for _, c := range calls {
		failed = failed || c.err != nil
		if c.reply != nil || isReply(c.err) {
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
	b := s.breaker("") // for the first look at the cluster, which asks all nodes
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

func (s *Store) breaker(addr string) *breaker {
	if b, ok := s.breakers.Load(addr); ok {
		return b.(*breaker)
	}
	b, _ := s.breakers.LoadOrStore(addr, new(breaker))
	return b.(*breaker)
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
