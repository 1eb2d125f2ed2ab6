// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package bolt is the embedded store: one file, nothing to install, for a gate
// that runs alone. Every write is on disk (fsync) before it is acknowledged.
//
// The file belongs to one process at a time and to a local disk: it is not for
// network file systems, and two gates on two machines need another store. It
// never shrinks; room that is given up is used again.
package bolt

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/portalgate/portalgate/internal/store"
)

// Options are how a store is opened. The zero Options are good.
type Options struct {
	// Now is the store's clock; nil is time.Now.
	Now func() time.Time
	// Timeout is how long to wait for another process to let go of the file;
	// zero is 1 s.
	Timeout time.Duration
	// Sweep is how often what has expired is removed; zero is 1 min. It is not
	// seen while it is still there.
	Sweep time.Duration
	// QueueSize is how many items the queue holds; zero is 10 000.
	QueueSize int
}

// Store is a [store.Backend] in a file. Its methods may be called concurrently.
// The function given to Update must not call the store.
type Store struct {
	db        *bbolt.DB
	now       func() time.Time
	queueSize uint64

	// writer has room for one: the call that may write. bbolt has a mutex for
	// that too, but one cannot give up waiting for a mutex.
	writer        chan struct{}
	reads, writes atomic.Int64

	turns   sync.Mutex
	waiting []*change // guarded by turns; in the order they came

	stop  chan struct{} // closed to end the sweeper
	swept chan struct{} // closed when it has ended
	close func() error

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// Stats counts what a store has done since it was opened, sweeping apart.
type Stats struct {
	// Reads are transactions that changed nothing.
	Reads int64
	// Writes are transactions that were committed.
	Writes int64
}

// Stats returns the counts so far.
func (s *Store) Stats() Stats {
	return Stats{Reads: s.reads.Load(), Writes: s.writes.Load()}
}

// Close refuses new calls, waits for those that run, and closes the file.
// Waiting matters: on a reload, requests of the old configuration outlive its
// clean-up. Closing twice is closing once.
func (s *Store) Close() error { return s.close() }

func (s *Store) drainAndClose() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()

	s.running.Wait()
	close(s.stop)
	<-s.swept
	if err := s.db.Close(); err != nil {
		return unknown(err)
	}
	return nil
}

// begin counts a call in, or refuses it. A call that was let in ends with
// s.running.Done.
func (s *Store) begin(ctx context.Context) error {
	if ctx.Err() != nil {
		return unknown(context.Cause(ctx))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return unknown(errors.New("closed"))
	}
	s.running.Add(1)
	return nil
}

// read runs f in a transaction that cannot write.
func (s *Store) read(ctx context.Context, f func(tx *bbolt.Tx) error) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.running.Done()

	if err := s.db.View(f); err != nil {
		return unknown(err)
	}
	s.reads.Add(1)
	return nil
}

func unknown(err error) error {
	return fmt.Errorf("%w: %w", store.ErrUnknown, err)
}

// Interface guard
var _ store.Backend = (*Store)(nil)
