// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"sort"
	"strings"
)

// matches goes through the clients that a query asks for: those whose address
// begins with it, and those of whose name each word of it begins a part.
type matches struct {
	*Index
	address string   // with the line break before it
	words   []string // each with the space before it
	// needle is in the text of everybody who is asked for; within says that it
	// need not begin a word there.
	needle string
	within bool
}

func (x *Index) matches(query string) *matches {
	typed := strings.TrimSpace(fold(query))
	m := &matches{Index: x, address: "\n" + typed, needle: typed}
	for word := range strings.FieldsSeq(words(query)) {
		m.words = append(m.words, " "+word)
	}
	if len(m.words) > 0 {
		m.needle = m.words[0][1:]
	}
	m.within = !strings.HasPrefix(typed, m.needle)
	return m
}

// next returns the first client that is asked for, from one on; behind the last
// if there is none.
func (m *matches) next(at int) int {
	if m.needle == "" || at == len(m.clients) {
		return at
	}
	for from := m.start(at); ; {
		i := strings.Index(m.text[from:], m.needle)
		if i < 0 {
			return len(m.clients)
		}
		place := from + i
		if from = place + 1; !m.within && m.text[place-1] != ' ' && m.text[place-1] != '\n' {
			continue
		}
		if at = sort.SearchInts(m.ends, place+1); m.wants(m.at(at).text) {
			return at
		}
		from = m.ends[at]
	}
}

func (m *matches) wants(text string) bool {
	if strings.Contains(text, m.address) { // all do where nothing is asked for
		return true
	}
	for _, word := range m.words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return len(m.words) > 0
}
