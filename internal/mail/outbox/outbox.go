// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package outbox takes the gate's mails and keeps them in memory, to be read
// in a browser: for trying Portalgate out and for its tests, where no mail
// should leave the machine. Box is the sender, its Handler the mailbox.
//
// The mails hold live sign-in links, so whoever can read the mailbox can sign
// in as anybody in it. It refuses to be more than a toy for that reason:
// nothing is written to disk, and Loopback, which has to stand in front of
// Handler, lets no other machine and no other web site in.
package outbox

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/portalgate/portalgate/internal/mail"
)

// Kept is how many mails a Box keeps if its maker has no opinion: some days
// of trying things out, and under 5 MB.
const Kept = 200

// Box is a mail.Sender that delivers to nobody. It may be used concurrently.
type Box struct {
	max int
	now func() time.Time

	mu      sync.Mutex
	entries []Entry // oldest first
}

// Entry is one mail as it would have been sent.
type Entry struct {
	// ID is the mailbox's own name for the mail. The same message sent twice
	// is two entries, so that a double delivery shows.
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	From    string    `json:"from"`
	To      string    `json:"to"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	HTML    string    `json:"html"`
}

// New returns an empty box for the newest max mails; Kept of them if max is
// not positive.
func New(max int) *Box {
	if max <= 0 {
		max = Kept
	}
	return &Box{max: max, now: time.Now}
}

// Send puts the message in the box. It fails only if ctx is over.
func (b *Box) Send(ctx context.Context, m mail.Message) (answer string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	e := Entry{
		ID:      rand.Text(),
		At:      b.now().UTC().Truncate(time.Millisecond),
		From:    m.FromName + " <" + m.From + ">",
		To:      m.To,
		Subject: m.Subject,
		Text:    m.Text,
		HTML:    m.HTML,
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = append(b.entries, e)
	if over := len(b.entries) - b.max; over > 0 {
		b.entries = slices.Delete(b.entries, 0, over)
	}
	return "kept in the outbox", nil
}

// Messages returns what is in the box, newest first. It is never nil.
func (b *Box) Messages() []Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]Entry, len(b.entries))
	copy(list, b.entries)
	slices.Reverse(list)
	return list
}
