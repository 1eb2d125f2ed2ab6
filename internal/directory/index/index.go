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
	"sort"
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
type Index struct {
	clients []*directory.Client
	// text is what is searched: of one client after the other, the folded name
	// with a space before each word, and the folded address with a line break on
	// either side. It is one string, so that a search is one pass over memory.
	text string
	ends []int // of each client's part of text
}

// entry is one client with the text that is searched.
type entry struct {
	*directory.Client
	text string
}

func newEntry(c directory.Client) entry {
	return entry{&c, " " + words(c.Name) + "\n" + fold(c.Email) + "\n"}
}

// start returns where in the text a client's part begins.
func (x *Index) start(i int) int {
	if i == 0 {
		return 0
	}
	return x.ends[i-1]
}

func (x *Index) at(i int) entry { return entry{x.clients[i], x.text[x.start(i):x.ends[i]]} }

func compare(a, b entry) int {
	nameA, _, _ := strings.Cut(a.text, "\n")
	nameB, _, _ := strings.Cut(b.text, "\n")
	return cmp.Or(strings.Compare(nameA, nameB), strings.Compare(a.ID, b.ID))
}

// place returns where in the list e is, or would be.
func (x *Index) place(e entry) (int, bool) {
	i := sort.Search(len(x.clients), func(i int) bool { return compare(x.at(i), e) >= 0 })
	return i, i < len(x.clients) && x.clients[i].ID == e.ID
}

// New returns the index of clients.
func New(clients []directory.Client) *Index { return new(Index).Change(nil, clients) }

// Change returns the index without some of the clients that are in it, and with
// others.
func (x *Index) Change(gone, others []directory.Client) *Index {
	var out []int // places of who is gone
	for _, c := range gone {
		if i, ok := x.place(newEntry(c)); ok {
			out = append(out, i)
		}
	}
	slices.Sort(out)
	fresh := make([]entry, len(others))
	for i, c := range others {
		fresh[i] = newEntry(c)
	}
	slices.SortFunc(fresh, compare)

	n := len(x.clients) + len(fresh)
	y := &Index{clients: make([]*directory.Client, 0, n), ends: make([]int, 0, n)}
	var text strings.Builder
	text.Grow(len(x.text) + 64*len(fresh))
	done := 0 // so many of x were taken over, or left out
	copyTo := func(to int) {
		if done < to {
			start := x.start(done)
			moved := text.Len() - start
			text.WriteString(x.text[start:x.ends[to-1]])
			y.clients = append(y.clients, x.clients[done:to]...)
			for _, end := range x.ends[done:to] {
				y.ends = append(y.ends, end+moved)
			}
			done = to
		}
	}
	keep := func(to int) {
		for len(out) > 0 && out[0] < to {
			copyTo(out[0])
			done, out = out[0]+1, out[1:]
		}
		copyTo(to)
	}
	for _, e := range fresh {
		i, _ := x.place(e)
		keep(i)
		text.WriteString(e.text)
		y.clients, y.ends = append(y.clients, e.Client), append(y.ends, text.Len())
	}
	keep(len(x.clients))
	y.text = text.String()
	return y
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
	for m := x.matches(q.Text); ; at++ {
		if at = m.next(at); at == len(x.clients) {
			return found, "", nil
		}
		if len(found) == limit {
			return found, strconv.Itoa(at) + "~" + found[limit-1].ID, nil
		}
		found = append(found, *x.clients[at])
	}
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
	if i := slices.IndexFunc(x.clients, func(c *directory.Client) bool { return c.ID == id }); i >= 0 {
		return i + 1, nil
	}
	return min(max(at-1, 0), len(x.clients)), nil // that client is gone, and those behind moved up
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
