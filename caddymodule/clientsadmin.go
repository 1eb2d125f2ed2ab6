// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"bytes"
	"net/http"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/directory/csv"
	"github.com/portalgate/portalgate/internal/staff"
)

// maxList bounds a list of clients that is imported, in bytes. One more than may
// be, so that it is told what is wrong with a longer one.
const maxList = csv.MaxSize + 1

// csvText is an answer that is a list of clients, and no JSON.
type csvText []byte

// search is what POST clients/find takes: in the body, because names do not
// belong into addresses of requests, which are logged.
type search struct {
	Text   string `json:"text,omitempty"`
	Cursor string `json:"cursor,omitempty"`
	Limit  int    `json:"limit,omitempty"`
}

// onePage is its answer. Next is the cursor of the next page, if there is one.
type onePage struct {
	Clients []staff.Client `json:"clients"`
	Next    string         `json:"next,omitempty"`
}

// newClient is what POST clients/add takes. Who is not said to have no access, or
// to want no mail, has and does.
type newClient struct {
	ID       string `json:"id,omitempty"`
	Email    string `json:"email"`
	Name     string `json:"name"`
	Phone    string `json:"phone,omitempty"`
	Language string `json:"language,omitempty"`
	Access   *bool  `json:"portal_access,omitempty"`
	EmailOK  *bool  `json:"email_ok,omitempty"`
}

func findClients(g *liveGate, r *http.Request) (any, error) {
	var in search
	if err := decodeBody(r, &in); err != nil {
		return nil, err
	}
	found, next, err := g.runtime.FindClients(r.Context(), directory.Query{Text: in.Text, Cursor: in.Cursor, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	page := onePage{Clients: []staff.Client{}, Next: next}
	for _, c := range found {
		page.Clients = append(page.Clients, staff.Public(c))
	}
	return page, nil
}

func addClient(g *liveGate, r *http.Request) (any, error) {
	var in newClient
	if err := decodeBody(r, &in); err != nil {
		return nil, err
	}
	c, err := g.runtime.AddClient(r.Context(), directory.Client{
		ID: in.ID, Email: in.Email, Name: in.Name, Phone: in.Phone, Language: in.Language,
		Access: in.Access == nil || *in.Access, EmailOK: in.EmailOK == nil || *in.EmailOK,
	}, operator)
	if err != nil {
		return nil, err
	}
	return staff.Public(c), nil
}

// importClients takes a list, or only tries it: the audit log tells the two apart
// before it is done.
func importClients(g *liveGate, r *http.Request) (any, error) {
	try, what := r.URL.Query().Has("try"), "clients_import_asked"
	if try {
		what = "clients_import_try_asked"
	}
	return noted(what, func(g *liveGate, r *http.Request) (any, error) {
		return g.runtime.ImportClients(r.Context(), r.Body, try, operator)
	})(g, r)
}

func exportClients(g *liveGate, r *http.Request) (any, error) {
	var list bytes.Buffer
	if err := g.runtime.ExportClients(r.Context(), &list, operator); err != nil {
		return nil, err
	}
	return csvText(list.Bytes()), nil
}
