// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package managed

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/store"
)

// drawer is what one value holds. One that was read is shared and never changed.
type drawer struct {
	Clients []kept `json:"clients,omitempty"`
	// Gone are the ids of clients who were taken off file, for good, and nothing
	// else of them.
	Gone []string `json:"gone,omitempty"`

	sum [sha256.Size]byte // of what it was read from
}

// kept is a client as the store has it.
type kept struct {
	ID       string `json:"id"`
	Email    string `json:"email"`
	Name     string `json:"name,omitempty"`
	Phone    string `json:"phone,omitempty"`
	Language string `json:"lang,omitempty"`
	Access   bool   `json:"access,omitempty"`
	EmailOK  bool   `json:"mail,omitempty"`
	Created  int64  `json:"created"` // in Unix seconds
	Version  int    `json:"version"`
}

func (k kept) client() directory.Client {
	return directory.Client{
		ID: k.ID, Email: k.Email, Name: k.Name, Phone: k.Phone, Language: k.Language,
		Access: k.Access, EmailOK: k.EmailOK, Created: time.Unix(k.Created, 0).UTC(), Version: k.Version,
	}
}

func keep(c directory.Client) kept {
	return kept{
		ID: c.ID, Email: c.Email, Name: c.Name, Phone: c.Phone, Language: c.Language,
		Access: c.Access, EmailOK: c.EmailOK, Created: c.Created.Unix(), Version: c.Version,
	}
}

func decode(data []byte) (*drawer, error) {
	d := &drawer{sum: sha256.Sum256(data)}
	if len(data) == 0 {
		return d, nil
	}
	if err := json.Unmarshal(data, d); err != nil { // fail closed: neither on file nor off it
		return nil, fmt.Errorf("a drawer of clients is damaged: %w", store.ErrUnknown)
	}
	return d, nil
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic("managed: " + err.Error()) // there is nothing in it that has no JSON
	}
	return data
}

func (d *drawer) at(id string) int {
	return slices.IndexFunc(d.Clients, func(k kept) bool { return k.ID == id })
}

func (d *drawer) client(id string) (directory.Client, bool) {
	if i := d.at(id); i >= 0 {
		return d.Clients[i].client(), true
	}
	return directory.Client{}, false
}

// without returns the clients who are not in other just so.
func (d *drawer) without(other *drawer) (clients []directory.Client) {
	for _, k := range d.Clients {
		if !slices.Contains(other.Clients, k) {
			clients = append(clients, k.client())
		}
	}
	return clients
}

// gone reports whether an id was somebody's.
func (d *drawer) gone(id string) bool { return slices.Contains(d.Gone, id) }

// put puts c in the place of who has its id, or beside all others.
func (d *drawer) put(c directory.Client) {
	if i := d.at(c.ID); i >= 0 {
		d.Clients[i] = keep(c)
		return
	}
	d.Clients = append(d.Clients, keep(c))
}

// take takes a client out, for good.
func (d *drawer) take(id string) {
	d.Clients = slices.DeleteFunc(d.Clients, func(k kept) bool { return k.ID == id })
	d.Gone = append(d.Gone, id)
}
