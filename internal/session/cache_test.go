// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/store"
)

// count is the change that these tests make: one more wrong code.
func count(_ time.Time, r *access.Record) { r.WrongCodes++ }

// counted is the count on a record; 0 if there is none.
func (w *world) counted(tag string) int {
	w.t.Helper()
	r, err := w.Get(context.Background(), tag)
	if errors.Is(err, store.ErrNotFound) {
		return 0
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return r.WrongCodes
}

// A copy that is older than the last change would keep somebody signed in who
// has signed out. Readers note what was done before they asked, and may never
// be told less; some changes fail, so that there is always something to read.
func TestNeverOlderThanTheLastChange(t *testing.T) {
	w := newWorld(t)
	w.db.read, w.db.written = runtime.Gosched, runtime.Gosched
	const tags, each = 3, 200
	var (
		done             [tags]atomic.Int64 // the count after the last change that was completed
		writers, readers sync.WaitGroup
		stop             = make(chan struct{})
	)
	for i := range tags {
		tag := w.Tag(fmt.Sprint(i))
		for range 3 {
			writers.Go(func() {
				for n := range each {
					refuse := n%7 == 3
					var after int64
					err := w.Update(t.Context(), tag, func(now time.Time, r *access.Record) error {
						if refuse {
							return errDown
						}
						count(now, r)
						after = int64(r.WrongCodes)
						return nil
					})
					if (err != nil) != refuse {
						t.Errorf("Update = %v", err)
					}
					if refuse {
						w.counted(tag) // the copy was dropped: whoever reads now fills it
					}
					for have := done[i].Load(); after > have && !done[i].CompareAndSwap(have, after); {
						have = done[i].Load()
					}
				}
			})
		}
		for range 3 {
			readers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						runtime.Gosched()
					}
					least := done[i].Load()
					if got := w.counted(tag); int64(got) < least {
						t.Errorf("told %d after %d was completed", got, least)
						return
					}
				}
			})
		}
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	for i := range tags {
		if got := w.counted(w.Tag(fmt.Sprint(i))); got == 0 || int64(got) != done[i].Load() {
			t.Errorf("%d in the end, want %d", got, done[i].Load())
		}
	}
}

// A request reads a record, and before it can keep its copy the client signs
// out. The copy that was overtaken must not be kept: it would be believed from
// then on.
func TestOvertakenReadIsNotKept(t *testing.T) {
	for _, tc := range []struct {
		name  string
		first bool // there is a record to begin with
		lose  bool // the change is made, and reported as failed
	}{
		{"record", true, false}, {"no record", false, false},
		{"record, answer lost", true, true}, {"no record, answer lost", false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			tag, want := w.Tag(ada), 1
			if tc.first {
				w.change(tag, count)
				w.restart(time.Time{})
				want++
			}
			reached, release := make(chan struct{}), make(chan struct{})
			var once sync.Once
			w.db.read = func() { once.Do(func() { close(reached); <-release }) }
			read := make(chan int)
			go func() { read <- w.counted(tag) }()
			<-reached
			w.db.lose.Store(tc.lose)
			if err := w.Update(t.Context(), tag, func(now time.Time, r *access.Record) error { count(now, r); return nil }); (err != nil) != tc.lose {
				t.Fatal(err)
			}
			close(release)
			if got := <-read; got != want-1 {
				t.Errorf("the read that was overtaken says %d", got)
			}
			for range 2 {
				if got := w.counted(tag); got != want {
					t.Errorf("%d after the change, want %d", got, want)
				}
			}
		})
	}
}

func TestWhatAChangeLeavesBehind(t *testing.T) {
	ours := errors.New("ours")
	for _, tc := range []struct {
		name   string
		first  error // from the function
		second error // from the function, when it runs again
		lose   bool
		want   error
		count  int
		reads  int64 // of the next two Gets
	}{
		{"changed", nil, nil, false, nil, 2, 0},
		{"left as it is", store.ErrUnchanged, nil, false, nil, 1, 0},
		{"left as it is at the second try", nil, store.ErrUnchanged, false, nil, 1, 0},
		{"refused", ours, nil, false, ours, 1, 1},
		{"refused at the second try", nil, ours, false, ours, 1, 1},
		{"nobody knows", nil, nil, true, store.ErrUnknown, 2, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			tag := w.Tag(ada)
			w.change(tag, count)
			w.db.lose.Store(tc.lose)
			tries := []error{tc.first, tc.second}
			err := w.Update(t.Context(), tag, func(now time.Time, r *access.Record) error {
				count(now, r) // of no consequence where it then refuses
				err := tries[0]
				tries = tries[1:]
				return err
			})
			if !errors.Is(err, tc.want) {
				t.Errorf("Update = %v, want %v", err, tc.want)
			}
			before := w.db.gets.Load()
			for range 2 {
				if got := w.counted(tag); got != tc.count {
					t.Errorf("%d, want %d", got, tc.count)
				}
			}
			if got := w.db.gets.Load() - before; got != tc.reads {
				t.Errorf("%d reads, want %d", got, tc.reads)
			}
		})
	}
}

// Guessed cookies cost one read in five seconds each. What is not there may
// come to be there: through Update it is seen at once.
func TestMisses(t *testing.T) {
	w := newWorld(t)
	tag := w.Tag(ada)
	for _, tc := range []struct {
		after time.Duration
		reads int64 // since the beginning
	}{
		{0, 1}, {0, 1}, {missLife - 1, 1}, {1, 2}, {missLife - 1, 2},
		{-missLife, 2}, // the clock is set back; from the miss on it is 1 ns short
		{-time.Hour, 3}, {time.Second, 3}, {time.Hour, 4},
	} {
		w.advance(tc.after)
		if r, err := w.Get(t.Context(), tag); r != nil || !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("Get = %v, %v", r, err)
		}
		if got := w.db.gets.Load(); got != tc.reads {
			t.Errorf("after %v: %d reads, want %d", tc.after, got, tc.reads)
		}
	}
	w.change(tag, count)
	if w.counted(tag) != 1 || w.db.gets.Load() != 4 {
		t.Error("a record that appeared is not seen at once, or was read again")
	}
	w.advance(365 * 24 * time.Hour)
	if w.counted(tag) != 1 || w.db.gets.Load() != 4 {
		t.Error("a record's copy aged as a miss does")
	}
}

// An error is no miss: it is asked again, and neither yes nor no.
func TestErrorsAreNotKept(t *testing.T) {
	w := newWorld(t)
	tag := w.Tag(ada)
	w.change(tag, count)
	good := w.db.values[key(tag)]
	w.restart(time.Time{})
	for _, tc := range []struct {
		name string
		down bool
		data string
		also error
	}{
		{"down", true, string(good.Data), store.ErrUnknown},
		{"damaged", false, `{"v":1,"i":`, store.ErrUnknown},
		{"of a newer release", false, `{"v":99}`, access.ErrNewer},
	} {
		w.db.down.Store(tc.down)
		w.db.values[key(tag)] = store.Value{Data: []byte(tc.data)}
		for range 2 {
			if r, err := w.Get(t.Context(), tag); r != nil || !errors.Is(err, store.ErrUnknown) || !errors.Is(err, tc.also) {
				t.Errorf("%s: Get = %v, %v", tc.name, r, err)
			}
		}
		err := w.Update(t.Context(), tag, func(time.Time, *access.Record) error {
			t.Errorf("%s: there is a record to change", tc.name)
			return nil
		})
		if !errors.Is(err, store.ErrUnknown) || !errors.Is(err, tc.also) {
			t.Errorf("%s: Update = %v", tc.name, err)
		}
		if got := string(w.db.values[key(tag)].Data); got != tc.data {
			t.Errorf("%s: what cannot be read was changed to %q", tc.name, got)
		}
	}
	w.db.down.Store(false)
	w.db.values[key(tag)] = good
	if w.counted(tag) != 1 {
		t.Error("an error was kept")
	}
}

// Strangers who try one tag after the other take a bounded amount of memory,
// and push nobody out who keeps coming.
func TestMemoryIsBounded(t *testing.T) {
	w := newWorld(t)
	c := w.cache
	s := &c.sh[0]
	var tags []string // of one shard
	for i := 0; len(tags) < 4*perShard; i++ {
		if tag := fmt.Sprintf("%016d", i); c.shard(tag) == s {
			tags = append(tags, tag)
		}
	}
	first, regular := tags[0], tags[1]
	w.change(first, count)
	w.change(regular, count)
	before := w.db.gets.Load()
	for i, tag := range tags[2:] {
		_, gen := c.get(tag)
		c.fill(tag, nil, gen, w.clock())
		if len(s.young) > perShard || len(s.old) > perShard {
			t.Fatalf("%d and %d records after %d tags", len(s.young), len(s.old), i)
		}
		if i%(perShard/2) == 0 && w.counted(regular) != 1 {
			t.Fatal("a record that is asked for all the time is wrong")
		}
	}
	if got := w.db.gets.Load() - before; got != 0 {
		t.Errorf("a record that is asked for all the time was read %d times", got)
	}
	if e, _ := c.get(first); e != nil {
		t.Error("what nobody asked for is not forgotten")
	}
	if w.counted(first) != 1 || w.db.gets.Load()-before != 1 {
		t.Error("what was forgotten is not read again, or wrong")
	}
	// A copy that moved to the older generation is dropped as well.
	for i := range perShard {
		_, gen := c.get(tags[2+i])
		c.fill(tags[2+i], nil, gen, w.clock())
	}
	c.drop(first)
	if e, _ := c.get(first); e != nil {
		t.Error("a dropped copy is kept")
	}
}

// What was made before an earlier copy of the store was put back does not count
// (DESIGN section 6), whether it is read or changed first.
func TestFloor(t *testing.T) {
	for _, first := range []string{"Get", "Update"} {
		t.Run(first, func(t *testing.T) {
			w := newWorld(t)
			tag := w.Tag(ada)
			_, old := w.signIn(1, false)
			w.advance(time.Minute)
			floor := w.clock()
			_, later := w.signIn(2, false)
			w.change(tag, func(now time.Time, r *access.Record) {
				r.AddLink(now, access.Link{Hash: "old", Made: floor.Unix() - 1, Expires: now.Unix() + 3600})
				r.AddLink(now, access.Link{Hash: "new", Made: floor.Unix(), Expires: now.Unix() + 3600})
			})
			w.restart(floor)
			check := func(now time.Time, r *access.Record) {
				t.Helper()
				if s, ok := r.Session(old); !ok || s.Over(now, lifetimes) != access.ByPractice {
					t.Errorf("the session from before is over by %q", s.Over(now, lifetimes))
				}
				if s, ok := r.Session(later); !ok || s.Over(now, lifetimes) != "" {
					t.Errorf("the session from after is over by %q", s.Over(now, lifetimes))
				}
				if _, state, _ := r.Look(now, "old"); state != access.StoppedOffice {
					t.Errorf("the link from before is %s", state)
				}
				if _, state, _ := r.Look(now, "new"); state != access.Live {
					t.Errorf("the link from after is %s", state)
				}
			}
			if first == "Update" {
				w.change(tag, check)
				w.restart(time.Time{}) // what was written holds without the floor
			}
			r, err := w.Get(t.Context(), tag)
			if err != nil {
				t.Fatal(err)
			}
			check(w.clock(), r)
		})
	}
}
