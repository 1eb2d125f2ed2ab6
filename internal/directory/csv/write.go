// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package csv

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/portalgate/portalgate/internal/directory"
)

// mark is what a file must begin with for Excel to read it as UTF-8.
const mark = "\ufeff"

const (
	// formula are the signs with which a cell begins that a spreadsheet may run.
	formula = "=+-@\t\r＝＋－＠"
	// before are the signs that a spreadsheet may drop from before a formula.
	before = "'\" \u00a0\u3000"
	// between are the signs at which a spreadsheet may begin another cell, within one
	// of ours too: which it goes by is set where it runs, and not in the file (OWASP,
	// CSV Injection).
	between = ",;|\t"
)

// A cell that would be a formula gets an apostrophe before it, which makes it
// text, and so does one that has an apostrophe before such a sign already; what
// follows a separator is a cell of its own here. Reading takes one off again where
// another apostrophe or such a sign follows, so that what was written is read as it
// was, byte for byte: of a name such as "'t Hooft" nothing is taken.

func defused(s string) string {
	return cells(s, func(cell string) string {
		if dangerous(cell) {
			return "'" + cell
		}
		return cell
	})
}

// armed is the reverse of defused.
func armed(s string) string {
	return cells(s, func(cell string) string {
		if strings.HasPrefix(cell, "'") && dangerous(cell) {
			return cell[1:]
		}
		return cell
	})
}

// cells puts what do makes of them in the place of all that may be a cell to some
// spreadsheet. Each ends with the separator after it.
func cells(s string, do func(string) string) string {
	var b strings.Builder
	for {
		end := strings.IndexAny(s, between) + 1
		if end == 0 {
			return b.String() + do(s)
		}
		b.WriteString(do(s[:end]))
		s = s[end:]
	}
}

func dangerous(cell string) bool {
	cell = strings.TrimLeft(cell, before)
	return cell != "" && strings.IndexAny(cell, formula) == 0
}

// Write writes a list with all its columns, in the order of the ids: the same
// clients are the same bytes.
func Write(w io.Writer, clients []directory.Client) error {
	clients = slices.SortedFunc(slices.Values(clients), func(a, b directory.Client) int { return cmp.Compare(a.ID, b.ID) })
	if _, err := io.WriteString(w, mark); err != nil {
		return fmt.Errorf("writing the list of clients: %w", err)
	}
	out := csv.NewWriter(w)
	record := slices.Clone(columns)
	for i := -1; i < len(clients); i++ {
		if i >= 0 {
			c := clients[i]
			record = append(record[:0], c.ID, c.Email, c.Name, c.Phone, c.Language, flag(c.Access), flag(c.EmailOK))
			for i, s := range record {
				record[i] = defused(s)
			}
		}
		if err := out.Write(record); err != nil {
			return fmt.Errorf("writing the list of clients: %w", err)
		}
	}
	if out.Flush(); out.Error() != nil {
		return fmt.Errorf("writing the list of clients: %w", out.Error())
	}
	return nil
}

func flag(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}
