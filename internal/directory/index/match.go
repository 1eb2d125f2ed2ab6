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
	words   []string // each with the space before it
	address string   // with the line break before it
	word    int      // where in the text the first word was found last, or the text's end
}

func (x *Index) matches(query string) *matches {
	m := &matches{Index: x, address: "\n" + strings.TrimSpace(fold(query)), word: -1}
	for word := range strings.FieldsSeq(words(query)) {
		m.words = append(m.words, " "+word)
	}
	return m
}

// next returns the first client that is asked for, from one on; behind the last
// if there is none.
func (m *matches) next(at int) int {
	for at < len(m.clients) {
		from := m.ends[at] - len(m.Index.at(at).text)
		place := m.wordFrom(from)
		// An address counts only where it comes before that.
		if i := strings.Index(m.text[from:place], m.address); i >= 0 {
			place = from + i
		}
		if place == len(m.text) {
			return len(m.clients)
		}
		at = sort.SearchInts(m.ends, place+1)
		if m.wants(m.Index.at(at).text) {
			return at
		}
		at++
	}
	return at
}

func (m *matches) wordFrom(from int) int {
	if m.word < from {
		m.word = len(m.text)
		if len(m.words) > 0 {
			if i := strings.Index(m.text[from:], m.words[0]); i >= 0 {
				m.word = from + i
			}
		}
	}
	return m.word
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
