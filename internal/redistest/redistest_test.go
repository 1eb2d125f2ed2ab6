// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redistest

import (
	"testing"
	"time"
)

func TestStandalone(t *testing.T) {
	s := Standalone(t, "--appendonly", "yes")
	s.Do("SET", "a", "1")
	s.Restart()
	s.Await("has its file", func() bool { return s.try("GET", "a") == "1" })
	s.Halt()
	s.Cont()
	s.Kill()
	if _, err := s.Try("PING"); err == nil {
		t.Error("a killed server answers")
	}
}

func TestSentinel(t *testing.T) {
	begun := time.Now()
	w := Sentinel(t)
	t.Logf("three servers and three sentinels in %v", time.Since(begun))
	old := w.Primary()
	begun = time.Now()
	old.Kill()
	p := w.AwaitPrimary(old)
	t.Logf("another primary %v after the first was killed", time.Since(begun))
	p.Do("SET", "a", "1")
	old.Start()
	old.Await("follows", func() bool { return old.Info("replication", "master_port") == p.Port })
	begun = time.Now()
	if w.Failover() == p {
		t.Error("a failover to the same server")
	}
	t.Logf("a failover in %v", time.Since(begun))
}

func TestCluster(t *testing.T) {
	begun := time.Now()
	n := Cluster(t)
	t.Logf("a cluster of six in %v", time.Since(begun))
	old := n.Owner("a")
	replica := n.Replica(old)
	old.Kill()
	n.Takeover(replica)
	if n.Owner("a") != replica {
		t.Error("the replica does not own the key")
	}
}
