// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package file is the directory for a practice that keeps its clients in a
// CSV file: `clients file <csv>`. The file is read whole into memory, and
// again when it changes.
//
// It never writes the file, and takes it whole or not at all: a list with one
// bad line is refused, and the list before it stays in force.
package file

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/directory/csv"
	"github.com/portalgate/portalgate/internal/directory/index"
)

// File is a directory.Directory over one client file. It may be used
// concurrently.
type File struct {
	path string
	list atomic.Pointer[list] // never nil
}

// list is one reading of the file; it is never changed.
type list struct {
	state     state // of the file when it was read
	byID      map[string]directory.Client
	byAddress map[string]string // canonical address to id
	index     func() *index.Index
}

// Open reads the client file at path. It keeps no file open. See Watch for
// what happens when the file changes later.
func Open(path string) (*File, error) {
	clients, st, err := read(path)
	if err != nil {
		return nil, err
	}
	f := &File{path: path}
	f.list.Store(newList(clients, st))
	return f, nil
}

// ByAddress implements directory.Directory.
func (f *File) ByAddress(_ context.Context, a address.Address) (directory.Client, error) {
	l := f.list.Load()
	id, ok := l.byAddress[a.Canonical()]
	if !ok {
		return directory.Client{}, directory.ErrNotFound
	}
	return l.byID[id], nil
}

// ByID implements directory.Directory.
func (f *File) ByID(_ context.Context, id string) (directory.Client, error) {
	c, ok := f.list.Load().byID[id]
	if !ok {
		return directory.Client{}, directory.ErrNotFound
	}
	return c, nil
}

// Find implements directory.Finder.
func (f *File) Find(_ context.Context, q directory.Query) (found []directory.Client, next string, err error) {
	return f.list.Load().index().Find(q)
}

func newList(rows []csv.Row, st state) *list {
	l := &list{
		state:     st,
		byID:      make(map[string]directory.Client, len(rows)),
		byAddress: make(map[string]string, len(rows)),
	}
	for _, r := range rows {
		l.byID[r.ID] = r.Client
		l.byAddress[r.Address.Canonical()] = r.ID
	}
	l.index = sync.OnceValue(func() *index.Index { // where nobody searches, there is none
		return index.New(slices.Collect(maps.Values(l.byID)))
	})
	return l
}

// added returns those of the ids that are not in a.
func added(a *list, ids []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		_, there := a.byID[id]
		return there
	})
}

// Since compares f's list with that of before, as [Report].Changed does.
func (f *File) Since(before *File) (ids, fresh []string) {
	old := before.list.Load()
	ids = differing(old, f.list.Load())
	return ids, added(old, ids)
}

// differing returns, sorted, the ids of all clients about whom a and b do not
// say the same: gone, new, or different in anything.
func differing(a, b *list) []string {
	var ids []string
	for id, c := range a.byID {
		if other, ok := b.byID[id]; !ok || other != c {
			ids = append(ids, id)
		}
	}
	for id := range b.byID {
		if _, ok := a.byID[id]; !ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Interface guards
var (
	_ directory.Directory = (*File)(nil)
	_ directory.Finder    = (*File)(nil)
)
