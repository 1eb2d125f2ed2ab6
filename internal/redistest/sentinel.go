// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redistest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Watched is a primary with two replicas and three sentinels, which have given
// up on a primary after half a second.
type Watched struct {
	Servers   []*Server // the first is the primary to begin with
	Sentinels []*Server
	t         testing.TB
}

// SentinelName is what the sentinels call the primary.
const SentinelName = "portalgate"

// syncing has a primary sync its replicas from a file: one that is synced from
// memory is sent nothing more for up to a second.
var syncing = []string{"--repl-diskless-sync", "no", "--repl-ping-replica-period", "1"}

// Sentinel starts one. The arguments are added to each server's command line.
func Sentinel(t testing.TB, args ...string) *Watched {
	t.Helper()
	w := &Watched{t: t}
	for i := range 3 {
		args := append(slices.Clone(syncing), args...)
		if i > 0 {
			args = append(args, "--replicaof", "127.0.0.1 "+w.Servers[0].Port)
		}
		w.Servers = append(w.Servers, prepare(t, "redis-server", args...))
		w.Servers[i].start()
	}
	w.AwaitReplicas(w.Servers[0])
	for range 3 {
		s := prepare(t, "redis-sentinel")
		conf := filepath.Join(s.Dir, "sentinel.conf")
		text := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\n"+
			"sentinel monitor %[3]s 127.0.0.1 %[4]s 2\nsentinel down-after-milliseconds %[3]s 500\n"+
			"sentinel failover-timeout %[3]s 1000\nsentinel parallel-syncs %[3]s 2\n",
			s.Port, s.Dir, SentinelName, w.Servers[0].Port)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.args = []string{conf}
		s.start()
		// They look far more often than they do by themselves, and a test
		// machine that is busy is not one whose clock jumps.
		s.Do("SENTINEL", "DEBUG", "info-period", "200", "ping-period", "100", "ask-period", "100",
			"publish-period", "200", "election-timeout", "2000", "min-link-reconnect-period", "500",
			"tilt-trigger", "10000", "tilt-period", "1000")
		w.Sentinels = append(w.Sentinels, s)
	}
	for _, s := range w.Sentinels {
		s.Await("knows the others", func() bool {
			_, err := s.Try("SENTINEL", "CKQUORUM", SentinelName)
			return err == nil && s.Info("sentinel", "master0") ==
				"name="+SentinelName+",status=ok,address="+w.Servers[0].Addr()+",slaves=2,sentinels=3"
		})
	}
	return w
}

// AwaitReplicas waits until all other servers that run follow a primary.
func (w *Watched) AwaitReplicas(primary *Server) {
	w.t.Helper()
	n := -1
	for _, s := range w.Servers {
		if s.running() {
			n++
		}
	}
	primary.Await("has its replicas", func() bool { return primary.acknowledged(n) })
}

// Addrs are the sentinels' addresses.
func (w *Watched) Addrs() (addrs []string) {
	for _, s := range w.Sentinels {
		addrs = append(addrs, s.Addr())
	}
	return addrs
}

// Primary is the server that the sentinels say is the primary, and that says so
// too; nil if there is none at the moment.
func (w *Watched) Primary() *Server {
	for _, s := range w.Sentinels {
		addr := s.try("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SentinelName)
		for _, p := range w.Servers {
			if addr == "127.0.0.1\n"+p.Port && p.running() && p.Info("replication", "role") == "master" {
				return p
			}
		}
	}
	return nil
}

// AwaitPrimary waits until another server than the old one is the primary, and
// returns it.
func (w *Watched) AwaitPrimary(old *Server) (p *Server) {
	w.t.Helper()
	Await(w.t, "another server is primary", func() bool {
		p = w.Primary()
		return p != nil && p != old
	})
	return p
}

// Failover has the sentinels promote a replica of a primary that is well, and
// returns it.
func (w *Watched) Failover() *Server {
	w.t.Helper()
	old := w.Primary()
	var asked time.Time
	Await(w.t, "the sentinels have promoted a replica", func() bool {
		if p := w.Primary(); p != nil && p != old {
			return true
		}
		// They may not like any replica yet, and give up.
		if time.Since(asked) > 2*time.Second {
			asked = time.Now()
			w.Sentinels[0].Try("SENTINEL", "FAILOVER", SentinelName)
		}
		return false
	})
	return w.AwaitPrimary(old)
}

func (s *Server) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc != nil
}
