// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package directory answers who is on file: which address belongs to which
// client, and whether that client may sign in. Where the practice has a list of
// its own the gate asks it and never changes it; a [Keeper] keeps one here.
//
// It refuses two clients with one address, and answers only for addresses in
// the strict form of package address.
package directory

import (
	"context"
	"errors"
	"time"

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
	// Created is when the client was put on file, and Version counts the changes
	// since, from 1. Both are zero where the list is kept elsewhere.
	Created time.Time
	Version int
}

// Directory looks clients up. Its methods may be called concurrently.
type Directory interface {
	ByAddress(ctx context.Context, a address.Address) (Client, error)
	ByID(ctx context.Context, id string) (Client, error)
}

// Query asks for clients by the beginning of a name, of a part of one, or of an
// address. Case and accents do not matter. No text is everybody.
type Query struct {
	Text string
	// Cursor is where the page before ended; empty is the first page.
	Cursor string
	// Limit is how many are wanted at most; 0 is 50, and more than 500 is 500.
	Limit int
}

// Finder is a Directory that can also say who is on file. One that asks the
// practice's own system is none.
type Finder interface {
	// Find returns clients in the order of their names and then their ids, and
	// the cursor of the next page, which is empty after the last.
	Find(ctx context.Context, q Query) (found []Client, next string, err error)
}

// ErrChanged is returned by Keeper's methods if the client was changed since the
// version that the caller has seen.
var ErrChanged = errors.New("changed in between")

// ErrDeleted is returned by Keeper.Add for an id that somebody has had before.
var ErrDeleted = errors.New("this id was somebody's; it is never given again")

// Taken is the error for an address that another client has.
type Taken struct {
	By Client
}

func (t *Taken) Error() string { return "the address is on file for " + t.By.ID }

// Invalid is the error for a field that cannot be kept as it is; Text says to
// people what to write.
type Invalid struct {
	Field, Text string
}

func (i *Invalid) Error() string { return i.Field + ": " + i.Text }

// Before is called with the ids of who is about to be put on file, once they are
// sure and before it is done. With an error it is not done. Nil is nothing to call.
type Before func(ctx context.Context, ids []string) error

// Keeper is a Directory that keeps its clients itself, so that staff can change
// them here. The gate takes care of what a change means for somebody's access,
// before it is made.
type Keeper interface {
	Directory
	Finder
	// Add puts a client on file, under a random id if c has none, and returns
	// what is on file then. *Taken, *Invalid, ErrDeleted, or the error of before.
	Add(ctx context.Context, c Client, before Before) (Client, error)
	// Change puts c in the place of what is on file under its id, if that is
	// still of c's version. ErrNotFound, ErrChanged, *Taken, *Invalid.
	Change(ctx context.Context, c Client) (Client, error)
	// Remove takes a client off file. Name, address and phone are gone at once;
	// the id is never given again. ErrNotFound, ErrChanged.
	Remove(ctx context.Context, id string, version int) error
}
