// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/redis"
)

// redisStore is a store on Redis that counts the looks at an empty queue, and
// what was taken from it for good.
type redisStore struct {
	*redis.Store
	idle, done atomic.Int64
}

func (s *redisStore) Lease(ctx context.Context, lane store.Lane, max int, hold time.Duration) ([]store.Item, error) {
	items, err := s.Store.Lease(ctx, lane, max, hold)
	if err == nil && len(items) == 0 {
		s.idle.Add(1)
	}
	return items, err
}

func (s *redisStore) Done(ctx context.Context, id string) error {
	err := s.Store.Done(ctx, id)
	s.done.Add(1)
	return err
}

// gates are as many gates on one Redis. Their clocks stand at the server's time,
// unless told.
func gates(t testing.TB, n int, o redis.Options, clients string, opts ...option) (all []*world, stores []*redisStore) {
	t.Helper()
	c := &clock{}
	c.t.Store(time.Now().UnixNano())
	o.Prefix = "main"
	for range n {
		s := &redisStore{}
		w := &world{clock: c, store: func() (store.Backend, error) {
			var err error
			s.Store, err = redis.Open(o)
			return s, err
		}}
		w.begin(t, clients, append(opts, wide)...)
		all, stores = append(all, w), append(stores, s)
	}
	return all, stores
}

// A link is raced by 16 browsers at three gates, each of which has everything it
// takes: 2 000 links; with PORTALGATE_PROOF by 64, and 20 000.
func TestL09_DoubleRedemptionAtThreeGates(t *testing.T) {
	clients, links := 16, racedLinks
	if proof() {
		clients, links = 64, 20_000
	}
	csv := "id,email,name\n" + strings.Join(slices.Collect(func(yield func(string) bool) {
		for i := 0; i < links && yield(fmt.Sprintf("c-%d,c%d@example.com,Client %d", i, i, i)); i++ {
		}
	}), "\n") + "\n"
	srv := redistest.Standalone(t)
	ws, _ := gates(t, 3, redis.Options{URL: srv.URL()}, csv)
	begun := time.Now()
	doubles, lost, unknown := 0, 0, 0
	wins := make([]int, len(ws))
	for l := range links {
		ws[0].clock.t.Store(time.Now().UnixNano())
		if l%500 == 499 { // notices of the others are kept for two minutes, and the queue is bounded
			srv.Do("EVAL", "for _, k in ipairs(redis.call('KEYS', '*{queue}*')) do redis.call('UNLINK', k) end", "0")
		}
		email := fmt.Sprintf("c%d@example.com", l)
		tok := ws[l%len(ws)].makeLink(fmt.Sprintf("c-%d", l), email)
		answers := make([]*httptest.ResponseRecorder, clients)
		atOnce(clients, func(i int) { answers[i] = ws[i%len(ws)].press(tok, email) })
		in, before := 0, unknown
		for i, a := range answers {
			switch a.Code {
			case http.StatusSeeOther:
				in++
				wins[i%len(ws)]++
			case http.StatusOK: // "used"
			case http.StatusServiceUnavailable: // a machine too busy for the store's timeout
				unknown++
			default:
				t.Fatalf("a press was answered %d:\n%s\n%s", a.Code, a.Body, ws[i%len(ws)].logs)
			}
		}
		switch {
		case in > 1:
			doubles++
		case in == 0 && unknown == before:
			lost++
		}
	}
	if unknown > links*clients/100 {
		t.Errorf("%d presses were answered 503", unknown)
	}
	if doubles != 0 || lost != 0 {
		t.Errorf("of %d links %d were used twice and %d not at all", links, doubles, lost)
	}
	if slices.Contains(wins, 0) {
		t.Errorf("a gate never won: %v", wins)
	}
	t.Logf("%d links in %v, won at the gates %v", links, time.Since(begun), wins)
	if proof() {
		fmt.Printf("proof: links used twice %d of %d, each raced by %d browsers at %d gates on one Redis (%d tries, %d answered 503)\n", doubles, links, clients, len(ws), links*clients, unknown)
	}
}

// A sign-in is asked for at one gate, mailed by any, opened at the second and
// used at the third: there is no sticky session. The client is signed in at all of
// them, and signed out at all of them at once.
func TestSignInAcrossGates(t *testing.T) {
	srv := redistest.Standalone(t)
	ws, _ := gates(t, 3, redis.Options{URL: srv.URL()}, sampleClients)
	b := ws[0].browser()
	at := func(i int) string { return ws[i].front }
	b.ask("ada@example.com")
	var m string
	redistest.Await(t, "the mail was sent", func() bool {
		for _, w := range ws {
			for _, e := range w.rt.Outbox().Messages() {
				m = max(m, link(e))
			}
		}
		return m != ""
	})
	_, path, _ := strings.Cut(m, "/sign-in/")
	// Cookies know no port: the three are one site to the browser.
	p := b.get(at(1) + "/sign-in/" + path)
	f := p.form("/sign-in/link")
	f.action = at(2) + f.action
	b.send(f)
	for i := range ws {
		if p := b.get(at(i) + "/"); !strings.HasPrefix(p.body, "portal ") {
			t.Fatalf("gate %d: %d %s", i, p.status, p.url.Path)
		}
	}
	thief := b.copy()
	b.send(b.get("/sign-in/sign-out").form("/sign-in/sign-out")).says("out.title")
	begun := time.Now()
	for i := range ws {
		redistest.Await(t, "it is signed out everywhere", func() bool { return !strings.HasPrefix(thief.get(at(i)+"/").body, "portal ") })
	}
	// A copy would serve for five seconds if no feed told.
	if took := time.Since(begun); took > time.Second {
		t.Errorf("the cookie was good for another %v at other gates", took)
	}
}

// What a sign-in costs, from asking to the first page: round trips to Redis, the
// worker's included, without its looks at an empty queue.
func TestRoundTripsOfASignIn(t *testing.T) {
	const most = 12
	srv := redistest.Standalone(t)
	ws, stores := gates(t, 1, redis.Options{URL: srv.URL()}, sampleClients+"c-cy,cy@example.com,Cy Young,yes,yes\n")
	w, s := ws[0], stores[0]
	// What is under way ends before the worker looks at the empty queue again.
	count := func() int64 {
		idle := s.idle.Load()
		w.wake()
		redistest.Await(t, "the worker has looked", func() bool { return s.idle.Load() > idle })
		return s.Stats().Trips - s.idle.Load()
	}
	w.signIn("cy@example.com") // Redis has seen no script before
	known := w.browser()
	for i, tc := range []struct {
		name, email string
		b           *browser
	}{
		{"first", "ada@example.com", known},
		{"in a browser that is known", "ada@example.com", known},
		{"of another client", "bob@example.com", w.browser()},
	} {
		w.clock.t.Store(time.Now().UnixNano())
		if i == 1 { // a mail a minute
			srv.Do("EVAL", "for _, k in ipairs(redis.call('KEYS', '*:l:*')) do redis.call('DEL', k) end", "0")
		}
		b := tc.b
		sent := s.done.Load()
		at := []int64{count()}
		b.ask(tc.email)
		redistest.Await(t, "the mail was sent", func() bool { return s.done.Load() > sent })
		at = append(at, count())
		f := b.get(link(w.letters(tc.email, i%2+1)[0])).form("/sign-in/link")
		at = append(at, count())
		b.once().send(f).is(http.StatusSeeOther)
		at = append(at, count())
		steps := fmt.Sprintf("%d (ask and mail %d, open %d, use %d)", at[3]-at[0], at[1]-at[0], at[2]-at[1], at[3]-at[2])
		t.Logf("%s: %s", tc.name, steps)
		if at[3]-at[0] > most {
			t.Errorf("a sign-in %s: %s round trips, want at most %d", tc.name, steps, most)
		}
		if proof() {
			fmt.Printf("proof: round trips to Redis of a sign-in, %s: %s\n", tc.name, steps)
		}
	}
}
