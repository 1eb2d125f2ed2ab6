// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/seal"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/redis"
)

// mode is how a gate guards itself against the loss.
type mode struct {
	name     string
	replicas bool // wait for them
	blind    bool // do not look at the epoch
}

var modes = []mode{{"replicas", true, false}, {"fence", false, false}, {"off", false, true}}

// blind is a store of which nobody knows the epoch.
type blind struct{ store.Store }

func (b blind) Get(ctx context.Context, key string) (store.Value, error) {
	v, err := b.Store.Get(ctx, key)
	v.Epoch = ""
	return v, err
}

func (b blind) Update(ctx context.Context, key string, f func(time.Time, store.Value) (store.Value, error)) error {
	return b.Store.Update(ctx, key, func(now time.Time, old store.Value) (store.Value, error) {
		old.Epoch = ""
		return f(now, old)
	})
}

// gate is the records of a gate, and what it does beside.
type gate struct {
	*session.Records
	t     testing.TB
	close func()
}

var lifetimes = access.Lifetimes{Idle: 30 * time.Minute, Absolute: 12 * time.Hour, SharedIdle: 10 * time.Minute, SharedAbsolute: time.Hour}

type nobody struct{ directory.Directory }

func newGate(t testing.TB, o redis.Options, m mode, replicas int) *gate {
	t.Helper()
	o.Prefix = m.name
	if m.replicas {
		o.Replicas = replicas
	}
	db, err := redis.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	root, err := seal.New([]byte("0123456789abcdef0123456789abcdef"), m.name)
	if err != nil {
		t.Fatal(err)
	}
	var st store.Store = store.Sealed(db, root.Box("store"))
	if m.blind {
		st = blind{st}
	}
	g := &gate{t: t, Records: session.New(st, root, time.Now, time.Time{})}
	g.Share()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { g.Run(ctx) })
	wg.Go(func() { _ = db.Watch(ctx, func(key string) { g.Changed(key, nobody{}, lifetimes) }) })
	g.close = sync.OnceFunc(func() { cancel(); wg.Wait(); db.Close() })
	t.Cleanup(g.close)
	return g
}

func id(client string) string { return "c-" + client }

// try changes a record; whether it did is known, unless it is not.
func (g *gate) try(client string, f func(now time.Time, r *access.Record) error) bool {
	g.t.Helper()
	err := g.Update(context.Background(), g.Tag(id(client)), f)
	if err != nil && !errors.Is(err, store.ErrUnknown) {
		g.t.Errorf("Update: %v", err)
	}
	return err == nil
}

// must is try, until it works.
func (g *gate) must(client string, f func(now time.Time, r *access.Record) error) {
	g.t.Helper()
	redistest.Await(g.t, "the store can be written", func() bool { return g.try(client, f) })
}

func hash(what, client string) access.Hash { return access.HashOf([]byte(what + " " + client)) }

// link gives a client a link.
func (g *gate) link(client string) {
	g.must(client, func(now time.Time, r *access.Record) error {
		r.Bind(now, id(client), hash("address", client))
		if s := r.AddLink(now, access.Link{Hash: hash("link", client), Made: now.Unix(), Expires: now.Unix() + 3600}); s != access.Live {
			return fmt.Errorf("the new link is %s", s)
		}
		return nil
	})
}

// redeem uses a client's link in a browser, as the gate does, and reports
// whether it said that the browser is signed in.
func (g *gate) redeem(client, browser string) bool {
	var state access.State
	known := g.try(client, func(now time.Time, r *access.Record) (err error) {
		var fresh bool
		_, fresh, state = r.Redeem(now, access.Redemption{
			Link: hash("link", client), Nonce: hash(browser, client), Session: hash("session of "+browser, client),
			Method: "magic_link", Kind: browser, Lifetimes: lifetimes,
		})
		if !fresh {
			return store.ErrUnchanged
		}
		return nil
	})
	return known && state == access.Live
}

// signOut ends the session that redeem opened, and reports whether it said so.
func (g *gate) signOut(client, browser string) bool {
	return g.try(client, func(now time.Time, r *access.Record) error {
		if !r.EndSession(now, hash("session of "+browser, client), access.BySignOut) {
			return store.ErrUnchanged
		}
		return nil
	})
}

// in reports whether that session lives.
func (g *gate) in(client, browser string) (in bool) {
	g.t.Helper()
	redistest.Await(g.t, "the store can be read", func() bool {
		r, err := g.Get(context.Background(), g.Tag(id(client)))
		if errors.Is(err, store.ErrNotFound) {
			in = false
			return true
		}
		if err != nil {
			return false
		}
		s, ok := r.Session(hash("session of "+browser, client))
		in = ok && s.Over(time.Now(), lifetimes) == ""
		return true
	})
	return in
}

// tally is what came of some runs in one mode.
type tally struct {
	tried, redeemed, doubles int // links
	ended, revived           int // sessions
	slowest                  time.Duration
}

// run loses a server while links are used and sessions ended, and looks at what
// the next primary makes of it.
func (top *topology) run(t *testing.T, n int, f fault, tallies map[string]*tally) {
	const links, sessions = 24, 12
	type one struct {
		mode   mode
		client string
		sign   bool // a session is to be ended; else a link used
		gate   *gate
		done   bool // the gate has said so
		again  bool // and the next one that the link was used in another browser
	}
	var all []*one
	first := make(map[string]*gate)
	for _, m := range modes {
		if m.replicas && top.replicas == 0 {
			continue
		}
		g := newGate(t, top.options, m, top.replicas)
		first[m.name] = g
		for i, have := 0, 0; have < links+sessions; i++ {
			client := fmt.Sprintf("%d-%d", n, i)
			if top.mine != nil && !top.mine(g.Tag(id(client))) {
				continue
			}
			o := &one{mode: m, client: client, sign: have >= links, gate: g}
			have++
			g.link(client)
			if o.sign {
				redistest.Await(t, "the client is signed in", func() bool { return g.redeem(client, "first") })
			}
			all = append(all, o)
		}
	}
	// Half is done before the replicas lag, the rest while the server is lost.
	do := func(o *one) {
		if o.sign {
			o.done = o.gate.signOut(o.client, "first")
		} else {
			o.done = o.gate.redeem(o.client, "first")
		}
	}
	var wg sync.WaitGroup
	for i, o := range all {
		if i%2 == 0 {
			wg.Go(func() { do(o) })
		}
	}
	wg.Wait()
	if f.lag != nil {
		f.lag()
	}
	// Some of it is acknowledged for certain before the server is lost, where
	// nobody waits for replicas.
	early := func(i int, o *one) bool { return i%4 == 1 && !o.mode.replicas }
	for i, o := range all {
		if early(i, o) {
			wg.Go(func() { do(o) })
		}
	}
	wg.Wait()
	for i, o := range all {
		if i%2 == 1 && !early(i, o) {
			wg.Go(func() {
				<-time.After(rand.N(50 * time.Millisecond))
				do(o)
			})
		}
	}
	<-time.After(rand.N(50 * time.Millisecond))
	f.strike()
	wg.Wait()

	second := make(map[string]*gate)
	for _, m := range modes {
		if first[m.name] != nil {
			second[m.name] = newGate(t, top.options, m, top.replicas)
		}
	}
	begun := time.Now()
	for _, o := range all {
		wg.Go(func() {
			g := second[o.mode.name]
			if o.sign {
				return
			}
			g.in(o.client, "second") // from when on it can be read
			o.again = g.redeem(o.client, "second")
		})
	}
	wg.Wait()
	if f.after != nil {
		f.after()
	}
	for _, o := range all {
		tl := tallies[o.mode.name]
		if !o.sign {
			tl.tried++
			if o.done {
				tl.redeemed++
			}
			// The first browser tries again, where the old primary may still be.
			if (o.done || o.gate.redeem(o.client, "first")) && o.again {
				tl.doubles++
			}
			continue
		}
		if !o.done {
			continue
		}
		tl.ended++
		g := second[o.mode.name]
		revived := g.in(o.client, "first")
		if o.mode.name == "fence" && revived {
			// The gate that ended it does so again.
			redistest.Await(t, "the session has ended again", func() bool {
				revived = g.in(o.client, "first")
				return !revived || time.Since(begun) > 15*time.Second
			})
			tl.slowest = max(tl.slowest, time.Since(begun))
		}
		if revived {
			tl.revived++
		}
	}
	for name := range first {
		first[name].close()
		second[name].close()
	}
	top.heal()
}

// A link is used, or a session ended, and at that moment the primary goes, with
// what it has not told its replicas. Nobody gets in by the same link on the next
// primary, and nobody is in again who was signed out. With both guards off it
// happens, so that the test is known to see it.
//
// Each topology is lost 10 times and some, or 200 with PORTALGATE_PROOF.
func TestL10_DoubleRedemption(t *testing.T) {
	for name, build := range map[string]func(*testing.T) *topology{
		"Sentinel": behindSentinels, "Cluster": clustered, "one server": restarted,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			top := build(t)
			tallies := make(map[string]*tally)
			for _, m := range modes {
				tallies[m.name] = &tally{}
			}
			runs := 0
			for runs < proofSize(200, 10) {
				for _, f := range top.faults {
					top.run(t, runs, f, tallies)
					runs++
				}
			}
			for _, m := range modes {
				tl := tallies[m.name]
				if tl.tried == 0 {
					continue
				}
				text := fmt.Sprintf("%s, %s: %d failovers, %d links of which %d were used before, %d used twice; %d sessions ended, %d revived (%v at most until they ended again)",
					name, m.name, runs, tl.tried, tl.redeemed, tl.doubles, tl.ended, tl.revived, tl.slowest.Round(time.Millisecond))
				t.Log("proof: " + text)
				switch {
				case m.blind && (tl.doubles == 0 || tl.revived == 0):
					t.Errorf("%s: nothing guards against it, and it is not seen", m.name)
				case !m.blind && (tl.doubles > 0 || tl.revived > 0):
					t.Errorf("%s: %d used twice, %d revived", m.name, tl.doubles, tl.revived)
				case tl.redeemed == 0 || tl.ended == 0:
					t.Errorf("%s: nothing was used before the server was lost", m.name)
				}
			}
		})
	}
}
