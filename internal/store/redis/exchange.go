// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

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
			// A server looks ten times a second for a WAIT that is over.
			deadline, _ := ctx.Deadline()
			d := time.Until(deadline) - 100*time.Millisecond - s.timeout/5
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
		if epoch, unfit = history(self.Val()); self.Val() == "" {
			unfit = cmp.Or(self.Err(), err, unfit)
		}
		unfit = cmp.Or(unfit, now.Err())
	}
	for i, c := range calls {
		if c.script == nil {
			c.reply, c.found, c.err = nil, found{now: now.Val(), epoch: epoch}, unfit
			record, err := reads[i].Result()
			if self.Val() != "" && (err == nil || isReply(err)) {
				c.reply = record // an answer, whatever is wrong with it
			}
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
