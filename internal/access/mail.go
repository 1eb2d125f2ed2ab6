// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package access

import "time"

// Complain notes that a mail to the address with this hash was called spam.
func (r *Record) Complain(now time.Time, address Hash) {
	if r.Spam != address {
		r.Spam = address
		r.event(now, "mail_complained", "")
	}
}

// NoMail reports whether nothing is to be mailed to the address on file,
// because its owner has complained. Another address is another matter.
func (r *Record) NoMail() bool { return r.NoMailTo(r.Address) }

// NoMailTo is NoMail for the address with this hash.
func (r *Record) NoMailTo(address Hash) bool { return r.Spam.is(address) }

// ResumeMail lets mail be sent again, and reports whether it was held back.
func (r *Record) ResumeMail(now time.Time) bool {
	if r.Spam == "" {
		return false
	}
	r.Spam = ""
	r.event(now, "mail_resumed", "")
	return true
}
