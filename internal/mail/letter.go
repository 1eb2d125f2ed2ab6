// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"bytes"
	_ "embed"
	"html/template"
	"strings"
	"unicode"
)

// letter is a mail as a list of parts. Both its forms are made from this
// list, so that they cannot say different things.
type letter struct {
	Subject, Preview, Accent string
	Parts                    []part
}

// part is one paragraph: a Text, followed by a Link or over a Button that
// leads there, or a Code.
type part struct {
	Text         string
	Link, Button string
	Code         string
	Strong       bool // a small heading
	Quiet        bool // in smaller print
	Tight        bool // belongs to the part above: no empty line between
}

// Place is where Link leads as the HTML part shows it: without the token, a
// line of letters that nobody can read.
func (p part) Place() string {
	_, place, _ := strings.Cut(p.Link, "://")
	place, _, _ = strings.Cut(place, "?")
	return place
}

// text is the letter in plain text. Links under buttons and codes have a line
// to themselves: mail programs then find where they end, and phones offer to
// fill the code in.
func (l letter) text() string {
	var b strings.Builder
	for i, p := range l.Parts {
		if i > 0 && !p.Tight {
			b.WriteString("\n")
		}
		switch {
		case p.Button != "":
			b.WriteString(p.Text + ":\n" + p.Button)
		case p.Code != "":
			b.WriteString(p.Code)
		default:
			b.WriteString(p.Text + p.Link)
		}
		b.WriteString("\n")
	}
	return b.String()
}

var (
	//go:embed letter.html
	letterHTML string
	letterPage = template.Must(template.New("letter").Parse(letterHTML))
)

func (l letter) html() (string, error) {
	var b bytes.Buffer
	err := letterPage.Execute(&b, l)
	return b.String(), err
}

// Filler is what a mail program shows after the preview line instead of the
// letter's first sentences, so that a long preview on a locked phone never
// gets as far as the code: joiners and spaces that take no room.
func (letter) Filler() string { return strings.Repeat("\u034f\u200c\u00a0", 150) }

// MSO is for desktop Outlook, which knows no padding on a link: it pushes the
// button's sides out with two wide invisible spaces. Others read a comment.
func (letter) MSO() template.HTML {
	return `<!--[if mso]><i style="letter-spacing:28px;mso-font-width:-100%;mso-text-raise:24px" hidden>&nbsp;</i><![endif]-->`
}

// unseen reports whether r is a control character, ends a line, or is a
// format character (bidi overrides, zero-width spaces, tags). The two joiners
// stay: names in Persian and in Indian scripts are spelled with them.
func unseen(r rune) bool {
	if r == '\u200c' || r == '\u200d' {
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co)
}
