// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package access

import "time"

// Bind says whose record this is and which address is on file for them now.
// If everything in the record was made for another address, or for nobody,
// all of it stops: links, the PIN, sessions, known browsers, linked accounts. A client without an
// address, or without access, has the empty hash. It reports whether anything
// was stopped.
func (r *Record) Bind(now time.Time, client string, address Hash) bool {
	if r.Client == client && r.Address == address {
		return false
	}
	stopped := len(r.Links)+len(r.Known)+len(r.Subjects) > 0
	r.stopLinks(now, StoppedOffice)
	stopped = r.StopPIN(now, "", StoppedOffice) == Live || stopped
	for i := range r.Sessions {
		stopped = r.Sessions[i].end(now, ByPractice) || stopped
	}
	r.Known, r.Subjects = nil, nil
	r.Client, r.Address = client, address
	if stopped {
		r.event(now, "access_ended", "")
	}
	return stopped
}

// VoidBefore stops what was made before floor: links, the PIN and sessions.
// Browsers stay known, for that lets nobody in.
func (r *Record) VoidBefore(now, floor time.Time) {
	if p, ok := r.LivePIN(now); ok && p.Made < floor.Unix() {
		r.retirePIN(now, StoppedOffice)
	}
	for i := 0; i < len(r.Links); {
		if r.Links[i].Made < floor.Unix() {
			r.retire(now, i, StoppedOffice)
			continue
		}
		i++
	}
	for i := range r.Sessions {
		if r.Sessions[i].Made < floor.Unix() {
			r.Sessions[i].end(now, ByPractice)
		}
	}
}

// Fence says which epoch the store is in, if it can tell. A link that was made
// in another one may have been used since, in a history that the store has
// lost: it is switched off, as if a newer one had been sent. So is a PIN. What
// is added belongs to this epoch.
func (r *Record) Fence(now time.Time, epoch string) {
	r.epoch = epoch
	if p, ok := r.LivePIN(now); ok && epoch != "" && p.Epoch != epoch {
		r.retirePIN(now, NewerAsked)
	}
	for i := 0; i < len(r.Links) && epoch != ""; {
		if r.Links[i].Epoch != epoch {
			r.retire(now, i, NewerAsked)
			continue
		}
		i++
	}
}

// BoundTo reports whether the record was made for this client at this address.
func (r *Record) BoundTo(client string, address Hash) bool {
	return address != "" && r.Client == client && r.Address.is(address)
}

// AddLink puts a link on the record and returns its state afterwards: Live, or
// why it is not (then there is nothing to mail). Adding it again changes
// nothing, so an interrupted attempt can be repeated.
func (r *Record) AddLink(now time.Time, l Link) State {
	// It is remembered for much longer than it is good, also by a clock set back.
	l.Expires = min(l.Expires, l.Made+secs(pastLife/2))
	if len(l.ReturnTo) > maxReturn {
		l.ReturnTo = "" // cut off it would lead elsewhere
	}
	if _, state, _ := r.Look(now, l.Hash); state != NoLink {
		return state
	}
	if now.Unix() >= l.Expires {
		return Expired
	}
	if l.Made <= r.Forgot {
		return NewerAsked // it may have been here before: nothing voided revives
	}
	r.prune(now)
	for i := 0; i < len(r.Links) && l.Invited; {
		switch old := r.Links[i]; {
		case !old.Invited:
			i++
		case old.Made > l.Made: // it overtook this one in the queue
			return NewerInvited
		default:
			r.retire(now, i, NewerInvited)
		}
	}
	for len(r.Links) >= maxLinks {
		r.retire(now, 0, NewerAsked)
	}
	l.Epoch = r.epoch
	r.Links = append(r.Links, l)
	r.event(now, "link_made", "")
	return Live
}

// Look says what is so with a link, and changes nothing. For a link that is
// no longer live, past is what is remembered of it.
func (r *Record) Look(now time.Time, h Hash) (l Link, state State, past Past) {
	for _, l := range r.Links {
		if !l.Hash.is(h) {
			continue
		}
		if now.Unix() >= l.Expires {
			return l, Expired, Past{Hash: h, State: Expired, At: l.Expires, Life: l.Expires - l.Made}
		}
		return l, Live, Past{}
	}
	for _, p := range r.Past {
		if p.Hash.is(h) && now.Unix() < p.At+secs(pastLife) {
			return Link{}, p.State, p
		}
	}
	return Link{}, NoLink, Past{}
}

// Redemption is the wish to use a link.
type Redemption struct {
	Link Hash
	// Nonce names the browser's attempt. The same nonce within ten minutes is
	// answered with the same session, as long as that lives.
	Nonce Hash
	// Session is the hash of the secret that the session will have.
	Session Hash
	// Repeat asks only for the repetition of a lost answer: a link that is
	// live all the same is not used.
	Repeat bool
	// Typed reports that the browser had nothing to show but the right
	// address. Such a redemption is closed after too many wrong ones.
	Typed bool
	// Code reports that the mail's code was typed instead of its link opened.
	Code bool
	// Method goes into the session, Kind is the browser for people to read.
	Method, Kind string
	// Ways is how else it was proved who it is, as [Ways] writes it.
	Ways string
	// Shared makes the session that of a shared computer; so does the link.
	Shared bool
	// Browser is the hash by which this browser will be known; empty if not.
	Browser Hash
	// Bind is the account that belongs to the client from then on; empty if there
	// is none.
	Bind Subject
	Lifetimes
}

// Closed is the outcome of a redemption by typed address after too many wrong
// ones. The link itself still lives.
const Closed State = "closed"

// Redeem uses a link up, switches its siblings off and opens a session, all or
// nothing. It returns Live and the session, or why not. fresh reports that the
// session is one just made and not the repetition of a lost answer.
func (r *Record) Redeem(now time.Time, in Redemption) (s Session, fresh bool, state State) {
	l, state, past := r.Look(now, in.Link)
	switch {
	case state == Used && past.Nonce.is(in.Nonce) && now.Unix() < past.At+secs(repeatLife):
		s, ok := r.Session(past.Session)
		if !ok || s.Over(now, in.Lifetimes) != "" {
			return Session{}, false, Used // what ended is never made again
		}
		return s, false, Live
	case state != Live:
		return Session{}, false, state
	case in.Repeat:
		return Session{}, false, Used
	case in.Typed && l.Wrong >= WrongAddresses:
		return Session{}, false, Closed
	case in.Code && r.CodesOff():
		return Session{}, false, Closed
	}
	r.Links = keep(r.Links, func(o Link) bool { return !o.Hash.is(in.Link) })
	r.stopLinks(now, NewerSignedIn)
	s = r.admit(now, in, in.Shared || l.Shared)
	r.Link(now, in.Bind, s.Stranger())
	r.remember(Past{
		Hash: l.Hash, State: Used, At: max(now.Unix(), l.Made), Life: l.Expires - l.Made,
		Nonce: in.Nonce, Session: s.Hash, ReturnTo: l.ReturnTo,
	})
	if in.Code {
		r.WrongCodes = 0
	}
	return s, true, Live
}

// WrongAddress counts a wrong address typed against a link and reports whether
// that way is closed for it now. The link goes on working everywhere else.
func (r *Record) WrongAddress(now time.Time, h Hash) (closed bool) {
	for i := range r.Links {
		if l := &r.Links[i]; l.Hash.is(h) && now.Unix() < l.Expires {
			l.Wrong = min(l.Wrong+1, WrongAddresses)
			return l.Wrong >= WrongAddresses
		}
	}
	return false
}

// WrongCode counts a wrong mail code.
func (r *Record) WrongCode(now time.Time) {
	if r.CodesOff() {
		return
	}
	if r.WrongCodes++; r.CodesOff() {
		r.event(now, "codes_off", "")
	}
}

// CodesOff reports whether too many codes in a row were wrong. It shows to
// nobody: a right code is then answered like a wrong one.
func (r *Record) CodesOff() bool { return r.WrongCodes >= WrongCodes }

// StopLink switches a link off and returns what was so with it before.
func (r *Record) StopLink(now time.Time, h Hash) State {
	_, state, _ := r.Look(now, h)
	if state != Live {
		return state
	}
	for i := range r.Links {
		if r.Links[i].Hash.is(h) {
			r.retire(now, i, StoppedClient)
			break
		}
	}
	r.event(now, "link_stopped", "")
	return Live
}

// StopLinks switches off all that was mailed, and reports whether any of it still
// worked. It is for who wants no more mail: what else lets them in stays.
func (r *Record) StopLinks(now time.Time) bool {
	r.prune(now)
	if len(r.Links) == 0 {
		return false
	}
	r.stopLinks(now, StoppedOffice)
	r.event(now, "link_stopped", "")
	return true
}

func (r *Record) stopLinks(now time.Time, why State) {
	r.prune(now)
	for len(r.Links) > 0 {
		r.retire(now, 0, why)
	}
}

// retire turns link i into a memory. That is never older than the link, even
// where the clock that made the link is ahead: see Forgot.
func (r *Record) retire(now time.Time, i int, why State) {
	l := r.Links[i]
	r.Links = append(r.Links[:i:i], r.Links[i+1:]...)
	r.remember(Past{Hash: l.Hash, State: why, At: max(now.Unix(), l.Made), Life: l.Expires - l.Made})
}
