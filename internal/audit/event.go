// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package audit keeps what happened: who did what to whom, when, from where, and
// what came of it. Events are appended and never changed; each carries the hash
// of the one before, so that one which was removed, changed or moved is found.
//
// It never holds a link, a code, a PIN, a cookie, a key or an address: people are
// named by their ids.
package audit

import "time"

// Event is one thing that happened.
type Event struct {
	// Seq counts the events of a gate from 1, without a gap.
	Seq int64 `json:"seq"`
	// ID makes an event that is appended twice one event.
	ID string    `json:"id"`
	At time.Time `json:"at"`
	// What happened, such as "sign_in", "pin_issued" or "client_read".
	What string `json:"what"`
	// Client is the id of whom it is about; empty if it is about nobody on file.
	Client string `json:"client,omitempty"`
	// By is the id of the staff member who did it, "operator" for the command
	// line; empty if the client did.
	By string `json:"by,omitempty"`
	// From is the network address that it was done from.
	From string `json:"from,omitempty"`
	// Method is the sign-in method.
	Method string `json:"method,omitempty"`
	// Outcome is empty if it was done; else a word for why not.
	Outcome string `json:"outcome,omitempty"`
	// Note is what staff wrote, such as how a caller was made sure of.
	Note string `json:"note,omitempty"`
	// Prev is the hash of the event before, and Hash that of this one.
	Prev string `json:"prev"`
	Hash string `json:"hash"`
}

// Filter picks events. Its zero value picks all.
type Filter struct {
	Client, By, What string
	// Since and Until bound At: from Since on, and before Until.
	Since, Until time.Time
	// Cursor is where the page before ended; empty begins with the newest.
	Cursor string
	// Limit is how many are wanted at most; 0 is 50, and more than 500 is 500.
	Limit int
}
