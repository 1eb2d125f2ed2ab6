// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"errors"
	"time"
)

// Report is told what Watch finds. Its functions are called one at a time;
// none may be nil.
type Report struct {
	// Changed is called after a new list came into force, with the one before it,
	// the sorted ids of the clients who are gone, new or different in anything,
	// and of those the ones that are new. It is called with none if the file is
	// good again and says what it said before.
	Changed func(before *File, ids, added []string)
	// Failed is called once for each change that cannot be taken: a bad file,
	// or none at all. The list before it stays in force.
	Failed func(error)
}

// quiet is for how many polls after the one that saw a change the file must
// stay as it is: a file that is still being written is not taken. Polled every
// second, a change is in force after at most three.
const quiet = 2

// recheck is after how many polls a file that was just read is read once more:
// a change of the same size within one tick of the file system's clock (up to
// two seconds) cannot be seen from outside. A file that could not be taken is
// read again and again, for its permissions may have been the reason.
const recheck = 3

// Watch looks at the file at every interval, and takes it again when it has
// changed and come to rest, until ctx is done. A second is a good interval.
// Polling works on network file systems, in container mounts and over a
// rename, where notifications do not. Only one Watch may run on a File.
func (f *File) Watch(ctx context.Context, every time.Duration, r Report) {
	w := newWatch(f, r)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.poll()
		}
	}
}

// watch is what a Watch remembers from poll to poll.
type watch struct {
	file    *File
	report  Report
	seen    state  // of the file at the poll before
	rest    int    // polls since it was first seen so
	read    state  // of the file when it was last read, in vain or not
	recheck int    // polls until it is read again in the same state; 0 is never
	failure string // what was reported last, unless a good reading came after
}

func newWatch(f *File, r Report) *watch {
	st := f.list.Load().state
	return &watch{file: f, report: r, seen: st, read: st, recheck: recheck}
}

func (w *watch) poll() {
	now := look(w.file.path)
	w.rest++
	if !now.same(w.seen) {
		w.seen, w.rest = now, 0
	}
	if !now.same(w.read) {
		if w.rest >= quiet {
			w.take(now)
		}
		return
	}
	if w.recheck > 0 {
		if w.recheck--; w.recheck == 0 {
			w.take(now)
		}
	}
}

// take reads the file, which was found in the given state, and puts its list
// into force.
func (w *watch) take(found state) {
	clients, st, err := read(w.file.path)
	if errors.Is(err, errMoving) || !st.same(found) {
		// Somebody writes at this moment. The next polls see it, or the
		// reading after them does.
		w.rest, w.recheck = 0, recheck
		return
	}
	again := st.same(w.read)
	w.read = st
	if err != nil {
		w.recheck = recheck
		if !again || err.Error() != w.failure {
			w.failure = err.Error()
			w.report.Failed(err)
		}
		return
	}
	if !again {
		w.recheck = recheck
	}
	before, after := w.file.list.Load(), newList(clients, st)
	w.file.list.Store(after)
	ids := differing(before, after)
	if recovered := w.failure != ""; recovered || len(ids) > 0 {
		w.failure = ""
		old := &File{path: w.file.path}
		old.list.Store(before)
		w.report.Changed(old, ids, added(before, ids))
	}
}
