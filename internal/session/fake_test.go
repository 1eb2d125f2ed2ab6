// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/seal"
	"github.com/portalgate/portalgate/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = fmt.Errorf("pulled the plug: %w", store.ErrUnknown)

// memory is a store that a test can hold up and break. Its hooks are set
// before it is used.
type memory struct {
	now func() time.Time
	// read runs between the reading of a value and the answer, written between
	// a change and the answer.
	read, written func()

	gets, writes atomic.Int64
	down         atomic.Bool // every call fails
	lose         atomic.Bool // changes are made, and nobody learns of it

	mu     sync.Mutex
	values map[string]store.Value
	epoch  string // guarded by mu
}

func (m *memory) Get(_ context.Context, key string) (store.Value, error) {
	m.gets.Add(1)
	if m.down.Load() {
		return store.Value{}, errDown
	}
	m.mu.Lock()
	v, ok := m.values[key]
	v.Epoch = m.epoch
	m.mu.Unlock()
	if m.read != nil {
		m.read()
	}
	if !ok {
		return store.Value{}, store.ErrNotFound
	}
	return v, nil
}

// Update calls f twice, as a store may if a value changed in between.
func (m *memory) Update(ctx context.Context, key string, f func(time.Time, store.Value) (store.Value, error)) error {
	if m.down.Load() || ctx.Err() != nil {
		return errDown
	}
	m.mu.Lock()
	old := m.values[key]
	old.Epoch = m.epoch
	_, err := f(m.now(), old)
	var v store.Value
	if err == nil {
		v, err = f(m.now(), old)
	}
	if err == nil {
		m.values[key] = v
	}
	m.mu.Unlock()
	switch {
	case err == store.ErrUnchanged:
		return nil
	case err != nil:
		return err
	}
	m.writes.Add(1)
	if m.written != nil {
		m.written()
	}
	if m.lose.Load() {
		return errDown
	}
	return nil
}

func (m *memory) Forget(context.Context, ...string) error { return store.ErrUnknown }

func (m *memory) Allow(context.Context, []limit.Ask) (limit.Decision, error) {
	return limit.Decision{}, errors.New("records ask for no limits")
}

// people is a directory.
type people struct {
	byID map[string]directory.Client
	err  error
}

func (p *people) ByAddress(context.Context, address.Address) (directory.Client, error) {
	return directory.Client{}, errors.New("records never ask for an address")
}

func (p *people) ByID(_ context.Context, id string) (directory.Client, error) {
	if p.err != nil {
		return directory.Client{}, p.err
	}
	c, ok := p.byID[id]
	if !ok {
		return directory.Client{}, directory.ErrNotFound
	}
	return c, nil
}

// world is the records of a gate with one client on file, Ada.
type world struct {
	*Records
	t   testing.TB
	db  *memory
	dir *people
	at  atomic.Int64 // the time of gate and store
}

const ada = "c-ada"

var lifetimes = access.Lifetimes{Idle: 30 * time.Minute, Absolute: 12 * time.Hour, SharedIdle: 10 * time.Minute, SharedAbsolute: time.Hour}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: &people{byID: map[string]directory.Client{
		ada: {ID: ada, Email: "ada@example.com", Name: "Ada Lovelace", Access: true, EmailOK: true},
	}}}
	w.at.Store(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).UnixNano())
	w.db = &memory{now: w.clock, values: make(map[string]store.Value)}
	w.restart(time.Time{})
	return w
}

func (w *world) clock() time.Time        { return time.Unix(0, w.at.Load()) }
func (w *world) advance(d time.Duration) { w.at.Add(int64(d)) }

// restart forgets what is kept in memory.
func (w *world) restart(floor time.Time) {
	w.t.Helper()
	w.Records = New(w.db, root(w.t, "main"), w.clock, floor)
}

func root(t testing.TB, gate string) *seal.Root {
	t.Helper()
	r, err := seal.New([]byte("0123456789abcdef0123456789abcdef"), gate)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (w *world) change(tag string, f func(now time.Time, r *access.Record)) {
	w.t.Helper()
	if err := w.Update(context.Background(), tag, func(now time.Time, r *access.Record) error {
		f(now, r)
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
}

// signIn opens a session for Ada and returns its cookie and its hash.
func (w *world) signIn(secret byte, shared bool) (cookie string, h access.Hash) {
	w.t.Helper()
	s := make([]byte, SecretSize)
	s[0] = secret
	h = access.HashOf(s)
	tag := w.Tag(ada)
	w.change(tag, func(now time.Time, r *access.Record) {
		link := access.HashOf([]byte{'l', secret})
		r.Bind(now, ada, w.Address(mustAddress(w.t, "ada@example.com")))
		r.AddLink(now, access.Link{Hash: link, Made: now.Unix(), Expires: now.Unix() + 60, Shared: shared})
		if _, _, state := r.Redeem(now, access.Redemption{Link: link, Session: h, Method: "magic_link", Lifetimes: lifetimes}); state != access.Live {
			w.t.Fatalf("the link is %s", state)
		}
	})
	return Token(tag, s), h
}

func mustAddress(t testing.TB, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// visitor is who a cookie belongs to; it must be somebody.
func (w *world) visitor(cookie string) *Visitor {
	w.t.Helper()
	v, err := w.Who(context.Background(), cookie, w.dir, lifetimes)
	if err != nil || v == nil {
		w.t.Fatalf("Who = %v, %v", v, err)
	}
	return v
}

// work does the background work there is. Only in a synctest bubble.
func (w *world) work() { w.workFor(0) }

// workFor is work, and what comes in some time.
func (w *world) workFor(d time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	go w.Run(ctx)
	<-time.After(d)
	synctest.Wait()
	cancel()
	synctest.Wait()
}
