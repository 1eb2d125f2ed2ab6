// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package access holds what lets one client in, and the rules that change it.
//
// Everything about one client that matters at the door is one small [Record]:
// the links that still work, the sessions, the browsers that are known, the
// counters, and what became of earlier links. Each rule is a function of a
// record, an input and the time; it does no I/O, reads no clock and makes no
// random numbers. A store has only to replace one record by another atomically
// (compare-and-swap), and using a link up, opening its session and switching
// off its siblings is one write that happens or does not.
//
// The record never holds a secret, only hashes of secrets, and never an
// address, only a keyed hash of the one that everything in it was made for:
// when the address on file is another, none of it counts any more.
//
// A rule belongs here if it decides whether somebody gets in. How people are
// asked, told or mailed does not.
package access

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The bounds of a record (DESIGN section 6).
const (
	maxLinks    = 3    // live at once; a fourth supersedes the oldest
	maxSessions = 20   // live at once; one more ends the oldest
	maxKnown    = 10   // browsers; one more is known in place of the oldest
	maxPast     = 16   // links, PINs and accounts remembered
	maxEvents   = 8    // that wait to be moved to the audit log
	maxReturn   = 512  // bytes of a link's return path
	maxKind     = 40   // bytes that name a browser, or a method
	maxWays     = 40   // bytes of how somebody has proved who they are
	MaxSize     = 4096 // bytes, encoded

	pastLife  = 90 * 24 * time.Hour  // how long a link's fate is told
	knownLife = 180 * 24 * time.Hour // since the browser's last sign-in
	endedLife = 24 * time.Hour       // how long an ended session can say why

	// repeatLife is how long the browser that used a link may ask again for
	// the session it got, because the answer was lost on the way.
	repeatLife = 10 * time.Minute

	// WrongAddresses is how many wrong addresses may be typed against a link
	// before it can no longer be used by typing an address.
	WrongAddresses = 10

	// WrongCodes is how many wrong mail codes in a row turn codes off for a
	// client (NIST SP 800-63B-4, 3.2.2). Links go on working.
	WrongCodes = 100
)

// version is the format of an encoded record: 2 has PINs, accounts and complaints,
// and 3 events that wait to be moved. A record that has none is written as the
// format before, for gates that know no other. They must not write the rest, or
// they would drop what was counted, or what happened.
const version = 3

// ErrNewer is returned by Decode if the record was written by a later version
// of this program. It must then be left as it is.
var ErrNewer = errors.New("access record has a newer format")

// Hash names a secret without giving it away: 128 bits of SHA-256.
type Hash string

// HashOf returns the hash of a secret. The secret must have enough entropy not
// to be guessed (or be a keyed hash itself); it is not stretched.
func HashOf(secret []byte) Hash {
	sum := sha256.Sum256(secret)
	return Hash(base64.RawURLEncoding.EncodeToString(sum[:16]))
}

func (h Hash) is(other Hash) bool {
	return h != "" && subtle.ConstantTimeCompare([]byte(h), []byte(other)) == 1
}

// Record is what lets one client in. Its zero value is a client about whom
// nothing is known yet. A Record is not safe for concurrent use; decode one
// for each change.
type Record struct {
	Version int `json:"v"`
	// Client is the client's id.
	Client string `json:"i"`
	// Address is the keyed hash of the address that everything here was made
	// for. See Bind.
	Address  Hash      `json:"a,omitempty"`
	Links    []Link    `json:"l,omitempty"`
	Sessions []Session `json:"s,omitempty"`
	Known    []Known   `json:"k,omitempty"`
	Past     []Past    `json:"p,omitempty"`
	// Forgot is when the newest of the links was retired that memory has no
	// room for any more. A link made before that is not taken on again.
	Forgot int64 `json:"g,omitempty"`
	// WrongCodes counts wrong mail codes since the last right one.
	WrongCodes int `json:"w,omitempty"`
	// PINs is nil for a client who never had one.
	PINs *PINs `json:"n,omitempty"`
	// Spam is the keyed hash of the address whose owner has called a mail of ours
	// spam: see NoMail.
	Spam Hash `json:"u,omitempty"`
	// Subjects are the client's accounts at other places, one for each method.
	Subjects []Subject `json:"o,omitempty"`
	// Events are what happened and is not in the audit log yet, each written with
	// the change it tells of: see Moved.
	Events []Event `json:"e,omitempty"`

	epoch  string  // of the store: see Fence
	change *change // that is being made; nil if there is nothing to say of it
}

// Link is an emailed link that works. Times are Unix seconds, here and in the
// whole record.
type Link struct {
	Hash    Hash  `json:"h"` // of its secret
	Made    int64 `json:"c"`
	Expires int64 `json:"x"`
	// ReturnTo is the page to land on, a path; empty is the start page.
	ReturnTo string `json:"r,omitempty"`
	// Shared makes the session that of a shared computer.
	Shared bool `json:"s,omitempty"`
	// Wrong counts the wrong addresses typed against it.
	Wrong int `json:"w,omitempty"`
	// Invited reports that it came with an invitation, of which the newest
	// counts.
	Invited bool `json:"v,omitempty"`
	// Sent reports that staff sent it: no window waits for it, and no code came
	// with it.
	Sent bool `json:"d,omitempty"`
	// Epoch is the store's when the link was made: see Fence.
	Epoch string `json:"o,omitempty"`
}

// Known is a browser in which the client has signed in before. It makes
// signing in more comfortable and is never enough by itself.
type Known struct {
	Hash Hash  `json:"h"` // of the random id in its cookie
	Used int64 `json:"u"` // last sign-in
}

// Past is what became of a link, of a PIN, or of an account that was taken away:
// whoever presses the button in a mail again is told that it is done.
type Past struct {
	Hash  Hash  `json:"h"`
	State State `json:"w"`
	At    int64 `json:"t"`
	// Life is how long the link was good for, in seconds; 0 for an account.
	Life int64 `json:"f,omitempty"`
	// Nonce and Session name who used the link and what they got, for the
	// repetition of an answer that was lost. Only for a used link.
	Nonce   Hash `json:"n,omitempty"`
	Session Hash `json:"s,omitempty"`
	// ReturnTo is where the used link led.
	ReturnTo string `json:"r,omitempty"`
	// PIN reports that it was no link, but a PIN.
	PIN bool `json:"i,omitempty"`
}

// State is what is so with a link. Its text is the stem of the catalogue keys
// that tell it to people.
type State string

// The states of a link.
const (
	Live          State = "live"
	Used          State = "used"
	Expired       State = "expired"
	NewerAsked    State = "newer.asked"    // a later link took its place
	NewerSignedIn State = "newer.signedin" // another link was used
	NewerInvited  State = "newer.practice" // a later invitation took its place
	StoppedClient State = "stopped.client" // switched off from the mail, or by signing out everywhere
	StoppedOffice State = "stopped.practice"
	NoLink        State = "nolink" // never heard of, or too long ago
)

// Decode reads a record. No data is an empty record. That of the next version is
// returned with ErrNewer, to be read and never written.
func Decode(data []byte) (*Record, error) {
	if len(data) == 0 {
		return &Record{}, nil
	}
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("decoding access record: %v", err)
	}
	if r.Version > version {
		if r.Version == version+1 {
			return &r, ErrNewer // a neighbour's: what we know of it holds
		}
		return nil, ErrNewer
	}
	return &r, nil
}

// Encode writes the record in at most MaxSize bytes, forgetting what may be
// forgotten at now, and says when the rest may be: the zero time is never.
func (r *Record) Encode(now time.Time) (data []byte, expires time.Time) {
	r.prune(now)
	crowded := false
	r.spareEvents(maxEvents)
	for {
		switch r.Version = 1; {
		case len(r.Events) > 0:
			r.Version = version
		case r.PINs != nil || r.Spam != "" || r.Subjects != nil:
			r.Version = 2
		}
		// A path is full of "&", which json.Marshal makes six bytes of.
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(r); err != nil {
			panic("access: " + err.Error()) // plain data always encodes
		}
		if b.Len() <= MaxSize {
			r.change = nil
			if crowded {
				r.change = &change{crowded: true}
			}
			return b.Bytes(), r.expires()
		}
		if r.spareEvents(len(r.Events) - 1) {
			continue
		}
		crowded = crowded || len(r.Events) > 0
		r.shrink(now)
	}
}

// shrink gives up the least important thing: what became of old links and
// sessions, where links lead, and only then the oldest session or link. Asking
// for links, which anybody can, comes to no session's end.
func (r *Record) shrink(now time.Time) {
	ended := slices.IndexFunc(r.Sessions, func(s Session) bool { return s.Ended != 0 })
	past := slices.IndexFunc(r.Past, func(p Past) bool { return p.ReturnTo != "" })
	link := slices.IndexFunc(r.Links, func(l Link) bool { return l.ReturnTo != "" })
	switch {
	case len(r.Past) > 4:
		r.forget(1)
	case ended >= 0:
		r.Sessions = slices.Delete(r.Sessions, ended, ended+1)
	case past >= 0:
		r.Past[past].ReturnTo = ""
	case link >= 0:
		r.Links[link].ReturnTo = "" // the start page will do
	case len(r.Sessions) > 1:
		r.Sessions = r.Sessions[1:]
	case len(r.Links) > 1:
		r.retire(now, 0, NewerAsked)
	default: // nothing that the rules make; fail closed
		*r = Record{Version: r.Version, Forgot: now.Unix(), WrongCodes: r.WrongCodes, PINs: r.PINs, Spam: r.Spam, Subjects: r.Subjects}
	}
}

// expires is when nothing in the record counts any more.
func (r *Record) expires() time.Time {
	if r.WrongCodes > 0 || r.PINs != nil && r.PINs.Row > 0 || r.Spam != "" || r.Subjects != nil || len(r.Events) > 0 {
		// Neither a count of failures nor a complaint is forgotten by waiting,
		// nor whose an account is, nor what happened.
		return time.Time{}
	}
	last := r.Forgot + secs(pastLife)
	if r.PINs != nil {
		last = max(last, r.PINs.Day+secs(pinDay))
		if p := r.PINs.Live; p != nil {
			last = max(last, p.Expires+secs(pastLife)) // as for a link
		}
	}
	for _, p := range r.Past {
		last = max(last, p.At+secs(pastLife))
	}
	for _, k := range r.Known {
		last = max(last, k.Used+secs(knownLife))
	}
	for _, l := range r.Links {
		last = max(last, l.Expires+secs(pastLife)) // it will be remembered
	}
	for _, s := range r.Sessions {
		last = max(last, s.Dead, s.Ended+secs(endedLife))
	}
	return time.Unix(last+1, 0)
}

// prune moves what is over into memory and forgets what is long over.
func (r *Record) prune(now time.Time) {
	t := now.Unix()
	r.Links = keep(r.Links, func(l Link) bool {
		if t < l.Expires {
			return true
		}
		r.remember(Past{Hash: l.Hash, State: Expired, At: l.Expires, Life: l.Expires - l.Made})
		return false
	})
	if c := r.PINs; c != nil && c.Live != nil && t >= c.Live.Expires {
		r.retirePIN(now, Expired)
	}
	r.Past = keep(r.Past, func(p Past) bool { return t < p.At+secs(pastLife) })
	r.forget(len(r.Past) - maxPast)
	for i := range r.Past {
		if p := &r.Past[i]; t >= p.At+secs(repeatLife) {
			p.Nonce, p.Session = "", "" // good for nothing any more
		}
	}
	r.Known = keep(r.Known, func(k Known) bool { return t < k.Used+secs(knownLife) })
	r.Known = newest(r.Known, maxKnown)
	for i := range r.Sessions {
		r.Sessions[i].lapse(now)
	}
	r.Sessions = keep(r.Sessions, func(s Session) bool { return s.Ended == 0 || t < s.Ended+secs(endedLife) })
	if c := r.PINs; c != nil && c.Live == nil && c.Row == 0 && c.newDay(now) {
		r.PINs = nil
	}
}

func (r *Record) remember(p Past) {
	if len(p.ReturnTo) > 128 {
		p.ReturnTo = "" // memory is small; the start page will do
	}
	r.Past = append(r.Past, p)
}

// forget drops the n oldest memories.
func (r *Record) forget(n int) {
	for ; n > 0; n-- {
		r.Forgot = max(r.Forgot, r.Past[0].At)
		r.Past = r.Past[1:]
	}
}

// clip keeps what people read of a string within n bytes.
func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}

func secs(d time.Duration) int64 { return int64(d / time.Second) }

// keep is slices.DeleteFunc the other way round, leaving nil for nothing.
func keep[T any](s []T, ok func(T) bool) []T {
	var out []T
	for _, v := range s {
		if ok(v) {
			out = append(out, v)
		}
	}
	return out
}

func newest[T any](s []T, n int) []T { return s[max(0, len(s)-n):] }
