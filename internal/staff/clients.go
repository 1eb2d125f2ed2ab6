// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/reply"
)

// Client is one on file, as programs read it.
type Client struct {
	ID       string `json:"id"`
	Email    string `json:"email"`
	Name     string `json:"name"`
	Phone    string `json:"phone"`
	Language string `json:"language"`
	Access   bool   `json:"portal_access"`
	EmailOK  bool   `json:"email_ok"`
	// Created and Version are left out where the list is kept elsewhere.
	Created time.Time `json:"created_at,omitzero"`
	Version int       `json:"version,omitempty"`
}

// Public is a client as programs read it.
func Public(c directory.Client) Client {
	return Client{c.ID, c.Email, c.Name, c.Phone, c.Language, c.Access, c.EmailOK, c.Created.UTC(), c.Version}
}

// Clients is one page of who is on file.
type Clients struct {
	Clients []Client `json:"clients"`
	// Next is the cursor of the next page; left out after the last.
	Next string `json:"next,omitempty"`
	// LinkAsked is when a link was last asked for with an address that is not on
	// file, if that was within a day.
	LinkAsked time.Time `json:"link_asked_at,omitzero"`
}

// listClients finds clients: by the beginning of a name or address, or by an
// exact address.
func (v *visit) listClients() {
	q, ok := v.asked("q", "cursor", "limit", "email")
	if !ok {
		return
	}
	var page Clients
	var err error
	if q.Has("email") {
		page, err = v.exactly(q.Get("email"))
	} else {
		page, err = v.find(q.Get("q"), q.Get("cursor"), q.Get("limit"))
	}
	if err != nil {
		v.failed(err)
		return
	}
	reply.JSON(v.w, v.r, http.StatusOK, page)
}

// find finds clients by the beginning of a name or address.
func (v *visit) find(text, cursor, limit string) (Clients, error) {
	n, err := count(limit)
	if err != nil {
		return Clients{}, err
	}
	found, next, err := v.Gate.FindClients(v.r.Context(), directory.Query{Text: strings.TrimSpace(text), Cursor: cursor, Limit: n})
	page := Clients{Clients: []Client{}, Next: next}
	for _, c := range found {
		page.Clients = append(page.Clients, Public(c))
	}
	return page, err
}

// count reads how many are wanted; 0 is as many as is usual.
func count(limit string) (int, error) {
	if limit == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(limit)
	if err != nil || n < 1 || n > 500 {
		return 0, wrongField("limit", "field.limit")
	}
	return n, nil
}

// exactly finds who has an address, or that nobody has, and whether a link was
// asked for with it.
func (v *visit) exactly(email string) (Clients, error) {
	ctx := v.r.Context()
	c, err := v.Gate.ClientByAddress(ctx, email)
	switch {
	case err == nil:
		v.w.client = c.ID
		return Clients{Clients: []Client{Public(c)}}, nil
	case !errors.Is(err, directory.ErrNotFound):
		return Clients{}, err
	}
	at, err := v.Gate.LinkAsked(ctx, email)
	return Clients{Clients: []Client{}, LinkAsked: at}, err
}

// Known is what there is to see of one client.
type Known struct {
	Client
	gate.Sheet
	// Why is why the client cannot get in now.
	Why Hint `json:"why"`
}

func (v *visit) getClient(s gate.Sheet) {
	v.tag(s.Client)
	_, _, why := v.why(s.Client.ID)
	reply.JSON(v.w, v.r, http.StatusOK, Known{Public(s.Client), s, why})
}

// entry is what a program writes of a client. What is left out stays as it is.
type entry struct {
	Email    *string `json:"email"`
	Name     *string `json:"name"`
	Phone    *string `json:"phone"`
	Language *string `json:"language"`
	Access   *bool   `json:"portal_access"`
	EmailOK  *bool   `json:"email_ok"`
}

func (e entry) on(c directory.Client) directory.Client {
	put(&c.Email, e.Email)
	put(&c.Name, e.Name)
	put(&c.Phone, e.Phone)
	put(&c.Language, e.Language)
	put(&c.Access, e.Access)
	put(&c.EmailOK, e.EmailOK)
	return c
}

func put[T any](at, value *T) {
	if value != nil {
		*at = *value
	}
}

// addClient puts a client on file, with access and consent unless it says
// otherwise, as in a file of clients.
func (v *visit) addClient() {
	var in struct {
		ID string `json:"id"`
		entry
	}
	if !v.read(&in) {
		return
	}
	c, err := v.Gate.AddClient(v.r.Context(), in.on(directory.Client{ID: in.ID, Access: true, EmailOK: true}), v.w.by)
	if err != nil {
		v.failed(err)
		return
	}
	v.w.client = c.ID
	v.w.Header().Set("Location", "clients/"+c.ID)
	v.tag(c)
	reply.JSON(v.w, v.r, http.StatusCreated, Public(c))
}

// patchClient changes a client that nobody has changed meanwhile.
func (v *visit) patchClient() {
	var in struct {
		Version int `json:"version"`
		entry
	}
	if !v.read(&in) {
		return
	}
	c, ok := v.seen(in.Version)
	if !ok {
		return
	}
	c, err := v.Gate.ChangeClient(v.r.Context(), in.on(c), v.w.by)
	if err != nil {
		v.failed(err)
		return
	}
	v.tag(c)
	reply.JSON(v.w, v.r, http.StatusOK, Public(c))
}

func (v *visit) deleteClient() {
	c, ok := v.seen(0)
	if !ok {
		return
	}
	if err := v.Gate.RemoveClient(v.r.Context(), c.ID, c.Version, v.w.by); err != nil {
		v.failed(err)
		return
	}
	v.done()
}

// seen returns the client that the path names, in the version that whoever asks
// has seen: what If-Match says, or version if that is not 0. If it is of another,
// or nothing says which, it answers and returns false.
func (v *visit) seen(version int) (directory.Client, bool) {
	id, ok := v.client()
	if !ok {
		return directory.Client{}, false
	}
	if !v.Gate.Roster().Kept {
		v.failed(gate.ErrElsewhere)
		return directory.Client{}, false
	}
	match := v.r.Header.Get("If-Match")
	if match != "" && match != "*" {
		n, err := strconv.Atoi(strings.Trim(match, `"`))
		if err != nil || version != 0 && version != n {
			v.failed(directory.ErrChanged)
			return directory.Client{}, false
		}
		version = n
	}
	if match == "" && version == 0 {
		v.failed(&trouble{status: http.StatusPreconditionRequired, kind: "version"})
		return directory.Client{}, false
	}
	s, err := v.Gate.ClientByID(v.r.Context(), id)
	if err == nil && version != 0 && version != s.Client.Version {
		err = directory.ErrChanged
	}
	if err != nil {
		v.failed(err)
		return directory.Client{}, false
	}
	return s.Client, true
}

// tag says which version is answered.
func (v *visit) tag(c directory.Client) {
	if c.Version > 0 {
		v.w.Header().Set("ETag", `"`+strconv.Itoa(c.Version)+`"`)
	}
}

// getSessions lists where a client is signed in.
func (v *visit) getSessions() {
	id, ok := v.client()
	if !ok {
		return
	}
	all, err := v.Gate.Sessions(v.r.Context(), id)
	if err != nil {
		v.failed(err)
		return
	}
	if all == nil {
		all = []gate.Signed{}
	}
	reply.JSON(v.w, v.r, http.StatusOK, map[string]any{"sessions": all})
}
