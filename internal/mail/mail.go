// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package mail composes the gate's messages, in the words of the catalogue,
// and says what a sender of them is. A message is composed anew for every
// attempt and kept nowhere: it holds a secret.
package mail

import "context"

// Message is one mail to one person, text and HTML saying the same.
type Message struct {
	// ID is the Message-ID without angle brackets, the same at every attempt.
	ID string
	// FromName and From are the practice's name and sender address.
	FromName, From string
	// To is the address on file, byte for byte.
	To                  string
	Subject, Text, HTML string
}

// Sender hands one message over for delivery, or says why not.
type Sender interface {
	Send(ctx context.Context, m Message) error
}
