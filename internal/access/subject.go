// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package access

import "time"

// maxSubjects is how many accounts at other places one client may have, one for
// each method; the oldest is forgotten.
const maxSubjects = 8

// Subject is the account at another place that belongs to the client. An address
// may change hands there; the account does not.
type Subject struct {
	// Method is the sign-in method that the account is of.
	Method string `json:"m"`
	// Hash is a keyed hash of method and account.
	Hash Hash  `json:"h"`
	Made int64 `json:"c"`
	// By is the sign-in that linked it: with it the account goes too.
	By Stranger `json:"b,omitzero"`
}

// The outcomes of coming with an account, beside Live and Used.
const (
	// OtherAccount: the client has shown another one before.
	OtherAccount State = "account"
	// Unproved: it has never been shown, and the other side cannot know whose
	// the mailbox is. The mailbox has to be asked once.
	Unproved State = "once"
)

// Recognizes says what is so with an account that bears the client's address:
// Live lets it in. authoritative reports that the other side gives out that
// address itself.
func (r *Record) Recognizes(s Subject, authoritative bool) State {
	for _, have := range r.Subjects {
		switch {
		case have.Method != s.Method:
		case have.Hash.is(s.Hash):
			return Live
		default:
			return OtherAccount
		}
	}
	if authoritative {
		return Live
	}
	return Unproved
}

// EnterAs opens a session for an account, and has it belong to the client from
// now on: in.Bind. It returns Live and the session, or why not. The same attempt
// gets the same session again, while that lives. fresh is as for Redeem. Another
// account than the client's is written down, for staff to see.
func (r *Record) EnterAs(now time.Time, in Redemption, authoritative bool) (s Session, fresh bool, state State) {
	if s, ok := r.Session(in.Session); ok {
		if s.Over(now, in.Lifetimes) != "" {
			return Session{}, false, Used // what ended is never made again
		}
		return s, false, Live
	}
	switch state = r.Recognizes(in.Bind, authoritative); state {
	case Live:
	case OtherAccount:
		r.event(now, "account_refused", in.Bind.Method)
		return Session{}, false, state
	default:
		return Session{}, false, state
	}
	s = r.admit(now, in, in.Shared)
	r.Link(now, in.Bind, s.Stranger())
	return s, true, Live
}

// Link has an account belong to the client, unless one of its method does. by is
// the sign-in that shows it. It reports whether that is new.
func (r *Record) Link(now time.Time, s Subject, by Stranger) bool {
	if s.Hash == "" || r.Recognizes(s, false) != Unproved {
		return false
	}
	s.Method, s.Made, s.By = clip(s.Method, maxKind), now.Unix(), by
	r.Subjects = newest(append(r.Subjects, s), maxSubjects)
	r.event(now, "account_linked", s.Method)
	return true
}

// Subject returns the account that is meant; the zero value if it is not the
// client's.
func (r *Record) Subject(is func(Subject) bool) Subject {
	for _, s := range r.Subjects {
		if is(s) {
			return s
		}
	}
	return Subject{}
}

// Unlink takes an account away from the client, and ends what its method has
// opened, and the sign-in that linked it, however that was done: their browsers
// are not known any more. It reports whether the account was theirs.
func (r *Record) Unlink(now time.Time, h Hash) bool {
	for _, s := range r.Subjects {
		if s.Hash.is(h) {
			r.Subjects = keep(r.Subjects, func(o Subject) bool { return !o.Hash.is(h) })
			out := []Stranger{s.By}
			for _, o := range r.Sessions {
				if o.Method == s.Method {
					out = append(out, o.Stranger())
				}
			}
			for _, who := range out {
				r.Expel(now, who)
			}
			r.remember(Past{Hash: h, State: StoppedClient, At: now.Unix()})
			r.event(now, "account_unlinked", s.Method)
			return true
		}
	}
	return false
}
