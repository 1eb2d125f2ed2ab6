// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"slices"
	"time"
)

// Revoked is what a change took away. It is kept for a while, to be taken away
// once more where a store has lost the change.
type Revoked struct {
	links    []Past
	sessions []Session
	known    []Hash
	accounts []Hash
}

// Standing is a copy of what could be revoked in a record.
func (r *Record) Standing() *Record {
	return &Record{
		Links: slices.Clone(r.Links), Sessions: slices.Clone(r.Sessions), Known: slices.Clone(r.Known), Subjects: slices.Clone(r.Subjects),
	}
}

// RevokedSince returns what stood in a record before a change and does not now.
func (r *Record) RevokedSince(before *Record) (out Revoked) {
	for _, l := range before.Links {
		if slices.ContainsFunc(r.Links, func(o Link) bool { return o.Hash == l.Hash }) {
			continue
		}
		fate := Past{Hash: l.Hash, State: NewerAsked, Life: l.Expires - l.Made}
		for _, p := range r.Past {
			if p.Hash == l.Hash {
				fate = p
			}
		}
		out.links = append(out.links, fate)
	}
	for _, s := range before.Sessions {
		now, ok := r.Session(s.Hash)
		if s.Ended != 0 || ok && now.Ended == 0 {
			continue
		}
		s.Why = ByElsewhere
		if ok {
			s.Why = now.Why
		}
		out.sessions = append(out.sessions, s)
	}
	for _, k := range before.Known {
		if !slices.ContainsFunc(r.Known, func(o Known) bool { return o.Hash == k.Hash }) {
			out.known = append(out.known, k.Hash)
		}
	}
	for _, s := range before.Subjects {
		if r.Subject(func(o Subject) bool { return o.Hash == s.Hash }).Hash == "" {
			out.accounts = append(out.accounts, s.Hash)
		}
	}
	return out
}

// ButUsed is v without the links that were used up: what is not known to have
// been written must not use up a link that nobody got anything for.
func (v Revoked) ButUsed() Revoked {
	v.links = keep(v.links, func(p Past) bool { return p.State != Used && p.State != NewerSignedIn })
	return v
}

// Empty reports whether nothing was taken away.
func (v Revoked) Empty() bool { return len(v.links)+len(v.sessions)+len(v.known)+len(v.accounts) == 0 }

// Revoke takes away what v says, as far as it is there, and reports whether
// that changed anything.
func (r *Record) Revoke(now time.Time, v Revoked) (changed bool) {
	for _, p := range v.links {
		for i := range r.Links {
			if r.Links[i].Hash == p.Hash {
				r.retire(now, i, p.State)
				changed = true
				break
			}
		}
	}
	for _, s := range v.sessions {
		for i := range r.Sessions {
			if r.Sessions[i].Hash == s.Hash {
				changed = r.Sessions[i].end(now, s.Why) || changed
			}
		}
	}
	known := len(r.Known)
	r.Known = keep(r.Known, func(k Known) bool { return !slices.Contains(v.known, k.Hash) })
	for _, h := range v.accounts {
		changed = r.Unlink(now, h) || changed
	}
	return changed || len(r.Known) < known
}
