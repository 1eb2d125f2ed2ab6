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
	"iter"
)

// Read goes through events written as JSON lines. What is no event is an error
// that names its line, and the end; so is a last line without an end.
func Read(r io.Reader) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		b := bufio.NewReaderSize(r, maxLine)
		for n := 1; ; n++ {
			line, err := b.ReadSlice('\n')
			if errors.Is(err, io.EOF) && len(line) == 0 {
				return
			}
			var ev Event
			if err == nil {
				ev, err = parseLine(line)
			} else if errors.Is(err, io.EOF) {
				err = errors.New("cut off")
			}
			if err != nil {
				yield(Event{}, fmt.Errorf("line %d: %w", n, err))
				return
			}
			if !yield(ev, nil) {
				return
			}
		}
	}
}

// parseLine reads a line as it is written, and nothing else: what does not come
// out the same again was not written here.
func parseLine(line []byte) (ev Event, err error) {
	line = bytes.TrimSuffix(line, []byte("\n"))
	if err := json.Unmarshal(line, &ev); err != nil {
		return Event{}, errors.New("not an event")
	}
	if !bytes.Equal(encode(ev), line) {
		return Event{}, errors.New("not as it was written")
	}
	return ev, nil
}
