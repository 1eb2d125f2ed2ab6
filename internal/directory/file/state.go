// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package file

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/portalgate/portalgate/internal/directory/csv"
)

// errMoving is returned by read if the file changed under its hands.
var errMoving = errors.New("changed while it was read")

// state is what can be seen of a file from outside. The zero state is that of
// a file that is not there, or not to be seen.
type state struct{ info os.FileInfo }

func look(path string) state {
	info, err := os.Stat(path)
	if err != nil {
		return state{}
	}
	return state{info}
}

// same reports whether nothing was seen to change from s to t.
func (s state) same(t state) bool {
	if s.info == nil || t.info == nil {
		return s.info == nil && t.info == nil
	}
	return s.info.Size() == t.info.Size() &&
		s.info.ModTime().Equal(t.info.ModTime()) &&
		os.SameFile(s.info, t.info)
}

// read reads the whole file and returns its clients and the state it was read
// in. An error comes with the state that it belongs to.
func read(path string) ([]csv.Row, state, error) {
	fail := func(st state, err error) ([]csv.Row, state, error) {
		return nil, st, fmt.Errorf("client file %s: %w", path, err)
	}
	// Looked at before it is opened: opening a pipe would wait for a writer.
	st := look(path)
	if st.info != nil && !st.info.Mode().IsRegular() {
		return fail(st, errors.New("is not a regular file"))
	}
	f, err := os.Open(path)
	if err != nil {
		return fail(st, withoutPath(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fail(st, withoutPath(err))
	}
	st = state{info}
	// One byte more than is taken, so that what is too long is not cut short.
	data, err := io.ReadAll(io.LimitReader(f, csv.MaxSize+1))
	if err != nil {
		return fail(st, withoutPath(err))
	}
	if info, err = f.Stat(); err != nil || !st.same(state{info}) {
		return fail(st, errMoving)
	}
	clients, err := csv.Parse(data, csv.Rules{})
	if err != nil {
		return fail(st, err)
	}
	return clients.Rows, st, nil
}

// withoutPath leaves only the cause of an error that repeats the path.
func withoutPath(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}
