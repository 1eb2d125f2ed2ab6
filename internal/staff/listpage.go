// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"net/http"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/portalgate/portalgate/internal/directory/csv"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/ui"
)

// Lists of clients come to the console and leave it as files. A list is tried
// first, and the page that says what it would change holds the list itself: what
// is brought in is what was tried, and no list of clients lies about here.

// listsPage has a list chosen, or everybody on file saved as one. If t is not nil
// it is why the last one was not taken, and bad is what is wrong with it.
func (v *visit) listsPage(t *trouble, bad ...ui.Block) {
	ro := v.Gate.Roster()
	if !ro.Kept && !ro.Listed {
		v.failed(gate.ErrUnlisted)
		return
	}
	p := ui.Page{Title: "desk.lists.title"}
	save := []ui.Block{
		ui.Heading("desk.lists.out.head"), ui.Text("desk.lists.out"),
		ui.Form{Action: v.root() + "lists/export", Buttons: []ui.Button{{Key: "desk.lists.out.button", Weight: ui.Other}}},
	}
	if !ro.Kept {
		p.Body = append([]ui.Block{ui.Text("desk.kept")}, save...)
		v.show("lists", p)
		return
	}
	p.Body = []ui.Block{ui.Heading("desk.lists.in.head")}
	form := ui.Form{
		Action: v.root() + "lists/try", Buttons: []ui.Button{{Key: "desk.lists.in.button", Weight: ui.Main}},
		Fields: []ui.Field{{Name: "list", Label: "desk.lists.file", Hint: "desk.lists.file.hint", Kind: ui.FileField}},
	}
	if t == nil {
		p.Body = append(p.Body, ui.Text("desk.lists.in"), ui.Steps{Keys: []string{"desk.lists.in.1", "desk.lists.in.2", "desk.lists.in.3"}})
		bad = save
	}
	v.showForm("lists", p, form, t, bad...)
}

// tryList says what a list would change.
func (v *visit) tryList() {
	name, list, ok := v.sentList()
	if !ok {
		return
	}
	r, err := v.Gate.ImportClients(v.r.Context(), bytes.NewReader(list), true, v.w.by)
	switch {
	case err != nil:
		v.failed(err)
	case len(r.Bad) > 0:
		v.badList(r)
	default:
		v.wouldPage(name, list, r)
	}
}

// wouldPage shows what a list would change, and asks whether to go on.
func (v *visit) wouldPage(name string, list []byte, r gate.ImportReport) {
	p := ui.Page{Title: "desk.lists.try.title", Slots: ui.Slots{"name": name}}
	another := ui.Link{Key: "desk.lists.another", Href: v.root() + "lists"}
	if r.Added+r.Changed == 0 {
		p.Body = []ui.Block{ui.Lead("desk.lists.nothing"), another}
		v.show("lists", p)
		return
	}
	p.Body = []ui.Block{ui.Lead("desk.lists.try"), counts(r)}
	if r.Ended > 0 {
		p.Body = append(p.Body, ui.Tip("desk.lists.ends"))
	}
	p.Body = append(p.Body, ui.Form{
		Action:  v.root() + "lists/import",
		Hidden:  []ui.Hidden{{Name: "list", Value: carried.EncodeToString(list)}},
		Buttons: []ui.Button{{Key: "desk.lists.try.button", Weight: ui.Main}},
	}, another)
	v.show("lists", p)
}

// importFromPage brings in a list that was tried. It may be pressed again: the
// same list changes nothing the second time.
func (v *visit) importFromPage() {
	form, ok := v.formOf(maxCarried)
	if !ok {
		return
	}
	list, err := carried.DecodeString(form.Get("list"))
	if err != nil || len(list) == 0 {
		v.noList()
		return
	}
	r, err := v.Gate.ImportClients(v.r.Context(), bytes.NewReader(list), false, v.w.by)
	switch {
	case err != nil:
		v.failed(err)
	case len(r.Bad) > 0: // others have changed what is on file meanwhile
		v.badList(r)
	default:
		v.show("lists", ui.Page{Title: "desk.lists.done.title", Body: []ui.Block{
			counts(r), ui.Link{Key: "desk.back.all", Href: v.root()},
		}})
	}
}

func (v *visit) exportFromPage() {
	if _, ok := v.form(); ok {
		v.sendList()
	}
}

// badList says every line that is wrong. Nothing was changed.
func (v *visit) badList(r gate.ImportReport) {
	var lines ui.Steps
	for _, sentence := range r.Bad {
		first, size := utf8.DecodeRuneInString(sentence)
		lines.Keys = append(lines.Keys, ui.Own(string(unicode.ToUpper(first))+sentence[size:]))
	}
	bad := []ui.Block{ui.Heading("desk.lists.bad.head"), lines}
	if r.More > 0 {
		bad = append(bad, ui.Told{Key: "desk.lists.bad.more", Slots: ui.Slots{"n": strconv.Itoa(r.More)}})
	}
	v.listsPage(wrongField("list", "list.bad"), bad...)
}

func (v *visit) noList() { v.listsPage(wrongField("list", "list.none")) }

// counts is what a list changes, or has changed.
func counts(r gate.ImportReport) ui.Facts {
	return ui.Facts{
		value("desk.lists.added", strconv.Itoa(r.Added)), value("desk.lists.changed", strconv.Itoa(r.Changed)),
		value("desk.lists.ended", strconv.Itoa(r.Ended)), value("desk.lists.same", strconv.Itoa(r.Same)),
	}
}

// carried is how a list is written into a form, where line ends would change.
var carried = base64.RawURLEncoding

// maxCarried bounds a list so written, in bytes, and maxSent one as a file, with
// what a browser puts around it.
var (
	maxCarried = int64(carried.EncodedLen(csv.MaxSize)) + maxBody
	maxSent    = int64(csv.MaxSize) + maxBody
)

// sentList reads the file of a form, and nothing else that may be in it. It
// answers and returns false if there is none. It keeps all of it in memory: what
// the standard library does not, it writes to the disk.
func (v *visit) sentList() (name string, list []byte, ok bool) {
	kind, _, err := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		v.failed(&trouble{status: http.StatusUnsupportedMediaType, kind: "form"})
		return "", nil, false
	}
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxSent)
	parts, err := v.r.MultipartReader()
	if err != nil {
		v.noList()
		return "", nil, false
	}
	part, err := parts.NextPart()
	if err != nil || part.FormName() != "list" || part.FileName() == "" {
		v.noList()
		return "", nil, false
	}
	list, err = io.ReadAll(io.LimitReader(part, csv.MaxSize+1)) // one more than may be is told as too many
	if err != nil {
		v.noList()
		return "", nil, false
	}
	return part.FileName(), list, true
}
