// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package file

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
)

const (
	// maxSize in bytes is far more clients than a practice has (some 200 000),
	// and little enough to read within a poll.
	maxSize = 10 << 20
	// maxErrors is how many bad lines are named at once.
	maxErrors = 20
	// maxText is the length of a name or phone number, in characters.
	maxText = 200
)

// columns are the known ones; the first three must be there.
var columns = []string{"id", "email", "name", "phone", "language", "portal_access", "email_ok"}

const required = 3

var (
	idPattern       = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	languagePattern = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)
	wordPattern     = regexp.MustCompile(`^[a-z_]{1,40}$`)
)

// client is a line of the file that was found good.
type client struct {
	directory.Client
	address address.Address
}

// parse reads a client file. Its error names every bad line up to maxErrors,
// and neither a name nor a whole address: it goes to logs.
func parse(data []byte) ([]client, error) {
	if len(data) > maxSize {
		return nil, fmt.Errorf("larger than %d MB", maxSize>>20)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // Excel's "CSV UTF-8" has it
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("line %d: not UTF-8; save the file as \"CSV UTF-8\"", invalidLine(data))
	}
	r := csv.NewReader(bytes.NewReader(data))
	r.TrimLeadingSpace = true
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("empty: the first line must name the columns " + strings.Join(columns, ", "))
	}
	if err != nil {
		return nil, err
	}
	at, err := parseHeader(header)
	if err != nil {
		return nil, err
	}
	return parseLines(r, at)
}

// parseHeader returns where each known column is; -1 if it is absent.
func parseHeader(header []string) (at map[string]int, err error) {
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
		if at[name] < 0 {
			return nil, fmt.Errorf("header: no column %q%s", name, known)
		}
	}
	return at, nil
}

func parseLines(r *csv.Reader, at map[string]int) ([]client, error) {
	var (
		clients []client
		bad     complaints
		ids     = map[string]int{} // id to line
		addrs   = map[string]int{} // canonical address to line
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
			bad.add(err)
			break
		}
		line, _ := r.FieldPos(0)
		if err != nil {
			bad.add(fmt.Errorf("line %d: %d fields, not %d as in the first line", line, len(record), r.FieldsPerRecord))
			continue
		}
		c, errs := parseLine(record, at)
		for _, err := range errs {
			bad.add(fmt.Errorf("line %d: %w", line, err))
		}
		if c.ID != "" {
			if first, ok := ids[c.ID]; ok {
				bad.add(fmt.Errorf("line %d: id %q is already in line %d", line, c.ID, first))
			} else {
				ids[c.ID] = line
			}
		}
		if key := c.address.Canonical(); key != "" {
			if first, ok := addrs[key]; ok {
				bad.add(fmt.Errorf("line %d: address %s is already in line %d; each client needs an own address",
					line, c.address.Masked(), first))
			} else {
				addrs[key] = line
			}
		}
		clients = append(clients, c)
	}
	if err := bad.join(); err != nil {
		return nil, err
	}
	return clients, nil
}

// parseLine reads one record, and says everything that is wrong with it. What
// is wrong is left empty.
func parseLine(record []string, at map[string]int) (c client, errs []error) {
	field := func(column string) string {
		if at[column] < 0 {
			return ""
		}
		return strings.TrimSpace(record[at[column]])
	}
	fail := func(column string, err error) {
		errs = append(errs, fmt.Errorf("%s: %w", column, err))
	}
	text := func(column string) string {
		s := field(column)
		if err := checkText(s); err != nil {
			fail(column, err)
			return ""
		}
		return s
	}
	flag := func(column string) bool {
		if at[column] < 0 {
			return true // a practice that leaves the column out means all its clients
		}
		v, err := parseFlag(field(column))
		if err != nil {
			fail(column, err)
		}
		return v
	}

	if id := field("id"); idPattern.MatchString(id) {
		c.ID = id
	} else {
		fail("id", errors.New("must be 1 to 64 of A-Z a-z 0-9 . _ - and start with a letter or digit"))
	}
	a, err := address.Parse(field("email"))
	if err != nil {
		fail("email", err)
	}
	// Byte for byte what is on file, but for a domain in its own script: mail
	// needs it in A-labels.
	c.address, c.Email = a, a.String()
	c.Name, c.Phone = text("name"), text("phone")
	if tag := field("language"); tag == "" || len(tag) <= 35 && languagePattern.MatchString(tag) {
		c.Language = tag
	} else {
		fail("language", errors.New("is not a language tag like en or pt-BR"))
	}
	c.Access, c.EmailOK = flag("portal_access"), flag("email_ok")
	return c, errs
}

// parseFlag reads yes or no. Anything else is an error and never a guess,
// nothing included: whoever empties a cell may mean either.
func parseFlag(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "yes", "true", "1":
		return true, nil
	case "no", "false", "0":
		return false, nil
	}
	return false, errors.New("must be yes or no")
}

func checkText(s string) error {
	if utf8.RuneCountInString(s) > maxText {
		return fmt.Errorf("longer than %d characters", maxText)
	}
	for _, r := range s {
		// The line and paragraph separators break a line as well.
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return errors.New("has a control character or a line break")
		}
	}
	return nil
}

// complaints collects errors, the first maxErrors of them in full.
type complaints struct {
	errs []error
	more int
}

func (c *complaints) add(err error) {
	if len(c.errs) < maxErrors {
		c.errs = append(c.errs, err)
		return
	}
	c.more++
}

func (c *complaints) join() error {
	if c.more > 0 {
		c.errs = append(c.errs, fmt.Errorf("and %d more", c.more))
	}
	return errors.Join(c.errs...)
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
