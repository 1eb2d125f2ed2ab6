// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"encoding/json"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
)

// person is a client in an answer.
type person struct {
	ID       string `json:"id"`
	Email    string `json:"email"`
	Name     string `json:"name"`
	Phone    string `json:"phone"`
	Language string `json:"language"`
	Access   *bool  `json:"portal_access"`
	EmailOK  *bool  `json:"email_ok"`
}

// parse reads the answer to a question. Its errors name nobody. A client other
// than the one who was asked about is an error: whatever went wrong there, nobody
// must be let in as somebody else.
func parse(text []byte, q question) (directory.Client, error) {
	if len(text) > maxAnswer {
		return directory.Client{}, unknown("the practice's system answers with more than %d KB", maxAnswer>>10)
	}
	var said map[string]json.RawMessage
	if json.Unmarshal(text, &said) != nil {
		return directory.Client{}, unknown("the practice's system answers with something that is no JSON object")
	}
	raw, ok := said["client"]
	if !ok {
		return directory.Client{}, unknown(`the practice's system answers without "client"`)
	}
	if string(raw) == "null" {
		return directory.Client{}, directory.ErrNotFound
	}
	var p person
	if json.Unmarshal(raw, &p) != nil {
		return directory.Client{}, unknown(`the practice's system answers with a "client" that has a field of the wrong kind`)
	}
	if p.Access == nil || p.EmailOK == nil {
		return directory.Client{}, unknown(`the practice's system answers with a "client" without "portal_access" or "email_ok"`)
	}
	c, a, wrong := directory.Check(directory.Client{
		ID: p.ID, Email: p.Email, Name: p.Name, Phone: p.Phone, Language: p.Language, Access: *p.Access, EmailOK: *p.EmailOK,
	})
	if len(wrong) > 0 {
		return directory.Client{}, unknown(`the practice's system answers with a "client" whose %v`, wrong[0])
	}
	if !q.about(c, a) {
		return directory.Client{}, unknown("the practice's system answers with another client than it was asked about")
	}
	return c, nil
}

// about reports whether a client is who was asked about.
func (q question) about(c directory.Client, a address.Address) bool {
	if q.ID != "" {
		return c.ID == q.ID
	}
	asked, err := address.Parse(q.Email)
	return err == nil && asked.Canonical() == a.Canonical()
}
