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
	// Describe says how the method presents itself. It is asked for at every
	// page and does no work: the answer depends on the configuration alone.
	Describe() Description

	// Start begins a sign-in and says what to do first.
	Start(ctx context.Context, req Request) (Step, error)

	// Continue takes what came back and says what to do next, or who it is. A
	// *Denial error means that this person may not pass by what came back, and
	// is told so; any other error means that the method itself is broken, and
	// the person is offered another way.
	Continue(ctx context.Context, req Request) (Step, *Claim, error)
}

// Description is how a method presents itself.
type Description struct {
	// Text is the prefix of the method's texts in the catalogue. Under it,
	// other pages find what to call the method: <Text>.offer.
	Text string
	// Label fills the slot {method} of those texts: what people call the other
	// side. It is text, at most 200 characters, and may be empty.
	Label string
	// Away reports that Start sends the browser to another place at once. There
	// is then no form to show first, and only a press sets off.
	Away bool
	// Life is how long what the method sends or takes is good for, to be told on
	// the pages about it.
	Life time.Duration
	// Digits is how many digits the secret has that staff issue for this method;
	// zero if it takes none.
	Digits int
	// AfterAddress is the form that this method shows after any address that is
	// on file, if its first form asks for one. For an address that is not on
	// file the gate shows it itself and does not call the method, so that
	// nobody can tell the two apart.
	AfterAddress *Ask
}

// Request is what a person sent.
type Request struct {
	// Fields holds what was typed, by the names of the Ask before, or what came
	// back in the query of the callback. Values are as they came: not trimmed,
	// not checked.
	Fields map[string]string
	// State is that of the Step before.
	State []byte
	// Callback is the address to come back to after a Redirect, and Attempt
	// what has to come back there, as the query's "state": it ties the answer
	// to the browser that set off.
	Callback, Attempt string
	// Choose reports that the other side is to ask which account is meant, even
	// if it believes to know: on a shared computer, and after an account that
	// was not the right one.
	Choose bool
	// Language is that of the pages, as a BCP 47 tag.
	Language string
	// Phone is the number on file of the client whose address was typed. It is
	// empty unless the configuration shares it with this method.
	Phone string
}

// Step is what the gate is to do next. Exactly one of Ask, Redirect, SendLink
// and CheckSecret is set.
type Step struct {
	Ask         *Ask
	Redirect    *Redirect
	SendLink    *SendLink
	CheckSecret *CheckSecret
	// State is kept by the gate, sealed, and comes back in the next Request of
	// this attempt; no browser sees it. At most 1024 bytes.
	State []byte
}

// Ask shows a form. Its texts stand in the catalogue under the Text prefix of
// the method: <Text>.title, .lead and .button, and <Text>.<field>.label and
// .<field>.hint for its fields.
type Ask struct {
	Fields []Field
	// Title, Lead and Button take the place of the catalogue's, for a method
	// that the catalogue does not know. They are text, at most 200 characters.
	Title, Lead, Button string
}

// Field is one thing to type.
type Field struct {
	Name string
	Kind Kind
	// Label and Hint take the place of the catalogue's, as in Ask.
	Label, Hint string
}

// Kind is what a field holds, so that a phone shows the right keyboard.
type Kind string

// The kinds of fields.
const (
	Text  Kind = "text"
	Email Kind = "email"
	// Digits is a secret of digits; it is never filled in again.
	Digits Kind = "digits"
)

// Redirect sends the browser to another origin, to come back to the request's
// Callback.
type Redirect struct {
	// URL is https (http on loopback only), and its origin one of Origins.
	URL string
	// Origins are those to which this method may send a browser, as it knows
	// them from its configuration or from what the other side publishes.
	Origins []string
}

// SendLink mails a single-use link, if the address is on file. The method
// does not learn whether it is.
type SendLink struct {
	Address string
	// Life is how long the link works; at most 24 hours.
	Life time.Duration
}

// CheckSecret checks a secret that staff have issued to the client with this
// address. The method does not learn whether there is such a client, nor
// whether the secret is right.
type CheckSecret struct {
	Address string
	Secret  string
}

// Claim is who a method says that a person is. What the gate makes of it is the
// gate's: the client with that address on file, and nobody else's.
type Claim struct {
	// Subject names the account at the other side, for good. The gate keeps it
	// apart by method. At most 255 characters.
	Subject string
	// Email is the account's address. EmailVerified reports that the other side
	// has checked that the account's owner reads what is sent there.
	Email         string
	EmailVerified bool
	// Authoritative reports that the other side gives out that address itself.
	// Without that an account may bear an address that has had another owner
	// since, and the mailbox is asked once.
	Authoritative bool
	// Name is for logs; the name on file is what counts.
	Name string
	// AMR says how the person proved it (RFC 8176).
	AMR []string
}

// Denial is the answer "that cannot be right": an address that is none, a
// code with a digit too few, an account that is refused. It is not for secrets
// that do not match; those the gate checks.
type Denial struct {
	// Reason is a key of the catalogue: what is wrong with a field, shown with
	// the form, or, for a method that has no form, the stem of a page
	// (<Reason>.title, <Reason>.lead).
	Reason string
	// Field names the field that Reason is about; empty is the first.
	Field string
	// Text takes the place of Reason, in words of the method's own: text, at
	// most 200 characters.
	Text string
}

// Error gives the reason, for the log.
func (d *Denial) Error() string { return "denied: " + d.Reason + d.Text }
