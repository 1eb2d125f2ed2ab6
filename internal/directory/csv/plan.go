// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package csv

import (
	"slices"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
)

// Change is what one row means for who is on file.
type Change struct {
	// Before is who is on file; the zero Client for nobody.
	Before directory.Client
	// After is who will be, of the version of Before. The id of somebody new is
	// empty if the row has none.
	After directory.Client
}

// New reports whether somebody is put on file who is not yet.
func (c Change) New() bool { return c.Before.ID == "" }

// Same reports whether nothing changes.
func (c Change) Same() bool { return c.Before == c.After }

// Ends reports whether what the client has signed in with ends with the change:
// the address is another, or the access is withdrawn.
func (c Change) Ends() bool {
	return !c.New() && (c.Before.Access && !c.After.Access || c.Moves())
}

// Moves reports whether the address is another.
func (c Change) Moves() bool { return !c.New() && canonical(c.Before) != canonical(c.After) }

// Plan says what becomes of who is on file if a list is taken. gone are the ids
// that nobody may have again.
//
// A row is about the client with its id, or, where it has none, with its address.
// Of a client on file, what the list has no column for stays as it is: a list
// without portal_access gives nobody back what was withdrawn. Who is not on the
// list stays on file. Its error is a *Bad that names every row that cannot be.
func Plan(list *List, on []directory.Client, gone []string) ([]Change, error) {
	byID, byAddress := make(map[string]directory.Client, len(on)), make(map[string]string, len(on))
	for _, c := range on {
		byID[c.ID], byAddress[canonical(c)] = c, c.ID
	}
	never := make(map[string]bool, len(gone))
	for _, id := range gone {
		never[id] = true
	}
	var (
		wrong   Bad
		changes = make([]Change, 0, len(list.Rows))
		lines   = make(map[string]int, len(list.Rows)) // of the client with an id
	)
	for _, row := range list.Rows {
		has := byAddress[row.Address.Canonical()]
		id := row.ID
		if id == "" {
			id = has
		}
		switch first := lines[id]; {
		case never[id]:
			wrong.add("line %d: id %q was somebody's who is no longer on file, and is never given again; leave the id empty", row.Line, id)
		case has != "" && has != id:
			wrong.add("line %d: address %s is on file for client %q", row.Line, row.Address.Masked(), has)
		case id != "" && first > 0:
			wrong.add("line %d: client %q is already in line %d", row.Line, id, first)
		}
		lines[id] = row.Line
		changes = append(changes, list.change(row, byID[id]))
	}
	if len(wrong.Problems) > 0 {
		return nil, &wrong
	}
	return slices.Clip(changes), nil
}

func (l *List) change(row Row, before directory.Client) Change {
	after := row.Client
	if before.ID == "" {
		return Change{After: after}
	}
	after.ID, after.Created, after.Version = before.ID, before.Created, before.Version
	if !l.Has("phone") {
		after.Phone = before.Phone
	}
	if !l.Has("language") {
		after.Language = before.Language
	}
	if !l.Has("portal_access") {
		after.Access = before.Access
	}
	if !l.Has("email_ok") {
		after.EmailOK = before.EmailOK
	}
	return Change{before, after}
}

// canonical is the form in which a client's address is compared.
func canonical(c directory.Client) string {
	a, err := address.Parse(c.Email)
	if err != nil {
		return ""
	}
	return a.Canonical()
}
