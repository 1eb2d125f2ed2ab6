// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/store"
)

// checkWhole checks that the file is sound, and that each index has an entry
// for each record and no other.
func checkWhole(t *testing.T, s *Store) {
	t.Helper()
	s.db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("the file is damaged: %v", err)
		}
		index := func(name []byte, data *bbolt.Bucket, at func(rec []byte) int64) {
			entries := 0
			tx.Bucket(name).ForEach(func(k, _ []byte) error {
				entries++
				if rec := data.Get(k[8:]); rec == nil || at(rec) != getTime(k) {
					t.Errorf("%s: entry of %q is not that of its record", name, k[8:])
				}
				return nil
			})
			data.ForEach(func(_, rec []byte) error {
				if at(rec) != never {
					entries--
				}
				return nil
			})
			if entries != 0 {
				t.Errorf("%s: %+d entries too many", name, entries)
			}
		}
		for _, tab := range []table{values, limits, queue} {
			index(tab.expiry, tx.Bucket(tab.data), getTime)
		}
		q := tx.Bucket(queue.data)
		inLanes := 0
		for _, name := range lanes {
			tx.Bucket(name).ForEach(func(k, _ []byte) error {
				inLanes++
				if rec := item(q.Get(k[8:])); rec == nil || rec.due() != getTime(k) || !bytes.Equal(rec.lane(), name) {
					t.Errorf("%s: entry of %q is not that of its record", name, k[8:])
				}
				return nil
			})
		}
		if want := q.Stats().KeyN; inLanes != want {
			t.Errorf("the lanes have %d entries for %d items", inLanes, want)
		}
		if got, want := q.Sequence(), uint64(q.Stats().KeyN); got != want {
			t.Errorf("the queue counts %d items and has %d", got, want)
		}
		return nil
	})
}

// records counts what is in the file, seen or not.
func records(s *Store) (n int) {
	s.db.View(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{values.data, values.expiry, limits.data, limits.expiry, queue.data, queue.expiry, lanes[store.Fresh], lanes[store.Again]} {
			n += tx.Bucket(name).Stats().KeyN
		}
		return nil
	})
	return n
}

func fill(t *testing.T, s *Store, n int, life time.Duration) {
	t.Helper()
	if err := s.db.Update(func(tx *bbolt.Tx) error { // n commits would take long
		end := s.now().Add(life)
		for i := range n {
			key := fmt.Append(nil, life, i)
			if err := errors.Join(
				values.put(tx, key, putTime(nil, end.UnixMilli())),
				putInstant(tx, key, end),
				putItem(tx, key, newItem(end.UnixMilli(), 0, 0, nil)),
				tx.Bucket(queue.data).SetSequence(tx.Bucket(queue.data).Sequence()+1),
			); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestSweep(t *testing.T) {
	c := newClock()
	s := open(t, filepath.Join(t.TempDir(), "store.db"), Options{Now: c.now})
	if err := s.Update(t.Context(), "for ever", setTo("value")); err != nil {
		t.Fatal(err)
	}
	fill(t, s, 2*sweepBatch+1, time.Minute)
	fill(t, s, 10, time.Hour)
	full, before := records(s), s.Stats()
	if err := s.sweep(); err != nil {
		t.Fatal(err)
	}
	if got := records(s); got != full {
		t.Errorf("a sweep too early removed %d of %d", full-got, full)
	}
	c.advance(time.Minute + time.Millisecond)
	if err := s.sweep(); err != nil {
		t.Fatal(err)
	}
	if got, want := records(s), 1+10*7; got != want {
		t.Errorf("%d records and entries are left, want %d", got, want)
	}
	if got := s.Stats(); got != before {
		t.Errorf("the sweep was counted: %+v, before %+v", got, before)
	}
	checkWhole(t, s)
}

// TestSweeper: the sweep comes by itself, and ends with the store.
func TestSweeper(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	synctest.Test(t, func(t *testing.T) {
		s := open(t, path, Options{})
		fill(t, s, 10, 90*time.Second)
		for _, want := range []int{70, 0} {
			<-time.After(time.Minute + time.Second)
			synctest.Wait()
			if got := records(s); got != want {
				t.Errorf("%d records and entries are left, want %d", got, want)
			}
		}
	})
}

// TestRandom lets every operation meet every other in one file, and looks
// whether it is still whole.
func TestRandom(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	c := newClock()
	// No crash here, and 3 000 syncs take long.
	db, err := openFile(filepath.Join(t.TempDir(), "store.db"), &bbolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	s := start(db, Options{Now: c.now, QueueSize: 6})
	defer s.Close()
	ctx := t.Context()
	soon := func() time.Time { return c.now().Add(time.Duration(rnd.IntN(90)-10) * time.Second) }
	for range 3000 {
		key := fmt.Sprint(rnd.IntN(10))
		var err error
		switch rnd.IntN(10) {
		case 0, 1:
			err = s.Update(ctx, key, func(time.Time, store.Value) (store.Value, error) {
				return store.Value{Data: bytes.Repeat([]byte("x"), rnd.IntN(3000)), Expires: soon()}, nil
			})
		case 2:
			err = s.Update(ctx, key, func(time.Time, store.Value) (store.Value, error) { return store.Value{}, nil })
		case 3:
			err = s.Update(ctx, key, setTo("for ever"))
		case 4:
			_, err = s.Allow(ctx, []limit.Ask{{Key: key, Rate: limit.Rate{Count: 3, Per: time.Minute}}, {Key: key + "b", Rate: limit.Rate{Count: 1, Per: time.Second}}})
		case 5, 6:
			if err = s.Put(ctx, store.Item{ID: key, Due: soon(), Expires: soon()}); err == store.ErrFull {
				err = nil
			}
		case 7:
			_, err = s.Lease(ctx, store.Lane(rnd.IntN(2)), rnd.IntN(4), 20*time.Second)
		case 8:
			err = errors.Join(s.Done(ctx, key), s.Retry(ctx, fmt.Sprint(rnd.IntN(10)), soon()))
		case 9:
			c.advance(time.Duration(rnd.IntN(20)) * time.Second)
			if rnd.IntN(5) == 0 {
				err = s.sweep()
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	checkWhole(t, s)
}

// TestStats: the counts by which the gate shows that a known and an unknown
// address cost the same.
func TestStats(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store.db"), Options{})
	ctx, later := t.Context(), time.Now().Add(time.Hour)
	ask := func(per ...time.Duration) func() error {
		return func() error {
			var asks []limit.Ask
			for _, p := range per {
				asks = append(asks, limit.Ask{Key: p.String(), Rate: limit.Rate{Count: 1, Per: p}})
			}
			_, err := s.Allow(ctx, asks)
			return err
		}
	}
	refused := errors.New("no")
	for _, tc := range []struct {
		name string
		call func() error
		want Stats
	}{
		{"get nothing", func() error { _, err := s.Get(ctx, "key"); return err }, Stats{Reads: 1}},
		{"update", func() error { return s.Update(ctx, "key", setTo("x")) }, Stats{Writes: 1}},
		{"update to the same", func() error { return s.Update(ctx, "key", setTo("x")) }, Stats{Writes: 1}},
		{"update refused", func() error {
			return s.Update(ctx, "key", func(time.Time, store.Value) (store.Value, error) { return store.Value{}, refused })
		}, Stats{Reads: 1}},
		{"get", func() error { _, err := s.Get(ctx, "key"); return err }, Stats{Reads: 1}},
		{"several asks", ask(time.Hour, 2*time.Hour), Stats{Writes: 1}},
		{"one of them refused", ask(time.Hour, 3*time.Hour), Stats{Reads: 1}},
		{"all of them refused", ask(time.Hour, 2*time.Hour), Stats{Reads: 1}},
		{"idle lease", func() error { _, err := s.Lease(ctx, store.Fresh, 1, time.Minute); return err }, Stats{Reads: 1}},
		{"put", func() error { return s.Put(ctx, store.Item{ID: "id", Expires: later}) }, Stats{Writes: 1}},
		{"put again", func() error { return s.Put(ctx, store.Item{ID: "id", Expires: later}) }, Stats{Reads: 1}},
		{"lease", func() error { _, err := s.Lease(ctx, store.Fresh, 1, time.Minute); return err }, Stats{Reads: 1, Writes: 1}},
		{"retry", func() error { return s.Retry(ctx, "id", later) }, Stats{Writes: 1}},
		{"done", func() error { return s.Done(ctx, "id") }, Stats{Writes: 1}},
		{"done again", func() error { return s.Done(ctx, "id") }, Stats{Reads: 1}},
	} {
		before := s.Stats()
		if err := tc.call(); err != nil && err != store.ErrNotFound && err != refused {
			t.Errorf("%s: %v", tc.name, err)
		}
		after := s.Stats()
		if got := (Stats{after.Reads - before.Reads, after.Writes - before.Writes}); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

// TestWaitingForTheWriter: a caller that has gone does not wait in line behind
// a slow disk.
func TestWaitingForTheWriter(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store.db"), Options{})
	writing, release, written := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		written <- s.Update(t.Context(), "key", func(time.Time, store.Value) (store.Value, error) {
			close(writing)
			<-release
			return store.Value{Data: []byte("x")}, nil
		})
	}()
	<-writing
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := s.Update(ctx, "other", setTo("x"))
	if !errors.Is(err, store.ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting in vain: %v, want ErrUnknown and the deadline", err)
	}
	if _, err := s.Get(t.Context(), "key"); err != store.ErrNotFound {
		t.Errorf("a read beside a slow write: %v", err)
	}
	close(release)
	if err := <-written; err != nil {
		t.Error(err)
	}
}

// TestCloseWaitsForTheLine: bbolt would wait for the transaction that runs, and
// refuse the calls behind it, which were let in.
func TestCloseWaitsForTheLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	synctest.Test(t, func(t *testing.T) {
		s := open(t, path, Options{})
		release := make(chan struct{})
		results := make(chan error, 4)
		for i := range 3 {
			go func() {
				results <- s.Update(t.Context(), fmt.Sprint(i), func(time.Time, store.Value) (store.Value, error) {
					<-release
					return store.Value{Data: []byte("x")}, nil
				})
			}()
		}
		synctest.Wait() // one writes, two are in line
		go func() { results <- s.Close() }()
		synctest.Wait()
		if _, err := s.Get(t.Context(), "0"); !errors.Is(err, store.ErrUnknown) {
			t.Errorf("Get while closing: %v, want ErrUnknown", err)
		}
		close(release)
		for range cap(results) {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
	})
}

func BenchmarkUpdate(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "store.db"), Options{})
	data := make([]byte, 1000)
	n := 0
	for b.Loop() {
		n++
		if err := s.Update(b.Context(), fmt.Sprint(n%1000), func(now time.Time, _ store.Value) (store.Value, error) {
			return store.Value{Data: data, Expires: now.Add(time.Hour)}, nil
		}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "store.db"), Options{})
	if err := s.Update(b.Context(), "key", setTo("value")); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Get(b.Context(), "key"); err != nil {
			b.Fatal(err)
		}
	}
}

// TestPeekWritesNothing: a peek costs no fsync, refused or not.
func TestPeekWritesNothing(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "gate.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ask := limit.Ask{Key: "key", Rate: limit.Rate{Count: 1, Per: time.Hour}}
	look := ask
	look.Peek = true
	for _, want := range []bool{true, false} {
		before := s.Stats().Writes
		d, err := s.Allow(t.Context(), []limit.Ask{look})
		if err != nil || d.Allowed != want {
			t.Errorf("a peek was answered %+v, %v; want allowed %v", d, err, want)
		}
		if n := s.Stats().Writes - before; n != 0 {
			t.Errorf("a peek wrote %d times", n)
		}
		if _, err := s.Allow(t.Context(), []limit.Ask{ask}); err != nil {
			t.Fatal(err)
		}
	}
}
