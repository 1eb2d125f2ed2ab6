// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package csv

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/internal/directory"
)

func write(t *testing.T, clients []directory.Client) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, clients); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A name that is a formula would run in the spreadsheet of whoever opens the
// list; defusing it must not change who is on file.
func TestWriteDefusesFormulas(t *testing.T) {
	for name, cell := range map[string]string{
		"Ada":             "Ada",
		`=HYPERLINK("x")`: `"'=HYPERLINK(""x"")"`,
		"+1 555 0100":     "'+1 555 0100",
		"-1":              "'-1",
		"@SUM(A1)":        "'@SUM(A1)",
		"＝1":              "'＝1",
		"'=1":             "''=1",
		"''=1":            "'''=1",
		"'t Hooft":        "'t Hooft",
		"O'Brien":         "O'Brien",
		"'":               "'",
		"a=1":             "a=1",
	} {
		c := directory.Client{ID: "1", Email: "a@b.com", Name: name, Access: true}
		got := write(t, []directory.Client{c})
		want := "\ufeffid,email,name,phone,language,portal_access,email_ok\n1,a@b.com," + cell + ",,,yes,no\n"
		if string(got) != want {
			t.Errorf("%q was written as\n%q, want\n%q", name, got, want)
		}
		list, err := Parse(got, Rules{})
		if err != nil || list.Rows[0].Client != c {
			t.Errorf("%q was read back as %+v, %v", name, list, err)
		}
	}
}

// Whoever gives the practice a name puts a formula behind a sign at which the
// spreadsheet that opens the list begins another cell: where people write a decimal
// comma, Excel does at each semicolon and minds no quotes within a cell. No such
// sign, on whatever a spreadsheet is set, opens a formula, and the list is read as
// it was.
func TestNoSeparatorOpensAFormula(t *testing.T) {
	for name, cell := range map[string]string{
		"x;=cmd|' /C calc'!A0;y": "x;'=cmd|' /C calc'!A0;y",
		"x;=1":                   "x;'=1",
		"x; =1":                  "x;' =1",
		"x;\u00a0\u3000＝1":       "x;'\u00a0\u3000＝1",
		`x;"=1"`:                 `"x;'""=1"""`,
		"x|-1;+1":                "x|'-1;'+1",
		"x;;@SUM(A1)":            "x;;'@SUM(A1)",
		"x;'=1":                  "x;''=1",
		"=1;=1":                  "'=1;'=1",
		"Lovelace, Ada":          `"Lovelace, Ada"`,
		"x,=1":                   `"x,'=1"`,
		"x;'t Hooft":             "x;'t Hooft",
		"x;1-1":                  "x;1-1",
		"x;":                     "x;",
	} {
		c := directory.Client{ID: "1", Email: "a|=1@b.com", Name: name, Phone: "1;+1"}
		got := write(t, []directory.Client{c})
		want := "\ufeffid,email,name,phone,language,portal_access,email_ok\n1,a|'=1@b.com," + cell + ",1;'+1,,no,no\n"
		if string(got) != want {
			t.Errorf("%q was written as\n%q, want\n%q", name, got, want)
		}
		for _, cell := range strings.FieldsFunc(string(got), func(r rune) bool { return strings.ContainsRune(between+"\n", r) }) {
			if strings.IndexAny(strings.TrimLeft(cell, ` "`), formula) == 0 {
				t.Errorf("%q opens a formula in %q", name, cell)
			}
		}
		list, err := Parse(got, Rules{})
		if err != nil || list.Rows[0].Client != c {
			t.Errorf("%q was read back as %+v, %v", name, list, err)
		}
	}
}

func FuzzDefused(f *testing.F) {
	for _, s := range []string{"", "=1", "x;=1", "';'=1", "x;\"' =1", "\t=1", "'\t'\r;", "'t Hooft, -"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		written := defused(s)
		if got := armed(written); got != s {
			t.Errorf("%q was written as %q and read as %q", s, written, got)
		}
		for _, cell := range strings.FieldsFunc(written, func(r rune) bool { return strings.ContainsRune(between, r) }) {
			if strings.IndexAny(cell, formula) == 0 {
				t.Errorf("%q was written as %q", s, written)
			}
		}
	})
}

func TestWriteIsInOrder(t *testing.T) {
	a, b := directory.Client{ID: "a", Email: "a@b.com"}, directory.Client{ID: "b", Email: "b@b.com"}
	if x, y := write(t, []directory.Client{a, b}), write(t, []directory.Client{b, a}); !bytes.Equal(x, y) {
		t.Errorf("the same clients are\n%s and\n%s", x, y)
	}
}

func TestParseWithoutIDs(t *testing.T) {
	for _, in := range []string{"email,name\na@b.com,A\n", "id,email,name\n,a@b.com,A\n"} {
		list, err := Parse([]byte(in), Rules{NoID: true})
		if err != nil || len(list.Rows) != 1 || list.Rows[0].ID != "" || list.Rows[0].Line != 2 {
			t.Errorf("Parse(%q) = %+v, %v", in, list, err)
		}
	}
	for in, want := range map[string]string{
		"id,email,name\n!,a@b.com,A\n": "line 2: id: must be",
		"id,email,name\n,a@b,A\n":      "line 2: email: does not look like", // an absent id excuses nothing else
		"name\nA\n":                    `no column "email"`,
	} {
		if _, err := Parse([]byte(in), Rules{NoID: true}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) = %v, want %q", in, err, want)
		}
	}
	list, _ := Parse([]byte("email,name,email_ok\na@b.com,A,no\n"), Rules{NoID: true})
	if list.Has("portal_access") || !list.Has("email_ok") {
		t.Error("Has does not say which columns there were")
	}
}

// Whoever imports wants to mend all of it at once.
func TestBadNamesEveryLine(t *testing.T) {
	_, err := Parse([]byte("id,email,name\n"+strings.Repeat("1\n", 12_000)), Rules{})
	var bad *Bad
	if !errors.As(err, &bad) || len(bad.Problems) != maxNamed || bad.More != 2000 {
		t.Fatalf("error = %v", err)
	}
	for i, p := range bad.Problems {
		if want := fmt.Sprintf("line %d: ", i+2); !strings.HasPrefix(p, want) {
			t.Fatalf("problem %d is %q, want %q", i, p, want)
		}
	}
}

// Whoever gives the practice a name has it written into a list, and what is wrong
// with a list into a log, a terminal and a page. Control signs get into neither
// (T10), nor does the name.
func TestT10_ControlSignsInAList(t *testing.T) {
	for _, sign := range []string{"\n", "\r\n", "\x1b[2J", "\x00", "\u0085", "\u2028", "\u009b", "\x7f"} {
		for _, column := range []string{"id", "email", "name", "phone", "language", "portal_access"} {
			cells := map[string]string{"id": "1", "email": "eve@example.com", "name": "Eve", "portal_access": "yes"}
			cells[column] = cells[column] + "Eve" + sign + "{\"level\":\"info\"}"
			var line []string
			for _, name := range columns[:6] {
				line = append(line, `"`+strings.ReplaceAll(cells[name], `"`, `""`)+`"`)
			}
			list, err := Parse([]byte(strings.Join(columns[:6], ",")+"\n"+strings.Join(line, ",")+"\n"), Rules{})
			if err == nil || list != nil {
				t.Errorf("%q in %s was taken", sign, column)
				continue
			}
			if told := err.Error(); strings.Contains(told, sign) || strings.Contains(told, "Eve") || strings.Contains(told, "level") {
				t.Errorf("%q in %s: told is %q", sign, column, told)
			}
		}
	}
}
