// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package index finds clients for the people of a practice: by the beginning of
// a name, of a part of one, or of an address, whatever the case and the accents.
// It is a list in memory that is gone through from one end to the other, which
// for 100 000 clients takes some milliseconds.
//
// It decides nothing about who may sign in: addresses are compared there to the
// letter, and here as people type them.
package index

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/portalgate/portalgate/internal/directory"
)

// How many clients a query returns.
const (
	usual = 50
	most  = 500
)

// Index is a list of clients in the order of their names and then their ids. It
// never changes, so it may be used concurrently. The zero Index is empty.
type Index struct{ entries []*entry }

type entry struct {
	directory.Client
	name string // folded; by which it is sorted
	text string // what is searched: a space before each word, a line for the address
}

// New returns the index of clients.
func New(clients []directory.Client) *Index { return new(Index).Change(nil, clients) }

// Change returns the index without those clients whose ids are in gone, and with
// others.
func (x *Index) Change(gone map[string]bool, others []directory.Client) *Index {
	fresh := make([]*entry, len(others))
	for i, c := range others {
		name := words(c.Name)
		fresh[i] = &entry{Client: c, name: name, text: " " + name + "\n" + fold(c.Email)}
	}
	slices.SortFunc(fresh, compare)
	all := make([]*entry, 0, len(x.entries)+len(fresh))
	for _, e := range x.entries {
		if gone[e.ID] {
			continue
		}
		for len(fresh) > 0 && compare(fresh[0], e) < 0 {
			all, fresh = append(all, fresh[0]), fresh[1:]
		}
		all = append(all, e)
	}
	return &Index{append(all, fresh...)}
}

func compare(a, b *entry) int {
	return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.ID, b.ID))
}

// Find answers a query as [directory.Finder] says. Of several words, each must
// be the beginning of a part of the name.
//
// A cursor says how far the page before went, and with whom it ended: if the list
// changed in between, the next page goes on behind that client. It names nobody
// but by id, because it stands in addresses of pages, which are logged.
func (x *Index) Find(q directory.Query) (found []directory.Client, next string, err error) {
	at, err := x.after(q.Cursor)
	if err != nil {
		return nil, "", err
	}
	limit := min(cmp.Or(max(q.Limit, 0), usual), most)
	matches := matcher(q.Text)
	for ; at < len(x.entries); at++ {
		e := x.entries[at]
		if !matches(e.text) {
			continue
		}
		if len(found) == limit {
			last := found[limit-1].ID
			return found, strconv.Itoa(at) + "~" + last, nil
		}
		found = append(found, e.Client)
	}
	return found, "", nil
}

// after returns where the page behind a cursor begins.
func (x *Index) after(cursor string) (int, error) {
	if cursor == "" {
		return 0, nil
	}
	number, id, ok := strings.Cut(cursor, "~")
	at, err := strconv.Atoi(number)
	if !ok || err != nil || at < 0 || !directory.IsID(id) {
		return 0, &directory.Invalid{Field: "cursor", Text: "is none that was given out; begin with the first page"}
	}
	if i := slices.IndexFunc(x.entries, func(e *entry) bool { return e.ID == id }); i >= 0 {
		return i + 1, nil
	}
	return min(max(at-1, 0), len(x.entries)), nil // that client is gone, and those behind moved up
}

// matcher returns what tells whether an entry's text is asked for.
func matcher(query string) func(text string) bool {
	address := "\n" + strings.TrimSpace(fold(query))
	var parts []string
	for word := range strings.FieldsSeq(words(query)) {
		parts = append(parts, " "+word)
	}
	return func(text string) bool {
		if strings.Contains(text, address) { // all do where nothing is asked for
			return true
		}
		for _, part := range parts {
			if !strings.Contains(text, part) {
				return false
			}
		}
		return len(parts) > 0
	}
}

// words returns the words of a name, folded, with one space between them.
func words(name string) string {
	return strings.Join(strings.FieldsFunc(fold(name), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r)
	}), " ")
}

// letters are those that have no accent to take off, but that people type
// without what sets them apart.
var letters = strings.NewReplacer("ø", "o", "ł", "l", "đ", "d", "ð", "d", "þ", "th", "æ", "ae", "œ", "oe", "ı", "i", "ħ", "h")

// fold returns s as it is compared: without case and without accents.
func fold(s string) string {
	if plain(s) {
		return strings.ToLower(s)
	}
	s = letters.Replace(cases.Fold().String(s))
	return norm.NFC.String(strings.Map(func(r rune) rune {
		if accent(r) {
			return -1
		}
		return r
	}, norm.NFKD.String(s)))
}

// accent reports whether r is a sign over or under a letter that is the same
// letter without it. Vowel signs of scripts such as Devanagari are no accents.
func accent(r rune) bool { return unicode.Is(unicode.Mn, r) && unicode.In(r, unicode.Inherited) }

func plain(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
