// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"html/template"
	"net/url"
	"strings"
	"unicode"
)

var (
	//go:embed en.json
	english []byte
	//go:embed desk.json
	englishDesk []byte
)

// texts is the catalogue: every text of every page and mail, by key. Those that
// staff see are in a file of their own.
var texts = func() map[string]string {
	m := make(map[string]string)
	for _, file := range [][]byte{english, englishDesk} {
		if err := json.Unmarshal(file, &m); err != nil {
			panic("ui: the catalogue: " + err.Error())
		}
	}
	return m
}()

// without names, for a slot that may have no value, the ending of the key
// whose text does without it: not everybody on file has a name, and not
// every practice a phone.
var without = []struct{ slot, ending string }{
	{"first", ".noname"},
	{"phone", ".nophone"},
}

// ownPrefix begins what is a text itself and no key. No key has it.
const ownPrefix = "\x00"

// maxOwn is how many characters of such a text are shown.
const maxOwn = 200

// Own returns what stands for a text of somebody else's wherever a key is asked
// for. It is shown as text, as it is, without slots, and cut where it is long.
func Own(text string) string {
	if r := []rune(text); len(r) > maxOwn {
		text = string(r[:maxOwn-1]) + "…"
	}
	return ownPrefix + text
}

// part is a stretch of a text: the catalogue's own words, or a slot's value.
type part struct {
	Text string
	// Value reports that Text came from outside and may run right to left, so
	// that it must not turn the words around it.
	Value bool
	// Strong makes a value stand out.
	Strong bool
	// Href is where a value leads: a phone number can be called.
	Href template.URL
}

// Text returns the text under key with its slots filled, for a place that
// takes no markup: a mail's subject, its text. Values are stripped of what
// could break out of their line or turn its direction around.
func (u *UI) Text(key string, slots Slots) string {
	var b strings.Builder
	for _, p := range u.parts(key, slots) {
		b.WriteString(p.Text)
	}
	return b.String()
}

// parts splits the text under key at its slots. A value is never looked at
// for slots of its own, so that nobody can type one.
func (u *UI) parts(key string, slots Slots) []part {
	if own, ok := strings.CutPrefix(key, ownPrefix); ok {
		return []part{{Text: clean(own), Value: true}}
	}
	text, ok := texts[key]
	if !ok {
		return []part{{Text: missing("no text %q", key, key)}}
	}
	for _, w := range without {
		if v, _ := u.value(w.slot, slots); v == "" && strings.Contains(text, "{"+w.slot+"}") {
			text = texts[key+w.ending]
		}
	}
	var parts []part
	for text != "" {
		words, rest, found := strings.Cut(text, "{")
		if words != "" {
			parts = append(parts, part{Text: words})
		}
		if !found {
			break
		}
		var name string
		name, text, _ = strings.Cut(rest, "}")
		if name == "reach" {
			parts = append(parts, u.parts("reach", slots)...)
			continue
		}
		v, ok := u.value(name, slots)
		if !ok {
			v = missing("no value for {%s} in %q", name, name, key)
		}
		parts = append(parts, valuePart(name, clean(v)))
	}
	return parts
}

// value returns what fills a slot: the page's value, or the practice's own.
func (u *UI) value(name string, slots Slots) (string, bool) {
	if v, ok := slots[name]; ok {
		return v, true
	}
	v, ok := u.own[name]
	return v, ok
}

func valuePart(name, v string) part {
	p := part{Text: v, Value: true}
	switch name {
	case "wait", "life", "date", "time":
		p.Value = false // ours
	case "typed", "masked", "google", "suggestion", "from", "portal":
		p.Strong = true
	case "mail":
		p.Href = template.URL("mailto:" + url.PathEscape(v))
	case "phone":
		if n := dialled(v); n != "" {
			p.Href = template.URL("tel:" + n)
		}
	}
	return p
}

// dialled returns a phone number as a phone wants it: a plus sign if it
// begins with one, and digits. It is empty if there is a letter in it, such
// as an extension, for then we do not know what to dial.
func dialled(phone string) string {
	var b strings.Builder
	for _, r := range phone {
		switch {
		case '0' <= r && r <= '9', r == '+' && b.Len() == 0:
			b.WriteRune(r)
		case unicode.IsLetter(r):
			return ""
		}
	}
	return b.String()
}

// clean strips a value of control characters, line ends and the signs that
// turn the direction of what follows them, and mends broken UTF-8.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
			return -1
		}
		return r
	}, s)
}

// missing answers for a text or value that is not there. That is our own
// mistake and stops a test; a person is better served by a page with a gap
// than by none.
func missing(format, stand string, args ...any) string {
	if flag.Lookup("test.v") != nil {
		panic(fmt.Sprintf("ui: "+format, args...))
	}
	return "{" + stand + "}"
}
