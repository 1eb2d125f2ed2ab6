// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package directory answers who is on file: which address belongs to which
// client, and whether that client may sign in. The practice's own list is the
// truth; the gate asks it and never changes it.
//
// It refuses two clients with one address, and answers only for addresses in
// the strict form of package address.
package directory

import (
	"context"
	"errors"

	"github.com/portalgate/portalgate/internal/address"
)

// ErrNotFound is returned by Directory's methods if nobody on file matches.
// Any other error means that the directory cannot tell.
var ErrNotFound = errors.New("not on file")

// Client is one person on file.
type Client struct {
	// ID is the client's name for machines, [A-Za-z0-9][A-Za-z0-9._-]{0,63}.
	// It is never given to anybody else and becomes the upstream's "sub".
	ID string
	// Email is the address on file, byte for byte; mail goes nowhere else.
	Email string
	// Name is the full name for people to read. May be empty.
	Name string
	// Phone and Language (a BCP 47 tag) are optional.
	Phone, Language string
	// Access reports whether the practice has given portal access.
	Access bool
	// EmailOK reports whether the client consents to email. Without it no
	// mail is ever sent.
	EmailOK bool
}

// Directory looks clients up. Its methods may be called concurrently.
type Directory interface {
	ByAddress(ctx context.Context, a address.Address) (Client, error)
	ByID(ctx context.Context, id string) (Client, error)
}
