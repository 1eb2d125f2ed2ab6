// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/internal/directory"
)

func people(names ...string) []directory.Client {
	var all []directory.Client
	for i, n := range names {
		all = append(all, directory.Client{ID: fmt.Sprint("c", i), Name: n, Email: fmt.Sprintf("Mail%d+x@example.com", i)})
	}
	return all
}

func names(clients []directory.Client) string {
	var all []string
	for _, c := range clients {
		all = append(all, c.Name)
	}
	return strings.Join(all, "|")
}

func TestFind(t *testing.T) {
	x := New(people("Ada Lovelace", "Jürgen Müller-Lüdenscheidt", "Søren O'Connor", "Łukasz Straße", "İpek Işık", "महात्मा गांधी", "  ", "Anna Maria"))
	for query, want := range map[string]string{
		"ada":                    "Ada Lovelace",
		"ADA  LOVE":              "Ada Lovelace",
		"love ada":               "Ada Lovelace",
		"lace":                   "",
		"jurgen":                 "Jürgen Müller-Lüdenscheidt",
		"JU\u0308RGEN":           "Jürgen Müller-Lüdenscheidt",
		"luden":                  "Jürgen Müller-Lüdenscheidt",
		"müller-lü":              "Jürgen Müller-Lüdenscheidt",
		"soren":                  "Søren O'Connor",
		"o'con":                  "Søren O'Connor",
		"connor":                 "Søren O'Connor",
		"lukasz strasse":         "Łukasz Straße",
		"ipek isik":              "İpek Işık",
		"गा":                     "महात्मा गांधी",
		"गू":                     "",
		"a":                      "Ada Lovelace|Anna Maria",
		"mail3":                  "Łukasz Straße",
		"mail3+X@Example":        "Łukasz Straße",
		"ail3":                   "",
		"example.com":            "",
		"%":                      "",
		"nobody":                 "",
		strings.Repeat("a", 1e5): "",
	} {
		found, next, err := x.Find(directory.Query{Text: query})
		if got := names(found); got != want || next != "" || err != nil {
			t.Errorf("Find(%.40q) = %q, %q, %v, want %q", query, got, next, err, want)
		}
	}
	if found, _, _ := x.Find(directory.Query{}); len(found) != 8 || found[0].Name != "  " || found[1].Name != "Ada Lovelace" {
		t.Errorf("everybody is %q", names(found))
	}
}

func TestPages(t *testing.T) {
	var all []string
	for i := range 120 {
		all = append(all, fmt.Sprintf("Name %03d", i/2)) // two of each name
	}
	x := New(people(all...))
	var got []directory.Client
	q := directory.Query{}
	for page := 1; ; page++ {
		found, next, err := x.Find(q)
		if err != nil || page < 3 && len(found) != 50 {
			t.Fatalf("page %d: %d clients, %v", page, len(found), err)
		}
		got = append(got, found...)
		if q.Cursor = next; next == "" {
			break
		}
		if strings.Contains(next, "Name") || strings.Contains(next, "@") {
			t.Errorf("the cursor %q names somebody", next)
		}
	}
	if names(got) != strings.Join(all, "|") {
		t.Errorf("all pages are %q", names(got))
	}
	for limit, want := range map[int]int{-1: 50, 0: 50, 7: 7, 120: 120, 501: 120} {
		if found, _, _ := x.Find(directory.Query{Limit: limit}); len(found) != want {
			t.Errorf("limit %d: %d clients, want %d", limit, len(found), want)
		}
	}
	for _, cursor := range []string{"x", "3", "-1~c1", "3~", "3~a b", "99999999999999999999~c1"} {
		_, _, err := x.Find(directory.Query{Cursor: cursor})
		var invalid *directory.Invalid
		if !errors.As(err, &invalid) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
}

// Whoever pages through the list while others change it misses nobody who is on
// it all the while.
func TestPagesOfAListThatChanges(t *testing.T) {
	x := New(people("a", "c", "e", "g"))
	_, next, _ := x.Find(directory.Query{Limit: 2})
	more := x.Change(nil, []directory.Client{{ID: "n1", Name: "b"}, {ID: "n2", Name: "d"}})
	if found, _, _ := more.Find(directory.Query{Cursor: next}); names(found) != "d|e|g" {
		t.Errorf("after two more the next page is %q", names(found))
	}
	less := x.Change(people("a", "c")[1:], nil)
	if found, _, _ := less.Find(directory.Query{Cursor: next}); names(found) != "e|g" {
		t.Errorf("after the last one went the next page is %q", names(found))
	}
	if found, _, _ := x.Find(directory.Query{Cursor: next}); names(found) != "e|g" {
		t.Errorf("the index changed: %q", names(found))
	}
}

func TestChange(t *testing.T) {
	x := New(nil)
	all := make(map[string]directory.Client)
	for i := range 200 {
		var gone []directory.Client
		for id, c := range all {
			if (i+len(id))%3 == 0 && len(gone) < 3 {
				gone = append(gone, c)
				delete(all, id)
			}
		}
		var fresh []directory.Client
		for j := range 5 {
			c := directory.Client{ID: fmt.Sprint(i, "-", j), Name: fmt.Sprint("N", i*7919%100)}
			fresh = append(fresh, c)
			all[c.ID] = c
		}
		if len(gone) > 0 { // somebody with another name
			c := gone[0]
			c.Name = "N50"
			fresh = append(fresh, c)
			all[c.ID] = c
		}
		x = x.Change(append(gone, directory.Client{ID: "nobody"}), fresh)
	}
	var entries []entry
	for i := range x.clients {
		e := x.at(i)
		entries = append(entries, e)
		if all[e.ID] != *e.Client || e.text != newEntry(*e.Client).text {
			t.Errorf("%q is in the list, as %q", e.ID, e.text)
		}
	}
	if len(entries) != len(all) || !slices.IsSortedFunc(entries, compare) {
		t.Errorf("%d entries of %d clients, sorted %t", len(entries), len(all), slices.IsSortedFunc(entries, compare))
	}
}

// What is found by one pass over all is what is found by looking at each.
func TestFindIsThorough(t *testing.T) {
	var clients []directory.Client
	for i := range 3000 {
		clients = append(clients, directory.Client{
			ID: fmt.Sprint("c", i), Name: fmt.Sprintf("A%d B%d C%d", i%7, i%11, i%13), Email: fmt.Sprintf("%sa%d@b%d.com", []string{"", "_", "-"}[i%3], i%5, i),
		})
	}
	x := New(clients)
	for _, query := range []string{"a3", "b1", "_a1", "_", "b10 c12", "c1 a", "a3 a3", "a4@b", "x", "com", "c", "a1 b1 c1"} {
		want := 0
		for i := range x.clients {
			if x.matches(query).wants(x.at(i).text) {
				want++
			}
		}
		got := make(map[string]bool)
		for q := (directory.Query{Text: query, Limit: 100}); ; {
			found, next, err := x.Find(q)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range found {
				got[c.ID] = true
			}
			if q.Cursor = next; next == "" {
				break
			}
		}
		if len(got) != want {
			t.Errorf("Find(%q) finds %d, want %d", query, len(got), want)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	var clients []directory.Client
	for i := range 100_000 {
		name := []string{"Ada Lovelace", "Zoë Müller-Lüdenscheidt", "Jürgen van der Berg", "Anna-Lena Hopper"}[i%4]
		clients = append(clients, directory.Client{ID: fmt.Sprintf("c-%06d", i), Name: name, Email: fmt.Sprintf("mail%d@example.com", i)})
	}
	x := New(clients)
	for _, query := range []string{"", "a", "zoe m", "mail5", "mail99999@", "no such name", "nobody", "com", "_x"} {
		b.Run(query, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := x.Find(directory.Query{Text: query}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("change", func(b *testing.B) {
		for b.Loop() {
			x.Change(clients[:25], clients[:25])
		}
	})
}
