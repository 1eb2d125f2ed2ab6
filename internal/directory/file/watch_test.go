// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portalgate/portalgate/internal/directory"
)

// polls drives a watch by hand and notes what it reports.
type polls struct {
	*watch
	t       *testing.T
	reports []string
}

func newPolls(t *testing.T, f *File) *polls {
	p := &polls{t: t}
	p.watch = newWatch(f, Report{
		Changed: func(_ *File, ids, _ []string) { p.reports = append(p.reports, "changed "+strings.Join(ids, " ")) },
		Failed:  func(err error) { p.reports = append(p.reports, "failed "+err.Error()) },
	})
	return p
}

// want polls n times and checks what was reported meanwhile: each report must
// contain the text wanted.
func (p *polls) want(n int, reports ...string) {
	p.t.Helper()
	p.reports = nil
	for range n {
		p.poll()
	}
	if !slices.EqualFunc(p.reports, reports, strings.Contains) {
		p.t.Fatalf("after %d polls: reports %q, want %q", n, p.reports, reports)
	}
}

func (p *polls) wantOnFile(ids ...string) {
	p.t.Helper()
	var got []string
	for _, id := range []string{"c-1", "c-2", "c-3"} {
		if _, err := p.file.ByID(p.t.Context(), id); err == nil {
			got = append(got, id)
		}
	}
	if !slices.Equal(got, ids) {
		p.t.Fatalf("on file: %q, want %q", got, ids)
	}
}

func TestWatchTakesChanges(t *testing.T) {
	tests := []struct{ name, before, after, want string }{
		{"removed", ada + grace, grace, "changed c-1"},
		{"all removed", ada + grace, "", "changed c-1 c-2"},
		{"added", ada, grace + ada, "changed c-2"},
		{"address changed", ada, strings.Replace(ada, "ada@", "lovelace@", 1), "changed c-1"},
		{"address in other case", ada, strings.Replace(ada, "ada@", "Ada@", 1), "changed c-1"},
		{"access withdrawn", ada + grace, strings.Replace(ada, "yes,yes", "no,yes", 1) + grace, "changed c-1"},
		{"consent withdrawn", ada + grace, ada + strings.Replace(grace, "yes,yes", "yes,no", 1), "changed c-2"},
		{"name changed", ada, strings.Replace(ada, "Ada", "Augusta", 1), "changed c-1"},
		{"addresses swapped", ada + grace, "c-1,grace@example.com,Ada,yes,yes\nc-2,ada@example.com,Grace,yes,yes\n", "changed c-1 c-2"},
		{"id changed", ada, strings.Replace(ada, "c-1", "c-3", 1), "changed c-1 c-3"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			d := newDisk(t, head+tc.before)
			p := newPolls(t, d.open())
			p.want(10)
			d.write(head + tc.after)
			p.want(2) // seen, and not yet at rest for long enough
			p.want(1, tc.want)
			p.want(10)
		})
	}
}

// Order, quotes and a new time are no change to anybody.
func TestWatchIgnoresTheSameList(t *testing.T) {
	d := newDisk(t, head+ada+grace)
	p := newPolls(t, d.open())
	d.write(head + grace + "\"c-1\",ada@example.com,Ada,1,TRUE\n")
	p.want(10)
}

func TestWatchSeesWhatHappenedBeforeIt(t *testing.T) {
	d := newDisk(t, head+ada+grace)
	f := d.open()
	d.write(head + grace)
	newPolls(t, f).want(3, "changed c-1")
}

func TestWatchTakesAReplacedFile(t *testing.T) {
	d := newDisk(t, head+ada)
	p := newPolls(t, d.open())
	p.want(10)
	// Same size and time as before: only the file is another.
	d.replace(head + strings.Replace(ada, "c-1", "c-3", 1))
	p.want(3, "changed c-1 c-3")
}

func TestWatchFollowsASymbolicLink(t *testing.T) {
	// The way that container platforms mount a file: ..data is swapped.
	old, next := newDisk(t, head+ada), newDisk(t, head+ada+grace)
	link := filepath.Join(t.TempDir(), "clients.csv")
	old.check(os.Symlink(old.path, link))
	f, err := Open(link)
	old.check(err)
	p := newPolls(t, f)
	p.want(10)
	old.check(os.Symlink(next.path, link+".new"))
	old.check(os.Rename(link+".new", link))
	p.want(3, "changed c-2")
}

// A file that is cut short in the middle of a write reads like one from which
// clients were removed: all of those would be signed out.
func TestWatchWaitsForAWriter(t *testing.T) {
	d := newDisk(t, head+ada+grace)
	p := newPolls(t, d.open())
	p.want(10)
	for _, half := range []string{"", head, head + "c-1,a", head + ada} {
		d.write(half)
		p.want(2)
		p.wantOnFile("c-1", "c-2")
	}
	d.write(head + ada + "c-3,new@example.com,New,yes,yes\n")
	p.want(3, "changed c-2 c-3")
	p.wantOnFile("c-1", "c-3")
}

// Two writes of the same size within one tick of the file system's clock, the
// first of them read in between: nothing about the file tells.
func TestWatchReadsOnceMore(t *testing.T) {
	removed := strings.Replace(ada, "yes,yes", "0,0    ", 1)

	d := newDisk(t, head+ada)
	f := d.open()
	d.writeUnseen(head + removed)
	p := newPolls(t, f)
	p.want(3, "changed c-1")

	d.write(head + ada)
	p.want(3, "changed c-1")
	d.writeUnseen(head + removed)
	p.want(3, "changed c-1")
	p.want(10)
}

func TestWatchKeepsTheListOverABadFile(t *testing.T) {
	d := newDisk(t, head+ada)
	p := newPolls(t, d.open())
	d.write(head + "c-1,nonsense,Ada,yes,yes\n")
	p.want(20, "failed client file "+d.path+": line 2: email:")
	p.wantOnFile("c-1")
	d.write(head + ada + "c-2,nonsense,Ada,yes,yes\n")
	p.want(20, "line 3: email:")
	p.wantOnFile("c-1")
	d.write(head + ada + grace)
	p.want(20, "changed c-2")
	// Bad again in the same way is a change of its own.
	d.write(head + "c-1,nonsense,Ada,yes,yes\n")
	p.want(20, "line 2: email:")
	// Good again, and nobody different: told all the same, without ids.
	d.write(head + ada + grace)
	p.want(20, "changed ")
	if p.reports[0] != "changed " {
		t.Errorf("report = %q, want no ids", p.reports[0])
	}
}

func TestWatchKeepsTheListWithoutAFile(t *testing.T) {
	d := newDisk(t, head+ada)
	p := newPolls(t, d.open())
	p.want(10)
	aside := d.path + ".aside"

	// Away for a moment, as while some programs save: not worth a word.
	d.check(os.Rename(d.path, aside))
	p.want(2)
	d.check(os.Rename(aside, d.path))
	p.want(10)

	d.check(os.Rename(d.path, aside))
	p.want(20, "failed client file "+d.path+": no such file")
	p.wantOnFile("c-1")
	d.check(os.Rename(aside, d.path))
	p.want(20, "changed ")

	d.check(os.Remove(d.path))
	p.want(20, "no such file")
	d.check(os.Mkdir(d.path, 0o700))
	p.want(20, "is not a regular file")
	d.check(os.Remove(d.path))
	d.write(head + grace)
	p.want(20, "changed c-1 c-2")
	p.wantOnFile("c-2")
}

// A file that could not be read for its permissions looks the same from
// outside after these were mended; here, what it says is mended unseen.
func TestWatchTriesAFailedFileAgain(t *testing.T) {
	d := newDisk(t, head+ada)
	p := newPolls(t, d.open())
	d.write(head + "c-1,ad@example.com,Ada,yes,y\n")
	p.want(10, "line 2: email_ok:")
	d.writeUnseen(head + "c-1,ad@example.com,Ada,x,no\n")
	p.want(10, "line 2: portal_access:")
	d.writeUnseen(head + "c-1,ad@example.com,Ada,yes,1\n")
	p.want(10, "changed c-1")
}

// DESIGN section 6 and the gate's promise: a removed row, a changed address
// and access switched off count within 5 s of the file's change.
func TestWatchWithinFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t, head+ada+grace)
		f := d.open()
		ctx, cancel := context.WithCancel(t.Context())
		changed := make(chan []string)
		var done sync.WaitGroup
		done.Go(func() {
			f.Watch(ctx, time.Second, Report{
				Changed: func(_ *File, ids, _ []string) {
					if _, err := f.ByID(ctx, "c-1"); !errors.Is(err, directory.ErrNotFound) {
						t.Errorf("Changed is called while the old list is in force")
					}
					changed <- ids
				},
				Failed: func(err error) { t.Errorf("Failed: %v", err) },
			})
		})
		<-time.After(time.Minute + 300*time.Millisecond)
		start := time.Now()
		d.write(head + grace)
		ids := <-changed
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v, want 5 s at most", took)
		}
		if !slices.Equal(ids, []string{"c-1"}) {
			t.Errorf("ids = %q", ids)
		}
		cancel()
		done.Wait() // Watch ends with its context
	})
}
