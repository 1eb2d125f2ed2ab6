// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/portalgate/portalgate/internal/directory/csv"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/store"
)

// chosen is the form of the page of lists, with a file in it.
func chosen(name string, list []byte) *http.Request {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile("list", name)
	if err == nil {
		_, err = part.Write(list)
	}
	if err != nil || w.Close() != nil {
		panic("a buffer takes everything")
	}
	r := request("POST", "/lists/try", b.String())
	r.Header.Set("Content-Type", w.FormDataContentType())
	return r
}

// carriedBy is the list that a page holds; empty if it holds none.
func carriedBy(t *testing.T, page string) string {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if slices.Contains(n.Attr, html.Attribute{Key: "name", Val: "list"}) && slices.Contains(n.Attr, html.Attribute{Key: "type", Val: "hidden"}) {
			return n.Attr[slices.IndexFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "value" })].Val
		}
	}
	return ""
}

// TestListsPage: what is offered is what can be done with the list that the gate
// goes by.
func TestListsPage(t *testing.T) {
	for _, tc := range []struct {
		gate.Roster
		status    int
		in, out   bool
		linked    bool
		otherwise string
	}{
		{gate.Roster{Kept: true, Listed: true}, 200, true, true, true, ""},
		{gate.Roster{Listed: true}, 200, false, true, true, "kept elsewhere"},
		{gate.Roster{}, 409, false, false, false, "can only be asked for a whole email address"},
	} {
		s := busy()
		s.roster = tc.Roster
		w := ask(s.desk(t), "desk", "GET", "/lists", "")
		body := w.Body.String()
		for part, want := range map[string]bool{
			`action="./lists/try"`: tc.in, `enctype="multipart/form-data"`: tc.in, `action="./lists/export"`: tc.out, `href="./lists"`: tc.linked,
		} {
			if strings.Contains(body, part) != want {
				t.Errorf("%+v: %s is there: %v", tc.Roster, part, !want)
			}
		}
		if w.Code != tc.status || !strings.Contains(said(body), tc.otherwise) {
			t.Errorf("%+v: %d %s", tc.Roster, w.Code, said(body))
		}
	}
}

// TestTryAndBringIn: the first press changes nothing and says what the second
// would; the second brings in the very bytes of the file.
func TestTryAndBringIn(t *testing.T) {
	list := "\ufeffemail,name\r\n\"ada@example.com\",\"Ada\r\n& <Lovelace>\"\r\nz\u00f6e@example.com,+Zo\u00eb\n"
	s := busy()
	s.report = gate.ImportReport{Added: 12, Changed: 3, Ended: 2, Same: 240}
	d := s.desk(t)
	w := serve(d, "desk", chosen("Willow & friends.csv", []byte(list)))
	for _, want := range []string{
		"Bring in Willow & friends.csv ?", "Nothing is changed yet.", "New clients 12", "Changed clients 3", "Signed out by this 2", "Unchanged clients 240", "signed out at once",
	} {
		if !strings.Contains(said(w.Body.String()), want) {
			t.Errorf("%d, does not say %q: %s", w.Code, want, said(w.Body.String()))
		}
	}
	if got, want := s.did(), fmt.Sprintf("import %d bytes, dry true, by desk", len(list)); w.Code != 200 || got != want || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d, did %q, want %q", w.Code, got, want)
	}
	w = press(d, "/lists/import", "list", carriedBy(t, w.Body.String()))
	if w.Code != 200 || string(s.list) != list || !strings.HasSuffix(s.did(), "dry false, by desk") || !strings.Contains(said(w.Body.String()), "The list is in") {
		t.Errorf("%d, brought in %q, did %q", w.Code, s.list, s.did())
	}

	s.report = gate.ImportReport{Same: 240}
	w = serve(d, "desk", chosen("willow.csv", []byte(list)))
	if !strings.Contains(said(w.Body.String()), "Nothing would change.") || carriedBy(t, w.Body.String()) != "" {
		t.Errorf("the same again: %d %s", w.Code, said(w.Body.String()))
	}
}

// TestBadList: every line that is wrong is said, and there is nothing to press but
// to choose again; also if it has become wrong since it was tried.
func TestBadList(t *testing.T) {
	s := busy()
	s.report = gate.ImportReport{More: 7}
	for line := range 300 {
		s.report.Bad = append(s.report.Bad, fmt.Sprintf("line %d: email has no @", line+2))
	}
	for name, w := range map[string]interface{ String() string }{
		"tried":   serve(s.desk(t), "desk", chosen("willow.csv", []byte("id,email\n"))).Body,
		"brought": press(s.desk(t), "/lists/import", "list", "aWQsZW1haWwK").Body,
	} {
		page := w.String()
		for _, want := range []string{"Error: Lists of clients", "Nothing was changed.", "Line 2: email has no @", "Line 301: email has no @", "And 7 more."} {
			if !strings.Contains(said(page), want) {
				t.Errorf("%s: does not say %q", name, want)
			}
		}
		if carriedBy(t, page) != "" || !strings.Contains(page, `aria-invalid="true"`) {
			t.Errorf("%s: it can be brought in, or the file is not said to be wrong", name)
		}
	}
}

// TestNoList: what is no file is no list of nobody, and what is too large for one
// is read no further than to know that.
func TestNoList(t *testing.T) {
	most := csv.MaxSize + 1
	large := fmt.Sprintf("import %d bytes, dry true, by desk", most)
	for _, tc := range []struct {
		name   string
		r      *http.Request
		err    error
		status int
		says   string
		did    string
	}{
		{"no file chosen", chosen("", nil), nil, 422, "Choose a file first.", ""},
		{"an empty file", chosen("a.csv", nil), nil, 200, "Bring in a.csv", "import 0 bytes, dry true, by desk"},
		{"too large", longer(chosen("a.csv", []byte("id,email\n")), most), nil, 422, "Larger than 10 MB", large},
		{"cut off", cut(chosen("a.csv", []byte("id,email\n"))), nil, 422, "Choose a file first.", ""},
		{"kept elsewhere", chosen("a.csv", []byte("x")), gate.ErrElsewhere, 409, "kept elsewhere", "import 1 bytes, dry true, by desk"},
		{"unknown", chosen("a.csv", []byte("x")), fmt.Errorf("x: %w", store.ErrUnknown), 503, "It is not known", "import 1 bytes, dry true, by desk"},
	} {
		s := busy()
		s.err = tc.err
		if tc.did == large {
			s.report.Bad = []string{"larger than 10 MB"}
		}
		if w := serve(s.desk(t), "desk", tc.r); w.Code != tc.status || !strings.Contains(said(w.Body.String()), tc.says) || s.did() != tc.did {
			t.Errorf("%s: %d %s, did %q", tc.name, w.Code, said(w.Body.String()), s.did())
		}
	}
	for name, carried := range map[string]string{"nothing": "", "not as we write it": "id,email", "cut off": "aWQsZ"} {
		s := busy()
		if w := press(s.desk(t), "/lists/import", "list", carried); w.Code != 422 || s.did() != "" {
			t.Errorf("%s: %d, did %q", name, w.Code, s.did())
		}
	}
}

// longer is a request with so many bytes more of a file.
func longer(r *http.Request, more int) *http.Request {
	head, tail, _ := bytes.Cut(body(r), []byte("\n\r\n--"))
	r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(head), io.LimitReader(zeros{}, int64(more)), strings.NewReader("\n\r\n--"), bytes.NewReader(tail)))
	return r
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func body(r *http.Request) []byte {
	all, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	return all
}

// cut is a request whose sender stops in the middle.
func cut(r *http.Request) *http.Request {
	half := body(r)
	r.Body = io.NopCloser(bytes.NewReader(half[:len(half)-20]))
	return r
}

// TestSaveList: everybody on file, as a file and never from a page's cache.
func TestSaveList(t *testing.T) {
	w := press(busy().desk(t), "/lists/export")
	h := w.Header()
	if w.Code != 200 || !strings.Contains(w.Body.String(), "c-ada,") || !strings.HasPrefix(h.Get("Content-Disposition"), "attachment") || h.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s %v", w.Code, w.Body, h)
	}
	s := busy()
	s.err = gate.ErrUnlisted
	if w := press(s.desk(t), "/lists/export"); w.Code != 409 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Errorf("of a list that cannot say who is on it: %d %v", w.Code, w.Header())
	}
	if w := ask(busy().desk(t), "desk", "GET", "/lists/export", ""); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("by a link, which another site may have: %d", w.Code)
	}
}
