// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/store"
)

// TestRoundTrips counts what each call costs.
func TestRoundTrips(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, Options{URL: srv.URL()})
	ctx := t.Context()
	asks := func(keys ...string) (asks []limit.Ask) {
		for _, k := range keys {
			asks = append(asks, limit.Ask{Key: k, Rate: limit.Rate{Count: 100, Per: time.Hour}})
		}
		return asks
	}
	in := time.Now().Add(time.Hour)
	for _, tc := range []struct {
		name string
		want int64
		call func() error
	}{
		{"Get", 1, func() error { _, err := s.Get(ctx, "access/key"); return err }},
		{"Update", 2, func() error { return s.Update(ctx, "access/key", set("x")) }},
		{"Update, unchanged", 1, func() error { return s.Update(ctx, "access/key", unchanged) }},
		{"Allow, one group", 1, func() error { _, err := s.Allow(ctx, asks("a/{x}", "b/{x}")); return err }},
		{"Allow, five groups", 2, func() error { _, err := s.Allow(ctx, asks("a", "b", "c", "d", "a/{x}", "b/{x}")); return err }},
		{"Put", 1, func() error { return s.Put(ctx, store.Item{ID: "id", Expires: in}) }},
		{"Lease", 1, func() error { _, err := s.Lease(ctx, store.Fresh, 10, time.Minute); return err }},
		{"Retry", 1, func() error { return s.Retry(ctx, "id", in) }},
		{"Done", 1, func() error { return s.Done(ctx, "id") }},
	} {
		s.Update(ctx, "access/key", set("x"))
		tc.call() // the server has the script then
		before := s.Stats().Trips
		if err := tc.call(); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if n := s.Stats().Trips - before; n != tc.want {
			t.Errorf("%s took %d round trips, want %d", tc.name, n, tc.want)
		}
	}
}

// TestLimitsAsEverywhere: the arithmetic in Lua is that of limit.Rate.
func TestLimitsAsEverywhere(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, Options{URL: srv.URL()})
	rng := rand.New(rand.NewPCG(1, 2))
	const slack = 5 * time.Second // the server's clock goes on
	for i := range 300 {
		rate := limit.Rate{Count: rng.IntN(6), Per: time.Duration(1+rng.Int64N(1000)) * time.Hour}
		ask := limit.Ask{Key: "key/{" + strconv.Itoa(i) + "}", Rate: rate, Peek: rng.IntN(4) == 0}
		now := time.Now()
		var kept time.Time
		if rng.IntN(3) > 0 { // far in the future too: a clock that was set back
			kept = now.Add(time.Duration(rng.Int64N(int64(3 * rate.Per)))).Truncate(time.Microsecond)
			srv.Do("SET", s.limit(ask.Key), strconv.FormatInt(kept.UnixMicro(), 10))
		}
		for range 1 + rng.IntN(8) {
			next, wait := rate.Next(kept, now)
			d, err := s.Allow(t.Context(), []limit.Ask{ask})
			if err != nil {
				t.Fatal(err)
			}
			if d.Allowed != (wait == 0) && wait > slack {
				t.Fatalf("%+v with %v left: %+v, want a wait of %v", ask, time.Until(kept), d, wait)
			}
			if !d.Allowed && ((d.RetryAfter-wait).Abs() > slack || !slices.Equal(d.Refused, []int{0})) {
				t.Fatalf("%+v with %v left: %+v, want a wait of %v", ask, time.Until(kept), d, wait)
			}
			if d.Allowed && !ask.Peek {
				kept = next
			}
		}
	}
}

// TestMemoryOfLimits: strangers who come once leave nothing for ever, and those
// who are only looked at leave nothing at all.
func TestMemoryOfLimits(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, Options{URL: srv.URL()})
	ask := limit.Ask{Key: "key", Rate: limit.Rate{Count: 2, Per: time.Hour}, Peek: true}
	if _, err := s.Allow(t.Context(), []limit.Ask{ask}); err != nil {
		t.Fatal(err)
	}
	if n := srv.Do("DBSIZE"); n != "0" {
		t.Errorf("%s keys after a peek", n)
	}
	ask.Peek = false
	s.Allow(t.Context(), []limit.Ask{ask})
	if ms, _ := strconv.Atoi(srv.Do("PTTL", s.limit("key"))); ms < 29*60_000 || ms > 30*60_000+1000 {
		t.Errorf("the limit is kept for %d ms, want half an hour", ms)
	}
}

// TestS10_ServerTime: what expires does so by the server's clock, and is not
// returned even if the server has not forgotten it yet.
func TestS10_ServerTime(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, Options{URL: srv.URL()})
	var until time.Time
	if err := s.Update(t.Context(), "access/key", func(now time.Time, _ store.Value) (store.Value, error) {
		until = now.Add(150 * time.Millisecond)
		return store.Value{Data: []byte("value"), Expires: until}, nil
	}); err != nil {
		t.Fatal(err)
	}
	wantValue(t, s, "access/key", "value")
	srv.Do("PERSIST", s.name("v", "access/key").full) // by who can write the store
	await(t, "it has expired", func() bool {
		_, err := s.Get(t.Context(), "access/key")
		if err != nil && err != store.ErrNotFound {
			t.Fatal(err)
		}
		return err != nil
	})
	if now := time.Now(); now.Before(until.Truncate(time.Millisecond)) {
		t.Errorf("it was gone %v early", until.Sub(now))
	}
	if srv.Do("DBSIZE") != "1" {
		t.Error("the server has forgotten it: nothing was shown")
	}
	mustUpdate(t, s, "access/key", "new")
	wantValue(t, s, "access/key", "new")
}

// BenchmarkStore is what a call costs, beside the client alone making as many
// round trips: with a plain GET, and with a script that does no more.
func BenchmarkStore(b *testing.B) {
	srv := redistest.Standalone(b)
	s := open(b, Options{URL: srv.URL()})
	ctx := context.Background()
	value := set(strings.Repeat("x", 800))
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint("access/", i)
		if err := s.Update(ctx, keys[i], value); err != nil {
			b.Fatal(err)
		}
	}
	plain := newClient(b, srv)
	sha := plain.ScriptLoad(ctx, "return {redis.call('GET', KEYS[1])}").Val()
	for name, call := range map[string]func(key string) error{
		"Get":    func(key string) error { _, err := s.Get(ctx, key); return err },
		"Update": func(key string) error { return s.Update(ctx, key, value) },
		"client GET": func(key string) error {
			return plain.Get(ctx, s.name("v", key).full).Err()
		},
		"client EVALSHA": func(key string) error {
			return plain.EvalSha(ctx, sha, []string{s.name("v", key).full}).Err()
		},
	} {
		b.Run(name, func(b *testing.B) {
			var n atomic.Int64
			b.ReportAllocs()
			srv.Do("CONFIG", "RESETSTAT")
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := call(keys[int(n.Add(1))%len(keys)]); err != nil {
						b.Error(err)
						return
					}
				}
			})
			for _, name := range []string{"evalsha", "get"} { // the server's share
				_, us, _ := strings.Cut(srv.Info("commandstats", "cmdstat_"+name), "usec_per_call=")
				us, _, _ = strings.Cut(us, ",")
				if f, err := strconv.ParseFloat(us, 64); err == nil {
					b.ReportMetric(f, "us/"+name)
				}
			}
		})
	}
}

func newClient(b *testing.B, srv *redistest.Server) *goredis.Client {
	c := goredis.NewClient(&goredis.Options{Addr: srv.Addr(), Protocol: 2, PoolSize: maxConns})
	b.Cleanup(func() { c.Close() })
	return c
}
