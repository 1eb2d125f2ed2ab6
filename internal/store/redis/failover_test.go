// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/store"
)

// TestS05_WaitOnTheWritingConnection: WAIT answers for its own connection. On
// another it says that replicas have what they do not have, and a link could be
// used twice.
func TestS05_WaitOnTheWritingConnection(t *testing.T) {
	w := redistest.Sentinel(t)
	s := open(t, behind(w, 2))
	mustUpdate(t, s, "access/0", "value") // the server has the scripts then
	if err := s.Update(t.Context(), "access/0", unchanged); err != nil {
		t.Fatal(err)
	}
	end := w.Servers[0].Monitor()
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 20 {
				f := set(fmt.Sprint(j))
				if j%3 == 0 {
					f = unchanged
				}
				if err := s.Update(t.Context(), fmt.Sprint("access/", i), f); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	last := make(map[string]string) // what each connection ran before
	waits, writes := 0, 0
	for _, line := range end() {
		_, rest, ok := strings.Cut(line, "[0 ")
		addr, command, ok2 := strings.Cut(rest, "] ")
		if !ok || !ok2 {
			continue
		}
		ran := strings.ToUpper(strings.Trim(strings.Fields(command)[0], `"`))
		isWrite := strings.Contains(command, casScript.hash) || strings.Contains(command, markScript.hash)
		if isWrite {
			writes++
			ran = "WRITE"
		}
		if ran == "WAIT" {
			waits++
			if last[addr] != "WRITE" {
				t.Errorf("WAIT after %q on its connection", last[addr])
			}
		} else if last[addr] == "WRITE" {
			t.Errorf("%s and no WAIT after a write", ran)
		}
		last[addr] = ran
	}
	if waits < 16*20 || waits != writes {
		t.Errorf("%d writes and %d WAITs, want as many, and one for each of %d updates", writes, waits, 16*20)
	}
}

// TestReplicasShort: what too few replicas have is "unknown", to every gate that
// looks at it, until they have it. Otherwise whoever asks a second time, or at
// another gate, would be let in by a write that a failover takes back.
func TestReplicasShort(t *testing.T) {
	w := redistest.Sentinel(t)
	o := behind(w, 2)
	o.timeout = time.Second // a busy machine is late with the answer, and "too late" is another cause
	a, b := open(t, o), open(t, o)
	mustUpdate(t, a, "access/key", "link")
	mustUpdate(t, a, "access/other", "link")
	// Not so long that the sentinels miss it.
	w.Servers[1].Halt()
	begun := time.Now()
	err := a.Update(t.Context(), "access/key", set("used"))
	took := time.Since(begun)
	gone := a.Update(t.Context(), "access/other", func(time.Time, store.Value) (store.Value, error) { return store.Value{}, nil })
	var again []error
	for _, s := range []*Store{a, b} {
		again = append(again, s.Update(t.Context(), "access/key", unchanged), s.Update(t.Context(), "access/other", unchanged))
	}
	w.Servers[1].Cont()
	for i, err := range append(again, err, gone) {
		if !errors.Is(err, store.ErrUnknown) || !errors.Is(err, errReplicas) {
			t.Errorf("Update %d on one replica of two: %v, want ErrUnknown", i, err)
		}
	}
	if took > 2*o.timeout {
		t.Errorf("it took %v to say so", took)
	}
	await(t, "the replica has it", func() bool {
		return b.Update(t.Context(), "access/key", unchanged) == nil
	})
	wantValue(t, b, "access/key", "used") // the write stands
	if _, err := b.Get(t.Context(), "access/other"); err != store.ErrNotFound {
		t.Errorf("what was deleted: %v", err)
	}
}

// TestS06_NoReplicaReads: a replica may hold a session that was ended.
func TestS06_NoReplicaReads(t *testing.T) {
	w := redistest.Sentinel(t)
	s := open(t, behind(w, 0))
	mustUpdate(t, s, "access/key", "live")
	for range 100 {
		wantValue(t, s, "access/key", "live")
	}
	for _, r := range w.Servers[1:] {
		for _, c := range []string{"get", "eval", "evalsha", "evalsha_ro", "mget", "hget"} {
			if n := r.Info("commandstats", "cmdstat_"+c); n != "" {
				t.Errorf("a replica ran %s: %s", c, n)
			}
		}
	}

	// A connection outlives the demotion of the server at its other end, which
	// then serves what it has for as long as it likes.
	old := w.Primary()
	direct := open(t, Options{URL: old.URL()})
	wantValue(t, direct, "access/key", "live")
	w.Failover()
	old.Await("is a replica", func() bool { return old.Info("replication", "role") == "slave" })
	wantUnknown(t, direct, "the server has become a replica")
	await(t, "the new primary answers", func() bool {
		v, err := s.Get(t.Context(), "access/key")
		return err == nil && string(v.Data) == "live"
	})
}

// TestEpochFailover: the primary acknowledges, and dies before a replica has
// heard of it. What was used is unused again: only the epoch tells.
func TestEpochFailover(t *testing.T) {
	w := redistest.Sentinel(t)
	s := open(t, behind(w, 0))
	mustUpdate(t, s, "access/key", "unused")
	before := wantValue(t, s, "access/key", "unused")
	old := w.Primary()
	w.AwaitReplicas(old)
	old.Abandon(w.Servers[1:]...)
	mustUpdate(t, s, "access/key", "used")
	old.Kill()
	w.Servers[1].Cont()
	w.Servers[2].Cont()
	w.AwaitPrimary(old)
	var after store.Value
	await(t, "the new primary answers", func() bool {
		var err error
		after, err = s.Get(t.Context(), "access/key")
		return err == nil
	})
	if string(after.Data) != "unused" {
		t.Fatalf("the new primary has %q: nothing was lost, and nothing shown", after.Data)
	}
	if before.Epoch == "" || after.Epoch == before.Epoch {
		t.Errorf("epoch %q before, %q after a write was lost", before.Epoch, after.Epoch)
	}
}

// TestS08_StaleSnapshot: a server that starts from an old file has forgotten
// what was used since.
func TestS08_StaleSnapshot(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, Options{URL: srv.URL()})
	mustUpdate(t, s, "access/key", "unused")
	before := wantValue(t, s, "access/key", "unused")
	srv.Do("SAVE")
	mustUpdate(t, s, "access/key", "used")
	if now := wantValue(t, s, "access/key", "used"); now.Epoch != before.Epoch {
		t.Errorf("epoch %q, then %q with nothing lost", before.Epoch, now.Epoch)
	}
	srv.Restart()
	var after store.Value
	await(t, "the server answers", func() (ok bool) {
		var err error
		after, err = s.Get(t.Context(), "access/key")
		return err == nil
	})
	if string(after.Data) != "unused" || after.Epoch == before.Epoch {
		t.Errorf("%q in epoch %q after %q in epoch %q", after.Data, after.Epoch, "unused", before.Epoch)
	}
}

// TestEpochInUpdate: a failover between what Update reads and what it writes. The
// connection may survive it, and the record be the same to the byte.
func TestEpochInUpdate(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, Options{URL: srv.URL()})
	mustUpdate(t, s, "access/key", "value")
	for _, key := range []string{"access/key", "access/missing"} {
		var epochs []string
		err := s.Update(t.Context(), key, func(_ time.Time, old store.Value) (store.Value, error) {
			if epochs = append(epochs, old.Epoch); len(epochs) == 1 {
				srv.Do("DEBUG", "CHANGE-REPL-ID") // as a promotion does
			}
			return store.Value{Data: []byte("written")}, nil
		})
		if err != nil || len(epochs) != 2 || epochs[0] == epochs[1] || epochs[0] == "" {
			t.Errorf("f was called in epochs %q (%v), want one call in each", epochs, err)
		}
		wantValue(t, s, key, "written")
	}

	// With replicas as well: a primary that comes back from an old snapshot
	// before anybody has noticed is not one that WAIT has asked.
	r := open(t, Options{URL: srv.URL(), Replicas: 1})
	if v := wantValue(t, r, "access/key", "written"); v.Epoch == "" {
		t.Error("no epoch with replicas")
	}
	// Nor is what is left as it was left so in the history that lost what was
	// before: two gates would sign two browsers in for one link, the one by a
	// write that is lost, the other by a repetition that found it.
	r.Update(t.Context(), "access/key", unchanged) // the server has the script then
	calls := 0
	err := r.Update(t.Context(), "access/key", func(time.Time, store.Value) (store.Value, error) {
		if calls++; calls == 1 {
			srv.Do("DEBUG", "CHANGE-REPL-ID")
		}
		return store.Value{}, store.ErrUnchanged
	})
	if calls != 2 || !errors.Is(err, errReplicas) {
		t.Errorf("f was called %d times (%v), want once in each history", calls, err)
	}
}
