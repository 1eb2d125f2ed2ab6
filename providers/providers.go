// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package providers is the contract between the gate and a sign-in method.
//
// A method proves who somebody is; the gate decides whether that person may
// pass. A method never sees a cookie, a session, the store or a response. It
// is given what a person typed and answers with an effect as data ([Step]):
// ask for these fields, mail a link to this address. The gate performs it.
// Single use, expiry, limits, equal answers for known and unknown addresses,
// cross-site protection and audit therefore exist once, for every method, and
// a method is a function that can be tested without a server.
//
// This package needs the standard library only. It has no place for anything
// that only one method needs.
package providers

import (
	"context"
	"time"
)

// Authenticator is one way to sign in. Its methods may be called concurrently.
type Authenticator interface {
	// Start begins a sign-in and says what to do first.
	Start(ctx context.Context, req Request) (Step, error)

	// Continue takes what came back and says what to do next. A *Denial error
	// means that what was typed cannot be right, and the person is asked
	// again; any other error means that the method itself is broken, and the
	// person is offered another way.
	Continue(ctx context.Context, req Request) (Step, error)
}

// Request is what a person sent.
type Request struct {
	// Fields holds what was typed, by the names of the Ask before. Values are
	// as typed: not trimmed, not checked.
	Fields map[string]string
}

// Step is what the gate is to do next. Exactly one member is set.
type Step struct {
	Ask      *Ask
	SendLink *SendLink
}

// Ask shows a form. Its texts stand in the catalogue under the Text prefix:
// <Text>.title, .lead and .button, and <Text>.label and .hint for its field.
type Ask struct {
	Text   string
	Fields []Field
	// Life is how long what follows the answer is good for, to be told on the
	// pages about it.
	Life time.Duration
}

// Field is one thing to type.
type Field struct {
	Name string
	Kind Kind
}

// Kind is what a field holds, so that a phone shows the right keyboard.
type Kind string

// The kinds of fields.
const Email Kind = "email"

// SendLink mails a single-use link, if the address is on file. The method
// does not learn whether it is.
type SendLink struct {
	Address string
	// Life is how long the link works; at most 24 hours.
	Life time.Duration
}

// Denial is the answer "that cannot be right": an address that is none, a
// code with a digit too few. It is not for secrets that do not match; those
// the gate checks.
type Denial struct {
	// Reason is a key of the catalogue, shown with the form.
	Reason string
}

// Error gives the reason, for the log.
func (d *Denial) Error() string { return "denied: " + d.Reason }
