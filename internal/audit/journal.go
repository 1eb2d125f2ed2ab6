// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Journal is the events on disk: a directory of files with one event a line, as
// JSON. Each gate keeps one of its own, with the events of all gates on its store.
//
// A file is named by the month of its events and by the history they belong to,
// such as 2026-11.1.jsonl. A store that was set back, by a failover or from a
// backup, goes on with another chain than the one on disk: what is on disk stays,
// and the other is history 2. It may be used concurrently.
type Journal struct {
	dir string

	mu      sync.Mutex
	month   string // guarded by mu, as is the rest; of the newest file
	history int
	last    Event // the newest on disk
}

// monthForm is how files are named.
const monthForm = "2006-01"

// maxLine bounds a line, in bytes: more than any event takes.
const maxLine = 16 << 10

// OpenJournal opens the journal in dir, which it makes if need be. The end of a
// line that a crash has cut off is removed: the store has the event still. A
// journal that does not hold together is left as it is and goes on; Verify tells.
func OpenJournal(dir string) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the audit journal: %v", err)
	}
	j := &Journal{dir: dir, history: 1}
	names, err := j.files()
	if err != nil || len(names) == 0 {
		return j, err
	}
	newest := names[len(names)-1]
	if err := mend(filepath.Join(dir, newest.String())); err != nil {
		return nil, fmt.Errorf("opening the audit journal: %v", err)
	}
	j.month, j.history = newest.month, newest.history
	for _, name := range slices.Backward(names) { // the newest may be empty after a crash
		if name.history != j.history {
			break
		}
		err := j.read(name, func(e Event) error { j.last = e; return nil })
		if err != nil || j.last.Seq > 0 {
			return j, err
		}
	}
	return j, nil
}

// file is the name of one file.
type file struct {
	month   string
	history int
}

func (f file) String() string { return fmt.Sprintf("%s.%d.jsonl", f.month, f.history) }

// files returns the names of the files, oldest events first.
func (j *Journal) files() ([]file, error) {
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		return nil, fmt.Errorf("reading the audit journal: %v", err)
	}
	var names []file
	for _, e := range entries {
		var f file
		name := e.Name()
		if len(name) < len(monthForm)+2 {
			continue
		}
		f.month = name[:len(monthForm)]
		if _, err := fmt.Sscanf(name[len(monthForm):], ".%d.jsonl", &f.history); err != nil || f.String() != name {
			continue
		}
		if _, err := time.Parse(monthForm, f.month); err == nil && e.Type().IsRegular() {
			names = append(names, f)
		}
	}
	slices.SortFunc(names, func(a, b file) int {
		if a.history != b.history {
			return a.history - b.history
		}
		return bytes.Compare([]byte(a.month), []byte(b.month))
	})
	return names, nil
}

// mend cuts off the beginning of a line at the end of a file.
func mend(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return err
	}
	tail := make([]byte, min(size, maxLine))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil {
		return err
	}
	whole := bytes.LastIndexByte(tail, '\n') + 1
	if whole == len(tail) {
		return nil
	}
	if whole == 0 && size > maxLine {
		return errors.New(filepath.Base(path) + " ends in a line that is none of ours")
	}
	if err := f.Truncate(size - int64(len(tail)-whole)); err != nil {
		return err
	}
	return f.Sync()
}

// LastEvent returns the newest event on disk, the zero Event if there is none.
func (j *Journal) LastEvent() Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.last
}

// Write writes events that follow each other in the store's chain, and makes
// sure that they are on disk. Those which are there already are left out. Where
// they do not follow from what is there, another history begins, and set back is
// true.
func (j *Journal) Write(events []Event) (setBack bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(events) > 0 {
		e := events[0]
		switch {
		case j.last.Seq == 0 && j.month == "": // the first of all
		case e.Seq == j.last.Seq && e.Hash == j.last.Hash:
			events = events[1:]
			continue
		case e.Seq != j.last.Seq+1 || e.Prev != j.last.Hash:
			j.history, j.month, j.last, setBack = j.history+1, "", Event{}, true
		}
		// A month never goes back: events come in the order of the chain.
		month := max(j.month, e.At.Format(monthForm))
		n := 1
		for n < len(events) && max(month, events[n].At.Format(monthForm)) == month && events[n].Prev == events[n-1].Hash {
			n++
		}
		if err := j.writeLocked(file{month, j.history}, events[:n]); err != nil {
			return setBack, fmt.Errorf("writing the audit journal: %v", err)
		}
		j.month, j.last, events = month, events[n-1], events[n:]
	}
	return setBack, nil
}

func (j *Journal) writeLocked(name file, events []Event) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, e := range events {
		if err := enc.Encode(e); err != nil {
			return err
		}
	}
	path := filepath.Join(j.dir, name.String())
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	before, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err = f.Write(b.Bytes()); err == nil {
		err = f.Sync()
	}
	if err != nil {
		_ = f.Truncate(before) // no half line before the next try
	}
	return err
}

// read calls do with each event of a file, in order.
func (j *Journal) read(name file, do func(Event) error) error {
	f, err := os.Open(filepath.Join(j.dir, name.String()))
	if err != nil {
		return fmt.Errorf("reading the audit journal: %v", err)
	}
	defer f.Close()
	return Read(f, name.String(), do)
}

// Read calls do with each event of r, one a line, and returns its error or one
// that names the line which is none.
func Read(r io.Reader, name string, do func(Event) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		var e Event
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil || d.More() {
			return fmt.Errorf("%s:%d: that is no event", name, n)
		}
		if err := do(e); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading %s: %v", name, err)
	}
	return nil
}

// Older returns up to limit events with a Seq below one, newest first.
func (j *Journal) Older(f Filter, below int64, limit int) ([]Event, error) {
	j.mu.Lock()
	history := j.history
	j.mu.Unlock()
	names, err := j.files()
	if err != nil {
		return nil, err
	}
	var found []Event
	for _, name := range slices.Backward(names) {
		if len(found) == limit || name.history != history {
			break
		}
		if !f.Until.IsZero() && name.month > f.Until.UTC().Format(monthForm) {
			continue
		}
		var here []Event
		err := j.read(name, func(e Event) error {
			if e.Seq < below && f.Picks(e) {
				here = append(here, e)
				here = here[max(0, len(here)-limit):]
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		slices.Reverse(here)
		found = append(found, here...)
	}
	return found[:min(len(found), limit)], nil
}

// Forget removes the files that hold nothing but events from before a time.
func (j *Journal) Forget(before time.Time) error {
	names, err := j.files()
	if err != nil {
		return err
	}
	j.mu.Lock()
	now := file{j.month, j.history}
	j.mu.Unlock()
	for _, name := range names {
		if name == now || name.month >= before.UTC().Format(monthForm) {
			continue
		}
		if err := os.Remove(filepath.Join(j.dir, name.String())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forgetting old events: %v", err)
		}
	}
	return nil
}

// Verified is what was found of one history.
type Verified struct {
	History int
	Events  int64
	// First is the Seq it begins with: 1 unless older events were forgotten.
	First int64
	// Last is the newest event.
	Last Event
}

// Verify checks every history, oldest first. The error is *Broken, or says which
// line is no event.
func (j *Journal) Verify() ([]Verified, error) {
	names, err := j.files()
	if err != nil {
		return nil, err
	}
	var all []Verified
	var check Check
	for _, name := range names {
		if len(all) == 0 || all[len(all)-1].History != name.history {
			check = Check{}
			all = append(all, Verified{History: name.history})
		}
		v := &all[len(all)-1]
		err := j.read(name, func(e Event) error {
			if err := check.Next(e); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if v.Events++; v.First == 0 {
				v.First = e.Seq
			}
			v.Last = e
			return nil
		})
		if err != nil {
			return all, err
		}
	}
	return all, nil
}
