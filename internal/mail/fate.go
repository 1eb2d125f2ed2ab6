// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mail

import "time"

// Fate is what has become of a mail so far.
type Fate string

// The fates of a mail.
const (
	Queued     Fate = "queued"     // it will be sent
	Sent       Fate = "sent"       // a mail server took it
	Delivered  Fate = "delivered"  // it is in the client's mailbox, or its spam folder
	Delayed    Fate = "delayed"    // it was not taken yet, and is tried again
	Bounced    Fate = "bounced"    // it will not be taken
	Complained Fate = "complained" // the client's mail program was told that it is spam
	Withheld   Fate = "withheld"   // not sent, because an earlier one was called spam
)

// After reports whether f may follow what was known before. Reports come late
// and in any order: what is final is not undone by what is not.
func (f Fate) After(before Fate) bool { return f.rank() >= before.rank() }

func (f Fate) rank() int {
	switch f {
	case Queued:
		return 0
	case Delayed, Sent: // a mail service may take it, and then be told to come back later
		return 1
	case Delivered, Bounced, Withheld:
		return 2
	case Complained:
		return 3
	}
	return -1
}

// Reporter reads what a mail service says has become of mails. It may be used
// concurrently.
type Reporter interface {
	// Read returns what a report says if it is genuine at now. Its error says
	// why not, and nothing of what stood in it.
	Read(body []byte, now time.Time) (Report, error)
}

// Report is what a mail service says has become of a mail.
type Report struct {
	// Ref is the mail's, as it was given: see [Message.Ref].
	Ref string
	// Fate is empty for what is of no interest.
	Fate Fate
	// Reason is why, in plain words; empty if there is nothing to explain.
	Reason string
	At     time.Time
	// Once names the report. One that comes a second time under the same name
	// is a copy that somebody has kept.
	Once string
}
