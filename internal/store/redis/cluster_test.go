// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/store"
)

// TestS04_Cluster counts while slots move, scripts are forgotten and a primary
// is replaced: no step may be made twice, and none be lost that was said to be
// made.
func TestS04_Cluster(t *testing.T) {
	for _, replicas := range []int{0, 1} {
		t.Run(fmt.Sprint(replicas, " replicas"), func(t *testing.T) { clusterCounts(t, replicas) })
	}
}

func clusterCounts(t *testing.T, replicas int) {
	n := redistest.Cluster(t)
	o := clustered(n, replicas)
	for _, s := range n.Servers { // as who may do what a gate does and nothing else
		s.Do(append([]string{"ACL", "SETUSER", "gate", "on", ">pa%ss", "+cluster", "+asking"}, rights("main")...)...)
	}
	o.URL = "redis://gate:pa%25ss@" + n.Servers[0].Addr()
	gates := []*Store{open(t, o), open(t, o)}
	const key = "access/counter"
	full := gates[0].name("v", key).full
	mustUpdate(t, gates[0], key, "0")

	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	made := make(map[int]int) // how often each step was acknowledged
	unknowns := 0
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				var step int
				err := gates[i%2].Update(t.Context(), key, func(_ time.Time, old store.Value) (store.Value, error) {
					c, err := strconv.Atoi(string(old.Data))
					step = c + 1
					return store.Value{Data: fmt.Append(nil, step)}, err
				})
				mu.Lock()
				switch {
				case err == nil:
					made[step]++
				case errors.Is(err, store.ErrUnknown):
					unknowns++
				default:
					t.Errorf("Update: %v", err)
				}
				mu.Unlock()
			}
		})
	}
	steps := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(made)
	}
	goOn := func(what string) {
		t.Helper()
		from := steps()
		took := await(t, "calls pass "+what, func() bool { return steps() > from+50 })
		t.Logf("50 steps %s in %v", what, took)
	}

	goOn("at first")
	for _, s := range n.Servers {
		s.Do("SCRIPT", "FLUSH")
	}
	goOn("after SCRIPT FLUSH")
	from := n.Owner(full)
	var to *redistest.Server
	for _, s := range n.Servers[:3] {
		if s != from {
			to = s
		}
	}
	slot := from.Do("CLUSTER", "KEYSLOT", full)
	to.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", from.ID())
	from.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", to.ID())
	from.Do("MIGRATE", "127.0.0.1", to.Port, full, "0", "5000")
	goOn("while the slot moves (ASK)")
	to.Do("CLUSTER", "SETSLOT", slot, "NODE", to.ID())
	from.Do("CLUSTER", "SETSLOT", slot, "NODE", to.ID())
	goOn("after it moved (MOVED)")
	if got := n.Owner(full); got != to {
		t.Errorf("%s owns the key, want %s", got.Port, to.Port)
	}
	if replicas > 0 { // without, an acknowledged step may be lost: the epoch says so
		replica := n.Replica(to)
		replica.Do("CLUSTER", "FAILOVER")
		replica.Await("is primary", func() bool { return replica.Info("replication", "role") == "master" })
		goOn("after a failover")
	}
	cancel()
	wg.Wait()
	for step, times := range made {
		if times > 1 {
			t.Errorf("step %d was made %d times", step, times)
		}
	}
	v, err := gates[0].Get(t.Context(), key)
	last, _ := strconv.Atoi(string(v.Data))
	if err != nil || last < len(made) || last > len(made)+unknowns {
		t.Errorf("the counter is at %q (%v) after %d steps and %d unknown", v.Data, err, len(made), unknowns)
	}
	t.Logf("%d steps, %d unknown", len(made), unknowns)
}

// TestS04_OneShardDown: who is kept elsewhere does not wait for it.
func TestS04_OneShardDown(t *testing.T) {
	n := redistest.Cluster(t, "--cluster-require-full-coverage", "no")
	s := open(t, clustered(n, 0))
	keys := make(map[*redistest.Server]string)
	for i := 0; len(keys) < 3; i++ {
		key := fmt.Sprint("access/", i)
		keys[n.Owner(s.name("v", key).full)] = key
	}
	for _, key := range keys {
		mustUpdate(t, s, key, key)
	}
	dead := n.Servers[0]
	n.Replica(dead).Kill()
	dead.Kill()
	await(t, "the breaker of the dead shard is open", func() bool {
		_, err := s.Get(t.Context(), keys[dead])
		if !errors.Is(err, store.ErrUnknown) {
			t.Fatalf("Get from a dead shard: %v", err)
		}
		return errors.Is(err, errDown)
	})
	for srv, key := range keys {
		if srv != dead {
			wantValue(t, s, key, key)
		}
	}
	// Limits of the dead shard are not passed over.
	for i := range 50 {
		asks := []limit.Ask{
			{Key: fmt.Sprintf("a/{%d}", i), Rate: limit.Rate{Count: 1, Per: time.Hour}},
			{Key: "b/{" + s.name("v", keys[dead]).tag + "}", Rate: limit.Rate{Count: 1, Per: time.Hour}},
		}
		if d, err := s.Allow(t.Context(), asks); !errors.Is(err, store.ErrUnknown) {
			t.Fatalf("Allow with a limit on a dead shard: %+v, %v", d, err)
		}
	}
}
