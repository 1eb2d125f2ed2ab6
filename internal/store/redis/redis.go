// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package redis is the store for several gates: records, limits and the queue in
// one Redis, standalone, behind Sentinel or as a Cluster. Each operation is one
// read or one script in one slot on the primary, at the server's time. Those of
// the same moment share an exchange with a node.
//
// A primary that dies may take with it what it had acknowledged. With Replicas,
// a write that did not reach as many is an error, and may be repeated. In any
// case every value says in which history it was read ([store.Value.Epoch]):
// whoever lets somebody in for a secret that may be used once compares it with
// the one the secret was made in, for a primary can also come back from an old
// snapshot before anything else has taken its place.
//
// It never reads from a replica and never takes silence for an answer: a server
// that is down, slow, loading, demoted, full or in need of another node makes
// every call return [store.ErrUnknown]. It retries no write whose fate is open.
package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/portalgate/portalgate/internal/store"
)

const (
	// opTimeout bounds every exchange with the server, dialing included.
	opTimeout = 500 * time.Millisecond
	// maxCalls is how many calls may run at once. Beyond, they fail: waiting
	// behind a server that is slow helps nobody.
	maxCalls = 1024
	// maxConns is how many connections a gate makes to a node.
	maxConns = 64
)

// The client writes to standard error otherwise; what matters comes back as an
// error of the call.
func init() { logging.Disable() }

// Store is a [store.Backend] and a [store.Feed]. Its methods may be called
// concurrently. The function given to Update must not update the same key.
type Store struct {
	client    goredis.UniversalClient
	replicas  int
	queueSize int
	timeout   time.Duration // of an exchange

	prefix  string // of every key
	channel string // on which changed keys are told
	id      string // this store's, to know its own messages

	calls    chan struct{} // one for each that runs
	leases   chan string   // names of leases that nobody got: see Lease
	locks    locks
	stations sync.Map // *station by a node's address
	cluster  breaker  // of the first look at a cluster
	trips    atomic.Int64

	stop  context.Context // done when Close begins
	close func() error

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// Stats counts what a store has done since it was opened.
type Stats struct {
	// Trips are round trips to a server. What is sent together is one.
	Trips int64
}

// Stats returns the counts so far.
func (s *Store) Stats() Stats { return Stats{Trips: s.trips.Load()} }

// Open returns the store that o describes. It talks to no server: one that is
// down makes calls fail, and does not keep a gate from starting. An error is
// about o, and has no password in it.
func Open(o Options) (*Store, error) {
	if o.QueueSize <= 0 {
		o.QueueSize = 100_000
	}
	if o.timeout <= 0 {
		o.timeout = opTimeout
	}
	client, err := o.client()
	if err != nil {
		return nil, err
	}
	stop, cancel := context.WithCancelCause(context.Background())
	s := &Store{
		client:    client,
		replicas:  o.Replicas,
		queueSize: o.QueueSize,
		timeout:   o.timeout,
		prefix:    "portalgate:" + o.Prefix + ":",
		channel:   "portalgate:" + o.Prefix + ":changed",
		id:        rand.Text()[:8],
		calls:     make(chan struct{}, maxCalls),
		leases:    make(chan string, 64),
		locks:     locks{held: make(map[string]*lock)},
		stop:      stop,
	}
	s.close = sync.OnceValue(func() error {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		cancel(errClosed)
		s.running.Wait()
		if err := s.client.Close(); err != nil {
			return unknown(err)
		}
		return nil
	})
	return s, nil
}

var errClosed = errors.New("closed")

// Close refuses new calls, ends Watch, waits for the calls that run, and closes
// the connections. Closing twice is closing once.
func (s *Store) Close() error { return s.close() }

// begin counts a call in, or refuses it. A call that was let in ends with s.end.
func (s *Store) begin(ctx context.Context) error {
	if ctx.Err() != nil {
		return unknown(context.Cause(ctx))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return unknown(errClosed)
	}
	select {
	case s.calls <- struct{}{}:
		s.running.Add(1)
		return nil
	default:
		return unknown(errors.New("too many calls at once"))
	}
}

func (s *Store) end() {
	<-s.calls
	s.running.Done()
}

func unknown(err error) error {
	return fmt.Errorf("%w: %w", store.ErrUnknown, err)
}

// Interface guards
var (
	_ store.Backend = (*Store)(nil)
	_ store.Feed    = (*Store)(nil)
	_ store.Checker = (*Store)(nil)
)
