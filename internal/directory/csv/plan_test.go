// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package csv

import (
	"fmt"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/internal/directory"
)

var (
	ada   = directory.Client{ID: "c-ada", Email: "Ada@example.com", Name: "Ada Lovelace", Phone: "1", Language: "en", EmailOK: true, Version: 3}
	grace = directory.Client{ID: "c-grace", Email: "grace@example.com", Name: "Grace Hopper", Access: true, Version: 1}
)

func plan(t *testing.T, in string) ([]Change, error) {
	t.Helper()
	list, err := Parse([]byte(in), Rules{NoID: true})
	if err != nil {
		t.Fatal(err)
	}
	return Plan(list, []directory.Client{ada, grace}, []string{"c-gone"})
}

func TestPlan(t *testing.T) {
	full := "id,email,name,phone,language,portal_access,email_ok\n"
	changed := func(c directory.Client, f func(*directory.Client)) directory.Client { f(&c); return c }
	tests := []struct {
		name, in string
		before   directory.Client
		after    directory.Client
		ends     bool
	}{
		{"the same", full + "c-ada,Ada@example.com,Ada Lovelace,1,en,no,yes\n", ada, ada, false},
		{"the same, by address", full + ",ADA@example.com,Ada Lovelace,1,en,no,yes\n", ada,
			changed(ada, func(c *directory.Client) { c.Email = "ADA@example.com" }), false},
		{"new", "id,email,name\nc-new,new@example.com,New\n", directory.Client{},
			directory.Client{ID: "c-new", Email: "new@example.com", Name: "New", Access: true, EmailOK: true}, false},
		{"new, without an id", "email,name\nnew@example.com,New\n", directory.Client{},
			directory.Client{Email: "new@example.com", Name: "New", Access: true, EmailOK: true}, false},
		// A list without the column must not give back what was withdrawn.
		{"columns that are not there", "id,email,name\nc-ada,ada@example.com,Ada King\n", ada,
			changed(ada, func(c *directory.Client) { c.Email, c.Name = "ada@example.com", "Ada King" }), false},
		{"columns that are empty", "id,email,name,phone,language\nc-ada,Ada@example.com,Ada Lovelace,,\n", ada,
			changed(ada, func(c *directory.Client) { c.Phone, c.Language = "", "" }), false},
		{"access given", "id,email,name,portal_access\nc-ada,Ada@example.com,Ada Lovelace,yes\n", ada,
			changed(ada, func(c *directory.Client) { c.Access = true }), false},
		{"access withdrawn", "portal_access,email,name\nno,grace@example.com,Grace Hopper\n", grace,
			changed(grace, func(c *directory.Client) { c.Access = false }), true},
		{"another address", "id,email,name\nc-grace,hopper@example.com,Grace Hopper\n", grace,
			changed(grace, func(c *directory.Client) { c.Email = "hopper@example.com" }), true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := plan(t, tc.in)
			if err != nil || len(got) != 1 {
				t.Fatalf("%+v, %v", got, err)
			}
			c := got[0]
			if c.Before != tc.before || c.After != tc.after {
				t.Errorf("from %+v\nto %+v, want\nfrom %+v\nto %+v", c.Before, c.After, tc.before, tc.after)
			}
			if c.Ends() != tc.ends || c.New() != (tc.before.ID == "") || c.Same() != (tc.before == tc.after) {
				t.Errorf("ends %t, new %t, same %t", c.Ends(), c.New(), c.Same())
			}
		})
	}
}

// Two people with one mailbox are never put on file silently: whoever imports is
// told which line, and whose the address is (E16).
func TestE16_SharedMailboxInAnImport(t *testing.T) {
	for in, want := range map[string]string{
		"id,email,name\nc-new,ADA@example.com,New\n":                              `line 2: address A•••@example.com is on file for client "c-ada"`,
		"id,email,name\nc-grace,ada@example.com,Grace\n":                          `line 2: address a•••@example.com is on file for client "c-ada"`,
		"id,email,name\nc-ada,x@example.com,A\n,ada@example.com,B\n":              `line 3: client "c-ada" is already in line 2`,
		"id,email,name\nc-gone,x@example.com,A\n":                                 `line 2: id "c-gone" was somebody's`,
		"id,email,name\nc-ada,grace@example.com,A\nc-grace,ada@example.com,G\n":   "line 3: address a•••",
		"id,email,name\nc-1,x@example.com,A\nc-gone,y@example.com,B\n,z@b.com,\n": `line 3: id "c-gone"`,
	} {
		got, err := plan(t, in)
		if err == nil || got != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v, want %q", in, got, err, want)
		}
		if strings.Contains(fmt.Sprint(err), "ada@") {
			t.Errorf("%q: %v names an address", in, err)
		}
	}
	if got, err := plan(t, "email,name\nx@example.com,X\ny@example.com,Y\n"); err != nil || len(got) != 2 {
		t.Errorf("two new clients without ids: %+v, %v", got, err)
	}
}
