// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/portalgate/portalgate/internal/store"
)

// format is the version of the file's layout. A file of a newer one is refused
// untouched, so that going back a release never damages what the newer wrote.
const format = 1

var (
	meta      = []byte("meta")
	formatKey = []byte("format")
)

// Open opens the store in the file at path, which is made if it is not there,
// with its directory. Close gives it back.
//
// An error wraps [store.ErrUnknown] if it may pass with time, as when another
// process has the file, and does not if it will not, as with a file that is no
// store or of a newer format.
func Open(path string, o Options) (*Store, error) {
	if o.Timeout <= 0 {
		o.Timeout = time.Second
	}
	// No option but the timeout: every default of bbolt's is the durable one.
	db, err := openFile(path, &bbolt.Options{Timeout: o.Timeout})
	if err != nil {
		return nil, err
	}
	return start(db, o), nil
}

// start makes a store of an open file.
func start(db *bbolt.DB, o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sweep <= 0 {
		o.Sweep = time.Minute
	}
	if o.QueueSize <= 0 {
		o.QueueSize = 10_000
	}
	s := &Store{
		db:        db,
		now:       o.Now,
		queueSize: uint64(o.QueueSize),
		writer:    make(chan struct{}, 1),
		stop:      make(chan struct{}),
		swept:     make(chan struct{}),
	}
	s.close = sync.OnceValue(s.drainAndClose)
	go s.sweepEvery(o.Sweep)
	return s
}

func openFile(path string, o *bbolt.Options) (*bbolt.DB, error) {
	dir := filepath.Dir(path)
	if err := makeDir(dir); err != nil {
		return nil, fmt.Errorf("making the store's directory: %w", unknown(err))
	}
	db, err := bbolt.Open(path, 0o600, o)
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("opening store %s: already in use by another process: %w", path, unknown(err))
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("opening store %s: not a store, or damaged: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("opening store %s: %w", path, unknown(err))
	}
	if err := prepare(db); err != nil {
		db.Close()
		return nil, fmt.Errorf("opening store %s: %w", path, err)
	}
	return db, nil
}

// prepare checks the file's format, and lays a new file out. It writes to new
// files only, and to those whose queue had one lane.
func prepare(db *bbolt.DB) error {
	fresh, oneLane := false, false
	if err := db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(meta)
		if b == nil {
			if k, _ := tx.Cursor().First(); k != nil {
				return errors.New("the file is a database of something else")
			}
			fresh = true
			return nil
		}
		v := b.Get(formatKey)
		if len(v) != 4 {
			return errDamaged
		}
		if n := binary.BigEndian.Uint32(v); n != format {
			return fmt.Errorf("the file has format %d and this release reads format %d: use the release that wrote it, or a newer one", n, format)
		}
		oneLane = tx.Bucket(lanes[store.Again]) == nil
		return nil
	}); err != nil {
		return err
	}
	if oneLane {
		if err := db.Update(func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket(lanes[store.Again])
			return err
		}); err != nil {
			return unknown(err)
		}
		return nil
	}
	if !fresh {
		return nil
	}

	// First the file's name, then what is in it: a file that is laid out is
	// known to be there after a power cut.
	if err := syncDir(filepath.Dir(db.Path())); err != nil {
		return unknown(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(meta)
		if err != nil {
			return err
		}
		names := slices.Collect(maps.Values(lanes))
		for _, t := range []table{values, limits, queue} {
			names = append(names, t.data, t.expiry)
		}
		for _, name := range names {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return b.Put(formatKey, binary.BigEndian.AppendUint32(nil, format))
	}); err != nil {
		return unknown(err)
	}
	return nil
}

// makeDir makes a directory and those above it, durably.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// syncDir makes the names in a directory as durable as the files they stand
// for, which bbolt leaves to others.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // directories cannot be synced there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
