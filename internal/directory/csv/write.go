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

// formula are the signs with which a cell begins that a spreadsheet may run.
const formula = "=+-@\t\r＝＋－＠"

// A cell that would be a formula gets an apostrophe before it, which makes it
// text, and so does one that has an apostrophe before such a sign already.
// Reading takes one off again where another apostrophe or such a sign follows, so
// that what was written is read as it was, byte for byte: of a name such as
// "'t Hooft" nothing is taken.

func defused(s string) string {
	if dangerous(s) {
		return "'" + s
	}
	return s
}

// armed is the reverse of defused.
func armed(s string) string {
	if strings.HasPrefix(s, "'") && dangerous(s) {
		return s[1:]
	}
	return s
}

func dangerous(s string) bool {
	s = strings.TrimLeft(s, "'")
	return s != "" && strings.IndexAny(s, formula) == 0
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
