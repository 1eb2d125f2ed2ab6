// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/store"
)

// TestTogether has changes wait until they are made in one transaction: what
// fails, changes nothing, panics or is given up leaves nothing behind and takes
// nobody along.
func TestTogether(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "store.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, gone := t.Context(), errors.New("no")
	count := func(_ time.Time, old store.Value) (store.Value, error) {
		n, _ := strconv.Atoi(string(old.Data)) // 0 if there is none
		return store.Value{Data: []byte(strconv.Itoa(n + 1))}, nil
	}
	once := limit.Rate{Count: 1, Per: time.Hour}
	if d, err := s.Allow(ctx, []limit.Ask{{Key: "spent", Rate: once}}); err != nil || !d.Allowed {
		t.Fatal(d, err)
	}

	s.writer <- struct{}{} // nobody's turn yet
	var all sync.WaitGroup
	var right, refused, panics, late atomic.Int64
	given, giveUp := context.WithCancel(ctx)
	defer giveUp()
	queued := 0
	start := func(f func()) {
		all.Go(f)
		queued++
		for waiting := -1; waiting != queued; time.Sleep(time.Millisecond) { // one after the other
			s.turns.Lock()
			waiting = len(s.waiting)
			s.turns.Unlock()
		}
	}
	for i := range 3 {
		start(func() {
			if err := s.Update(ctx, "n", count); err == nil {
				right.Add(1)
			}
		})
		start(func() {
			err := s.Update(ctx, "n", func(now time.Time, old store.Value) (store.Value, error) {
				v, _ := count(now, old)
				return v, gone
			})
			if err == gone {
				refused.Add(1)
			}
		})
		start(func() { // counts the first, and takes it back because of the second
			d, err := s.Allow(ctx, []limit.Ask{{Key: "free", Rate: once}, {Key: "spent", Rate: once}})
			if err == nil && !d.Allowed {
				refused.Add(1)
			}
		})
		start(func() {
			defer func() {
				if recover() == "mine" {
					panics.Add(1)
				}
			}()
			_ = s.Update(ctx, "n", func(time.Time, store.Value) (store.Value, error) { panic("mine") })
		})
		start(func() {
			now := time.Now()
			if err := s.Put(ctx, store.Item{ID: fmt.Sprint(i), Due: now, Expires: now.Add(time.Hour)}); err == nil {
				right.Add(1)
			}
		})
	}
	all.Go(func() {
		if err := s.Update(given, "n", count); errors.Is(err, store.ErrUnknown) {
			late.Add(1)
		}
	})
	for late.Load() == 0 {
		giveUp()
		time.Sleep(time.Millisecond)
	}
	<-s.writer
	all.Wait()
	if right.Load() != 6 || refused.Load() != 6 || panics.Load() != 3 {
		t.Errorf("%d were made, %d refused, %d panicked; want 6, 6 and 3", right.Load(), refused.Load(), panics.Load())
	}
	if v, err := s.Get(ctx, "n"); err != nil || string(v.Data) != "3" {
		t.Errorf("counted %s, %v, want 3", v.Data, err)
	}
	if d, err := s.Allow(ctx, []limit.Ask{{Key: "free", Rate: once}}); err != nil || !d.Allowed {
		t.Errorf("what was refused was counted: %+v, %v", d, err)
	}
	if items, err := s.Lease(ctx, store.Fresh, 9, time.Minute); err != nil || len(items) != 3 {
		t.Errorf("%d items, %v, want 3", len(items), err)
	}
	checkWhole(t, s)
}
