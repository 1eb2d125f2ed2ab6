// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package ui

// Page is one page as data: what it says, by catalogue key, and what can be
// pressed. Every page of the gate is one of these and is drawn by the same
// template, so that there is one look, one set of headers and one place where
// text is escaped.
type Page struct {
	// Status is the HTTP status; zero is 200.
	Status int
	// Title is the key of the page's heading, also its <title>.
	Title string
	// Wrong is the key of what is wrong with a field, shown above the first
	// form and linked to the field of that form that has Wrong set. The
	// <title> then starts with "Error: ".
	Wrong string
	Body  []Block
	// Slots fill the {names} in the page's texts. The practice's own slots
	// ({practice}, {phone}, {mail}, {from}, {portal}, {reach}) are always there.
	Slots Slots
	// Away is where a browser goes on to by itself, at another site; empty to
	// stay. That site is not told where it comes from.
	Away string
	// NoHelp leaves out the "Need help?" link (on the help page itself).
	NoHelp bool
	// Desk makes it a page for staff; nil is one for clients.
	Desk *Desk
}

// Slots are values for the {names} in catalogue texts. They are text, never
// markup.
type Slots map[string]string

// Block is one part of a page's body.
type Block interface{ block() }

// Text is a paragraph; Lead one in larger type, the first on a page; Tip one
// set apart; Heading a second-level heading. Each holds a catalogue key.
type (
	Text    string
	Lead    string
	Tip     string
	Heading string
)

// Told is a Text with slots of its own, which are added to the page's.
type Told struct {
	Key   string
	Slots Slots
}

// Steps is a list of sentences by key, numbered if Numbered.
type Steps struct {
	Numbered bool
	Keys     []string
}

// Link goes somewhere with GET. Weight says how it looks, and Slots are added to
// the page's for its text.
type Link struct {
	Key   string
	Slots Slots
	Hint  string // key of a line under it, or empty
	Href  string
	Weight
	NewWindow bool
}

// Weight is how much a link or button asks for attention: COPY.md's marks.
type Weight int

const (
	Plain Weight = iota // ">"  a link
	Other               // "+"  a quiet button
	Main                // "*"  the one main button
)

// Form posts. Every field, hidden value and button is listed here.
type Form struct {
	Action string
	// Get makes it ask instead of post.
	Get    bool
	Hidden []Hidden
	Fields []Field
	// Shared offers "This is a shared or public computer" (field "shared",
	// value "1"), ticked if SharedTicked.
	Shared, SharedTicked bool
	Buttons              []Button
	// Auto makes the page's script send this form as soon as it is shown.
	Auto bool
	// Fragment makes the page's script put the URL's fragment into the hidden
	// field "t" of this form and send it, if there is a fragment.
	Fragment bool
	// NewWindow sends the answer to a window of its own.
	NewWindow bool
}

// Hidden is a hidden form value.
type Hidden struct{ Name, Value string }

// Field is one thing to type.
type Field struct {
	Name  string
	Label string // key
	Hint  string // key, or empty
	Kind  FieldKind
	// Value is what was typed before; never a PIN or a code.
	Value string
	// Wrong reports whether Page.Wrong is about this field.
	Wrong bool
}

// FieldKind says what is typed, so that a phone shows the right keyboard and
// offers the right things to fill in.
type FieldKind int

const (
	EmailField FieldKind = iota // type=email, autocomplete=email (novalidate: we check, kindly)
	CodeField                   // inputmode=numeric, autocomplete=one-time-code
	TextField                   // a line, which no browser is to fill in
	// Those of the desk, where what is typed is about somebody else; nor are they
	// filled in.
	SearchField // a line to search for
	LongField   // several lines
	DateField   // a day
	TickField   // a box to tick: Value "1" is ticked, and is what is sent
	CopyField   // a line to copy from
	FileField   // a CSV file to choose: its form goes in parts (multipart)
)

// Button sends its form. Name and Value may be empty.
type Button struct {
	Key         string
	Name, Value string
	// Action sends it to another address of ours than the form's; empty is that.
	Action string
	// Slots are added to the page's for this button's text.
	Slots Slots
	Weight
}

// Rows is a list of things, each with a form of its own (or none): where a
// client is signed in.
type Rows []Row

// Row is one line of Rows. Slots are added to the page's for this row's texts.
type Row struct {
	Keys  []string
	Slots Slots
	Form  *Form
	// Href is where the first of the texts leads; empty for nowhere.
	Href string
}

func (Text) block()    {}
func (Told) block()    {}
func (Lead) block()    {}
func (Tip) block()     {}
func (Heading) block() {}
func (Steps) block()   {}
func (Link) block()    {}
func (Form) block()    {}
func (Rows) block()    {}
