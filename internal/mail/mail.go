// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package mail composes the gate's messages, in the words of the catalogue,
// and says what a sender of them is. A message is composed anew for every
// attempt and kept nowhere: it holds a secret.
//
// Senders are in folders of their own. What becomes of a mail is a [Fate]; who
// keeps it is not decided here.
package mail

import (
	"context"
	"fmt"
)

// Message is one mail to one person, text and HTML saying the same.
type Message struct {
	// ID is the Message-ID without angle brackets, the same at every attempt.
	ID string
	// FromName and From are the practice's name and sender address.
	FromName, From string
	// To is the address on file, byte for byte.
	To                  string
	Subject, Text, HTML string
	// Kind says what it is for to whoever counts mails: "sign-in",
	// "invitation", "notice".
	Kind string
	// Ref is what a report about the mail is to bring back, if its sender gets
	// reports. It says nothing to anybody else. It may be empty.
	Ref string
}

// Headers are the headers that every mail has beside its addresses, subject and
// Message-ID, in pairs of name and value.
//
// Nobody answers it (RFC 3834; the second is for Exchange). Mail programs stack
// what has one subject, and the newest link would be the one nobody sees: a
// reference to a mail that does not exist, another for each, keeps them apart.
func (m Message) Headers() [][2]string {
	return [][2]string{
		{"Auto-Submitted", "auto-generated"},
		{"X-Auto-Response-Suppress", "All"},
		{"References", "<ref-" + m.ID + ">"},
	}
}

// Sender hands one message over for delivery. It may be used concurrently.
type Sender interface {
	// Send returns what the server answered, for operators to read. Its error is
	// a [*Refusal] if the server did not take this mail. Any other is about the
	// server, not the mail: it was not reached, or does not work for us, or its
	// answer was lost, and then it may have the mail all the same.
	//
	// Neither answer nor error holds the recipient's address or a link.
	Send(ctx context.Context, m Message) (answer string, err error)
}

// Refusal is a server's no to one mail.
type Refusal struct {
	// Permanent says that the same mail will not be taken later either.
	Permanent bool
	// Reason is why, in plain words for staff.
	Reason string
	// Code is the server's own, such as "550 5.1.1".
	Code string
}

func (r *Refusal) Error() string {
	when := "for now"
	if r.Permanent {
		when = "for good"
	}
	return fmt.Sprintf("refused %s: %s (%s)", when, r.Reason, r.Code)
}
