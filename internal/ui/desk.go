// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	_ "embed"
	"fmt"
)

// What only the pages for staff have. They look like those for clients, and say
// more on one page.

//go:embed desk.css
var deskCSS string

var deskStyle = afterNotice(deskCSS, "*/\n")

// Desk is what stands around a page for staff.
type Desk struct {
	// By is who is looking at it.
	By string
	// Links lead to the other parts of the desk.
	Links []DeskLink
}

// DeskLink leads to a part of the desk.
type DeskLink struct {
	Key, Href string
	// Here reports that the page is of that part.
	Here bool
}

type (
	// Alert is a paragraph that must not be overlooked, by key.
	Alert string
	// Big is what is read out: a PIN. It is no key but stands as it is.
	Big string
	// Said is a Lead that is no key but stands as it is.
	Said string
	// Lines are sentences that stand as they are, one after the other.
	Lines []string
	// Facts are what is known of somebody.
	Facts []Fact
)

// Fact is one line of Facts. Label and Key are keys; Slots are added to the
// page's.
type Fact struct {
	Label, Key string
	Slots      Slots
}

// Pattern is a square of dark modules, such as a QR code. Dark reports whether
// one is; Label is the key of what it says, for those who do not see it.
type Pattern struct {
	Label string
	Size  int
	Dark  func(x, y int) bool
}

type deskView struct {
	Label string
	Links []deskLinkView
	By    []part
}

type deskLinkView struct {
	Href string
	Here bool
	Text []part
}

// deskBlockView is a blockView of these.
type deskBlockView struct {
	Alert   []part
	Facts   []factView
	Lines   []string
	Big     string
	Pattern *patternView
}

type factView struct{ Label, Value []part }

type patternView struct {
	Label string
	Size  int
	Path  string
}

func (Alert) block()   {}
func (Big) block()     {}
func (Lines) block()   {}
func (Said) block()    {}
func (Facts) block()   {}
func (Pattern) block() {}

func (d *drawer) desk(desk *Desk) *deskView {
	v := &deskView{Label: d.u.Text("desk.nav", nil), By: d.u.parts("desk.by", Slots{"by": desk.By})}
	for _, l := range desk.Links {
		v.Links = append(v.Links, deskLinkView{l.Href, l.Here, d.u.parts(l.Key, d.page.Slots)})
	}
	return v
}

// deskBlock is block for these. A nil block says nothing.
func (d *drawer) deskBlock(b Block) []blockView {
	var v deskBlockView
	switch b := b.(type) {
	case Alert:
		v.Alert = d.u.parts(string(b), d.page.Slots)
	case Big:
		v.Big = clean(string(b))
	case Said:
		return []blockView{{Lead: []part{{Text: clean(string(b))}}}}
	case Lines:
		for _, line := range b {
			v.Lines = append(v.Lines, clean(line))
		}
	case Facts:
		for _, f := range b {
			v.Facts = append(v.Facts, factView{d.u.parts(f.Label, nil), d.u.parts(f.Key, d.with(f.Slots))})
		}
	case Pattern:
		v.Pattern = &patternView{Label: d.u.Text(b.Label, d.page.Slots), Size: b.Size, Path: b.path()}
	default:
		return nil
	}
	return []blockView{{deskBlockView: v}}
}

// path draws the dark modules, those side by side as one.
func (p Pattern) path() string {
	var path []byte
	for y := range p.Size {
		for x := 0; x < p.Size; x++ {
			from := x
			for x < p.Size && p.Dark(x, y) {
				x++
			}
			if x > from {
				path = fmt.Appendf(path, "M%d %dh%dv1h-%dz", from, y, x-from, x-from)
			}
		}
	}
	return string(path)
}

// kind says what a field is to the template.
func (f *fieldView) kind() {
	switch f.Kind {
	case CodeField:
		f.Code = true
	case TickField:
		f.Tick = true
	case LongField:
		f.Long = true
	case TextField:
		f.Type = "text"
	case SearchField:
		f.Type = "search"
	case DateField:
		f.Type = "date"
	case CopyField:
		f.Type, f.Read = "text", true
	case FileField:
		f.File = true
	}
}
