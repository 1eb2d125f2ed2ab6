// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// UsualKeep is how long files are kept where nobody says otherwise.
const UsualKeep = 6 * 365 * 24 * time.Hour

// maxLine bounds a line of a file, in bytes.
const maxLine = 16 << 10

// Files are the log on disk: JSON lines in a directory, a file a month. Read in
// the order of their names they are the chain, from the oldest event that is
// kept. They may be used concurrently, and are meant for one process: where two
// of one machine were given one directory, each writes what the other has not.
type Files struct {
	dir  string
	keep time.Duration

	mu    sync.Mutex
	ready bool   // guarded by mu; the rest is known
	name  string // guarded by mu; of the file that is written to
	seq   int64  // guarded by mu; the last event in it
	hash  string // guarded by mu; and its hash
	size  int64  // guarded by mu; of the file, as we left it

	refused int // guarded by mu; how often in a row the folder was another's
}

// patience is how often the folder may be another's before that is an error: it is
// asked for once a second.
const patience = 30

// NewFiles returns the files in a directory, which is made when there is something
// to write. Whole months that ended longer than keep ago are removed.
func NewFiles(dir string, keep time.Duration) *Files { return &Files{dir: dir, keep: keep} }

var monthFile = regexp.MustCompile(`^\d{4}-\d{2}\.jsonl$`)

// names returns the files, the oldest first.
func names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var found []string
	for _, e := range entries {
		if monthFile.MatchString(e.Name()) {
			found = append(found, e.Name())
		}
	}
	slices.Sort(found)
	return found, err
}

// Follow writes what the chain has and the files do not. The error tells what
// cannot be mended by trying again, too: a *Broken.
func (f *Files) Follow(ctx context.Context, c *Chain) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("opening the audit log's files: %w", err)
	}
	unlock, free := lock(f.dir)
	if !free { // somebody else writes there just now, and the next second will do
		if f.refused++; f.refused > patience {
			return fmt.Errorf("another process has held the audit log's folder %d times in a row; give each server a folder of its own", f.refused)
		}
		return nil
	}
	f.refused = 0
	defer unlock()
	if err := f.begin(); err != nil {
		return fmt.Errorf("opening the audit log's files: %w", err)
	}
	defer func() { _, f.size, _ = newest(f.dir) }()
	n, err := c.firstAfter(ctx, f.seq)
	if err != nil {
		return err
	}
	var bad error
	for ; ; n++ {
		s, err := c.segment(ctx, n)
		if err != nil || s == nil {
			return errors.Join(bad, err)
		}
		events, other := f.missing(s)
		if other != nil {
			bad = other
			if events, err = f.strange(s); err != nil {
				return err
			}
		}
		if len(events) > 0 {
			if err := f.write(events); err != nil {
				f.ready = false // what was written of it is found out next time
				return fmt.Errorf("writing the audit log's files: %w", err)
			}
		}
		if !s.Closed {
			return bad
		}
	}
}

// missing returns the events of a piece that come after the last in the files. It
// is an error if they do not: the store keeps no event so long, or has lost some
// that are in the files, as after a failover.
func (f *Files) missing(s *segment) ([]Event, error) {
	last, _ := s.end()
	for i, ev := range s.Events {
		switch {
		case ev.Seq == f.seq && ev.Hash != f.hash:
			return nil, &Broken{Seq: f.seq, How: "changed"}
		case ev.Seq > f.seq+1 && f.seq > 0:
			return s.Events[i:], &Broken{Seq: f.seq + 1, How: "removed"}
		case ev.Seq == f.seq+1:
			if ev.Prev != f.hash && f.seq > 0 {
				return nil, &Broken{Seq: f.seq, How: "changed"}
			}
			return s.Events[i:], nil
		case ev.Seq > f.seq:
			return s.Events[i:], nil
		}
	}
	if !s.Closed && last < f.seq {
		return nil, &Broken{Seq: last + 1, How: "removed"}
	}
	return nil, nil
}

// strange returns the events of a piece that are nowhere in the files, although
// others have their numbers there. Both are kept, and Verify names the place.
func (f *Files) strange(s *segment) ([]Event, error) {
	have := make(map[string]bool)
	for ev, err := range ReadDir(f.dir) {
		if err != nil {
			return nil, err
		}
		have[ev.Hash] = true
	}
	events := slices.DeleteFunc(slices.Clone(s.Events), func(ev Event) bool { return have[ev.Hash] })
	if len(events) == 0 && !s.Closed {
		f.seq, f.hash = s.end() // the store goes on from there
	}
	return events, nil
}

// newest returns the last file and its size; no name if there is none.
func newest(dir string) (name string, size int64, err error) {
	all, err := names(dir)
	if err != nil || len(all) == 0 {
		return "", 0, err
	}
	name = all[len(all)-1]
	info, err := os.Stat(filepath.Join(dir, name))
	if err != nil {
		return "", 0, err
	}
	return name, info.Size(), nil
}

// begin finds out where the files end, and cuts off what a crash left unfinished;
// once, unless they are not as we left them.
func (f *Files) begin() error {
	if name, size, err := newest(f.dir); f.ready && err == nil && name == f.name && size == f.size {
		return nil
	}
	f.ready = false
	all, err := names(f.dir)
	if err != nil {
		return err
	}
	f.name, f.seq, f.hash = "", 0, ""
	for _, name := range slices.Backward(all) { // a file may be empty
		if f.name == "" {
			f.name = name
		}
		if err := f.mend(name); err != nil {
			return err
		}
		if f.seq > 0 {
			break
		}
	}
	f.ready = true
	return nil
}

// mend reads a file to its end. A last line that has no end, or is none, was
// being written when the machine went down; its events are in the store.
func (f *Files) mend(name string) error {
	file, err := os.OpenFile(filepath.Join(f.dir, name), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	r, good := bufio.NewReaderSize(file, maxLine), int64(0)
	for {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			if len(line) == 0 {
				return nil
			}
			break
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		ev, bad := parseLine(line)
		if _, more := r.Peek(1); bad != nil && errors.Is(more, io.EOF) {
			break
		}
		if bad == nil {
			f.seq, f.hash = ev.Seq, ev.Hash
		}
		good += int64(len(line))
	}
	if err := file.Truncate(good); err != nil {
		return err
	}
	return file.Sync()
}

// write appends events, each to the file of its month, or to the newest if that is
// later: the files are the chain in the order of their names.
func (f *Files) write(events []Event) error {
	for len(events) > 0 {
		name := max(f.name, events[0].At.UTC().Format("2006-01")+".jsonl")
		n := 1
		for n < len(events) && max(name, events[n].At.UTC().Format("2006-01")+".jsonl") == name {
			n++
		}
		if err := f.writeTo(name, events[:n]); err != nil {
			return err
		}
		last := events[n-1]
		f.name, f.seq, f.hash, events = name, last.Seq, last.Hash, events[n:]
	}
	return nil
}

func (f *Files) writeTo(name string, events []Event) error {
	file, err := os.OpenFile(filepath.Join(f.dir, name), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, ev := range events {
		b.Write(append(encode(ev), '\n'))
	}
	_, err = file.Write(b.Bytes())
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil && name != f.name {
		err = syncDir(f.dir)
	}
	return err
}

// syncDir makes a new name last. Where a directory cannot be synced there is no
// need to.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrInvalid) {
		return err
	}
	return nil
}

// Expire removes the months that ended longer ago than they are kept. The newest
// file stays.
func (f *Files) Expire(now time.Time) error {
	all, err := names(f.dir)
	for len(all) > 1 && err == nil {
		month, perr := time.Parse("2006-01", strings.TrimSuffix(all[0], ".jsonl"))
		if perr != nil || month.AddDate(0, 1, 0).After(now.Add(-f.keep)) {
			break
		}
		err = os.Remove(filepath.Join(f.dir, all[0]))
		all = all[1:]
	}
	return err
}

// older offers a page what is on disk before the event reached; 0 is all.
func (f *Files) older(ctx context.Context, p *page, reached int64) error {
	all, err := names(f.dir)
	if err != nil {
		return err
	}
	for _, name := range slices.Backward(all) {
		if !p.f.Since.IsZero() && name < p.f.Since.UTC().Format("2006-01") {
			return nil // nothing in it, or before it, happened since
		}
		room := p.f.Limit + 1 - len(p.found)
		var found []Event
		for ev, err := range readFile(filepath.Join(f.dir, name)) {
			if err != nil {
				return err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if (reached == 0 || ev.Seq < reached) && ev.Seq < p.before && p.f.picks(ev) {
				if found = append(found, ev); len(found) >= 2*room {
					found = slices.Clone(found[len(found)-room:])
				}
			}
		}
		for _, ev := range slices.Backward(found) {
			if p.offer(ev); p.done() {
				return nil
			}
		}
	}
	return nil
}

// ReadDir goes through the files of a directory, the oldest event first.
func ReadDir(dir string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		all, err := names(dir)
		if err == nil && len(all) == 0 {
			err = fmt.Errorf("no files like 2026-01.jsonl in %s", dir)
		}
		if err != nil {
			yield(Event{}, err)
			return
		}
		for _, name := range all {
			for ev, err := range readFile(filepath.Join(dir, name)) {
				if !yield(ev, err) || err != nil {
					return
				}
			}
		}
	}
}

func readFile(path string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		file, err := os.Open(path)
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer file.Close()
		for ev, err := range Read(file) {
			if err != nil {
				err = fmt.Errorf("%s: %w", filepath.Base(path), err)
			}
			if !yield(ev, err) {
				return
			}
		}
	}
}
