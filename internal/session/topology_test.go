// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"testing"

	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/store/redis"
)

// topology is some servers, one of which is about to be lost.
type topology struct {
	replicas int // to wait for; zero if there are none
	options  redis.Options
	faults   []fault
	// mine reports whether the records of a tag are on the server that is to be
	// lost; nil is all are.
	mine func(tag string) bool
	// heal makes all as it was before, but for who is primary.
	heal func()
}

// fault loses a server. lag keeps what is written from then on from the
// replicas, strike makes one of them the primary, and returns when it is; nil
// lag is none. after is once everybody has looked.
type fault struct {
	name               string
	lag, strike, after func()
}

// cut ends the replication of a primary to replicas that are halted, and so do
// not come back before they go on. What is in the wires between is lost as well.
func cut(primary *redistest.Server, replicas ...*redistest.Server) (mend func()) {
	for _, r := range replicas {
		r.Halt()
	}
	primary.Do("CLIENT", "KILL", "TYPE", "replica")
	return func() {
		for _, r := range replicas {
			r.Cont()
		}
	}
}

func behindSentinels(t *testing.T) *topology {
	w := redistest.Sentinel(t)
	top := &topology{replicas: 2, options: redis.Options{
		URL: w.Servers[0].URL(), Sentinel: redistest.SentinelName, Sentinels: w.Addrs(),
	}}
	var p *redistest.Server
	var others []*redistest.Server
	mend := func() {}
	lag := func() {
		p, others = w.Primary(), nil
		for _, s := range w.Servers {
			if s != p {
				others = append(others, s)
			}
		}
		mend = cut(p, others...)
	}
	promoted := func() {
		mend()
		redistest.Await(t, "a replica is promoted", func() bool { // a halted server is better not asked
			return others[0].Info("replication", "role") == "master" || others[1].Info("replication", "role") == "master"
		})
	}
	top.faults = []fault{
		{"kill -9", lag, func() { p.Kill(); promoted() }, func() { p.Start() }},
		{"SIGSTOP", lag, func() { p.Halt(); promoted() }, func() { p.Cont() }},
		{"SENTINEL FAILOVER", nil, func() { w.Failover() }, nil},
	}
	top.heal = func() {
		redistest.Await(t, "everybody follows", func() bool {
			n := 0
			for _, s := range w.Servers {
				if s.Info("replication", "role") == "slave" && s.Info("replication", "master_link_status") == "up" {
					n++
				}
			}
			return n == 2 && w.Primary() != nil
		})
		w.AwaitReplicas(w.Primary())
	}
	return top
}

func clustered(t *testing.T) *topology {
	n := redistest.Cluster(t)
	const some = "{some}"
	p, r := n.Owner(some), (*redistest.Server)(nil)
	top := &topology{replicas: 1, options: redis.Options{
		URL: n.Servers[0].URL(), Cluster: true, Nodes: n.Addrs()[1:],
	}}
	top.mine = func(tag string) bool {
		_, err := p.Try("EXISTS", "{"+tag+"}")
		return err == nil
	}
	mend := func() {}
	lag := func() { r = n.Replica(p); mend = cut(p, r) }
	top.faults = []fault{
		{"kill -9, TAKEOVER", lag, func() { p.Kill(); mend(); n.Takeover(r) }, func() { p.Start() }},
		{"SIGSTOP, TAKEOVER", lag, func() { p.Halt(); mend(); n.Takeover(r) }, func() { p.Cont() }},
		{"TAKEOVER", func() { r = n.Replica(p) }, func() { n.Takeover(r) }, nil},
	}
	top.heal = func() {
		redistest.Await(t, "the old primary follows", func() bool {
			return p.Info("replication", "role") == "slave" && p.Info("replication", "master_link_status") == "up"
		})
		n.AwaitOK()
		p = r
	}
	return top
}

// restarted is one server, which starts from a snapshot that is too old.
func restarted(t *testing.T) *topology {
	s := redistest.Standalone(t)
	return &topology{
		options: redis.Options{URL: s.URL()}, heal: func() {},
		faults: []fault{{"restart from a snapshot", func() { s.Do("SAVE") }, s.Restart, nil}},
	}
}
