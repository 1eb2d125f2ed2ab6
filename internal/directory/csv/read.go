// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package csv is how lists of clients come from spreadsheets and go to them: one
// client a line, columns by name.
//
// It takes a list whole or not at all, names every line that is wrong, and never
// guesses. What is wrong is told without anybody's name or address, because it
// goes to logs.
package csv

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
)

const (
	// MaxSize in bytes is far more clients than a practice has (some 200 000),
	// and little enough to read within a poll.
	MaxSize = 10 << 20
	// maxNamed is how many bad lines are named; the rest are counted.
	maxNamed = 10_000
)

// columns are the known ones; the first three must be there.
var columns = []string{"id", "email", "name", "phone", "language", "portal_access", "email_ok"}

const required = 3

var wordPattern = regexp.MustCompile(`^[a-z_]{1,40}$`)

// List is a list of clients in which nothing is wrong.
type List struct {
	Rows []Row
	// has are the columns that were there.
	has map[string]int
}

// Row is one client of a list.
type Row struct {
	directory.Client
	Address address.Address
	Line    int // from 1, the header
}

// Has reports whether the list has a column. Where it has none, Access and
// EmailOK of all its clients are true: whoever leaves the column out means
// everybody.
func (l *List) Has(column string) bool { return l.has[column] >= 0 }

// Bad is the error for a list in which something is wrong. It names neither a
// person nor a whole address.
type Bad struct {
	// Problems are sentences, one for each thing that is wrong, in the order of
	// the lines, the first 10 000 of them.
	Problems []string
	// More is how many there are beside those.
	More int
}

// Error names the first twenty.
func (b *Bad) Error() string {
	const few = 20
	told := b.Problems[:min(len(b.Problems), few)]
	if more := b.More + len(b.Problems) - len(told); more > 0 {
		told = append(slices.Clone(told), fmt.Sprintf("and %d more", more))
	}
	return strings.Join(told, "\n")
}

func (b *Bad) add(format string, args ...any) {
	if len(b.Problems) == maxNamed {
		b.More++
		return
	}
	b.Problems = append(b.Problems, fmt.Sprintf(format, args...))
}

func bad(format string, args ...any) *Bad {
	return &Bad{Problems: []string{fmt.Sprintf(format, args...)}}
}

// Rules say what a list may be like.
type Rules struct {
	// NoID lets the id column be absent, and ids be empty.
	NoID bool
}

// Parse reads a list. Its error is a *Bad.
func Parse(data []byte, rules Rules) (*List, error) {
	if len(data) > MaxSize {
		return nil, bad("larger than %d MB", MaxSize>>20)
	}
	data = bytes.TrimPrefix(data, []byte(mark)) // Excel's "CSV UTF-8" has it
	if !utf8.Valid(data) {
		return nil, bad("line %d: not UTF-8; save the file as \"CSV UTF-8\"", invalidLine(data))
	}
	r := csv.NewReader(bytes.NewReader(data))
	r.Comma = separator(data)
	r.TrimLeadingSpace = true
	r.ReuseRecord = true
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, bad("empty: the first line must name the columns %s", strings.Join(columns, ", "))
	}
	if err != nil {
		return nil, bad("%v", err)
	}
	at, err := parseHeader(header, rules)
	if err != nil {
		return nil, bad("%v", err)
	}
	return parseLines(r, at, rules)
}

// separator is what stands between the columns of the first line: a comma, or the
// semicolon with which spreadsheets save a list where the comma is a decimal sign.
func separator(data []byte) rune {
	header, _, _ := bytes.Cut(data, []byte("\n"))
	if bytes.ContainsRune(header, ';') && !bytes.ContainsRune(header, ',') {
		return ';'
	}
	return ','
}

// parseHeader returns where each known column is; -1 if it is absent.
func parseHeader(header []string, rules Rules) (at map[string]int, err error) {
	at = make(map[string]int, len(columns))
	for _, name := range columns {
		at[name] = -1
	}
	known := "; known columns are " + strings.Join(columns, ", ")
	for i, name := range header {
		name = strings.TrimSpace(name)
		pos, ok := at[name]
		switch {
		case ok && pos >= 0:
			return nil, fmt.Errorf("header: column %q is there twice", name)
		case ok:
			at[name] = i
		case wordPattern.MatchString(name):
			return nil, fmt.Errorf("header: unknown column %q%s", name, known)
		default: // where the header was forgotten, this is a client's data
			return nil, fmt.Errorf("header: column %d is unknown%s", i+1, known)
		}
	}
	for _, name := range columns[:required] {
		if at[name] < 0 && !(name == "id" && rules.NoID) {
			return nil, fmt.Errorf("header: no column %q%s", name, known)
		}
	}
	return at, nil
}

func parseLines(r *csv.Reader, at map[string]int, rules Rules) (*List, error) {
	var (
		list  = &List{has: at}
		wrong Bad
		ids   = map[string]int{} // id to line
		addrs = map[string]int{} // canonical address to line
	)
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if len(record) > 0 && !slices.ContainsFunc(record, func(s string) bool { return strings.TrimSpace(s) != "" }) {
			continue // ",,,,": what a spreadsheet leaves of a deleted row
		}
		if err != nil && !errors.Is(err, csv.ErrFieldCount) {
			// A stray quote: where the next line starts is a guess from here on.
			wrong.add("%v", err)
			break
		}
		line, _ := r.FieldPos(0)
		if err != nil {
			wrong.add("line %d: %d fields, not %d as in the first line", line, len(record), r.FieldsPerRecord)
			continue
		}
		row, errs := parseLine(record, at, rules)
		row.Line = line
		for _, err := range errs {
			wrong.add("line %d: %v", line, err)
		}
		if row.ID != "" {
			if first, ok := ids[row.ID]; ok {
				wrong.add("line %d: id %q is already in line %d", line, row.ID, first)
			} else {
				ids[row.ID] = line
			}
		}
		if key := row.Address.Canonical(); key != "" {
			if first, ok := addrs[key]; ok {
				wrong.add("line %d: address %s is already in line %d; each client needs an own address",
					line, row.Address.Masked(), first)
			} else {
				addrs[key] = line
			}
		}
		list.Rows = append(list.Rows, row)
	}
	if len(wrong.Problems) > 0 {
		return nil, &wrong
	}
	return list, nil
}

// parseLine reads one record, and says everything that is wrong with it. What
// is wrong is left empty.
func parseLine(record []string, at map[string]int, rules Rules) (row Row, errs []*directory.Invalid) {
	field := func(column string) string {
		if at[column] < 0 {
			return ""
		}
		return strings.Clone(armed(strings.TrimSpace(record[at[column]])))
	}
	c, a, errs := directory.Check(directory.Client{
		ID: field("id"), Email: field("email"), Name: field("name"), Phone: field("phone"), Language: field("language"),
	})
	if rules.NoID && field("id") == "" {
		errs = slices.DeleteFunc(errs, func(i *directory.Invalid) bool { return i.Field == "id" })
	}
	flag := func(column string) bool {
		if at[column] < 0 {
			return true
		}
		v, ok := parseFlag(field(column))
		if !ok {
			errs = append(errs, &directory.Invalid{Field: column, Text: "must be yes or no"})
		}
		return v
	}
	c.Access, c.EmailOK = flag("portal_access"), flag("email_ok")
	return Row{Client: c, Address: a}, errs
}

// parseFlag reads yes or no. Anything else is an error and never a guess,
// nothing included: whoever empties a cell may mean either.
func parseFlag(s string) (v, ok bool) {
	switch strings.ToLower(s) {
	case "yes", "true", "1":
		return true, true
	case "no", "false", "0":
		return false, true
	}
	return false, false
}

// invalidLine returns the number of the first line that is not UTF-8.
func invalidLine(data []byte) int {
	n := 1
	for line := range bytes.Lines(data) {
		if !utf8.Valid(line) {
			break
		}
		n++
	}
	return n
}
