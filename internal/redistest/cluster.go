// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redistest

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Nodes are a cluster of three primaries with a replica each.
type Nodes struct {
	Servers []*Server // three primaries, and in the same order their replicas
	t       testing.TB
}

// Cluster starts one. The arguments are added to each server's command line.
func Cluster(t testing.TB, args ...string) *Nodes {
	t.Helper()
	n := &Nodes{t: t}
	bus := make([]string, 6)
	for i := range bus {
		bus[i] = FreePort(t)
		s := prepare(t, "redis-server", slices.Concat([]string{"--cluster-enabled", "yes", "--cluster-port", bus[i],
			"--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0"}, syncing, args)...)
		s.start()
		n.Servers = append(n.Servers, s)
	}
	first := n.Servers[0]
	for i, s := range n.Servers {
		s.Do("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		if i > 0 {
			first.Do("CLUSTER", "MEET", "127.0.0.1", s.Port, bus[i])
		}
	}
	for _, s := range n.Servers {
		s.Await("knows the others", func() bool {
			return strings.Count(s.try("CLUSTER", "NODES"), " connected") == len(n.Servers)
		})
	}
	const slots = 16384
	for i := range 3 {
		s := n.Servers[i]
		s.Do("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(i*slots/3), strconv.Itoa((i+1)*slots/3-1))
		n.Servers[i+3].Do("CLUSTER", "REPLICATE", s.ID())
	}
	n.AwaitOK()
	return n
}

// ID is a cluster node's name for itself.
func (s *Server) ID() string { return s.Do("CLUSTER", "MYID") }

// AwaitOK waits until all nodes that run say that the cluster is complete and
// that its replicas follow.
func (n *Nodes) AwaitOK() {
	n.t.Helper()
	for _, s := range n.Servers {
		if !s.running() {
			continue
		}
		s.Await("is whole", func() bool {
			info := s.try("CLUSTER", "INFO")
			if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_slots_assigned:16384") {
				return false
			}
			if s.Info("replication", "role") == "master" {
				return s.Info("replication", "connected_slaves") == "0" || s.acknowledged(1)
			}
			return s.Info("replication", "master_link_status") == "up"
		})
	}
}

// Addrs are the nodes' addresses.
func (n *Nodes) Addrs() (addrs []string) {
	for _, s := range n.Servers {
		addrs = append(addrs, s.Addr())
	}
	return addrs
}

// Owner is the running primary that has a key's slot.
func (n *Nodes) Owner(key string) (owner *Server) {
	n.t.Helper()
	Await(n.t, "somebody owns the key", func() bool {
		for _, s := range n.Servers {
			// An owner answers; others say who it is.
			if s.running() && s.Info("replication", "role") == "master" {
				if _, err := s.Try("EXISTS", key); err == nil {
					owner = s
					return true
				}
			}
		}
		return false
	})
	return owner
}

// Replica is the server that follows a primary.
func (n *Nodes) Replica(primary *Server) *Server {
	n.t.Helper()
	for _, s := range n.Servers {
		if s.running() && s.Info("replication", "master_port") == primary.Port {
			return s
		}
	}
	n.t.Fatal("the primary has no replica")
	return nil
}

// Takeover has a replica take its primary's place, whatever the others say,
// and waits until it has it.
func (n *Nodes) Takeover(replica *Server) {
	n.t.Helper()
	replica.Do("CLUSTER", "FAILOVER", "TAKEOVER")
	replica.Await("is primary", func() bool { return replica.Info("replication", "role") == "master" })
}
