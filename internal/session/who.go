// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/store"
)

// Visitor is somebody with a session, or with what is left of one. It is
// shared: it must not be changed.
type Visitor struct {
	Tag     string
	Client  directory.Client
	Session *access.Session
	// SID names the session to the upstream and on pages; it opens nothing.
	SID string
	// AMR is how the session was opened, as an assertion says it.
	AMR []string
	// Over says why the session is over; empty means signed in.
	Over access.End

	entry *entry   // what was known of the client when this was found
	next  *Visitor // in entry.visitors
}

// ID returns the name of the session with a hash.
func ID(h access.Hash) string { return string(access.HashOf([]byte("sid " + h))) }

// SignedIn reports whether v is a client who is signed in. A nil Visitor is
// not.
func (v *Visitor) SignedIn() bool { return v != nil && v.Over == "" }

// SecretSize is the length of a session's or link's secret in bytes.
const SecretSize = 32

// Token joins a tag and a secret to what stands in a cookie or a link.
func Token(tag string, secret []byte) string {
	return tag + "." + base64.RawURLEncoding.EncodeToString(secret)
}

// TokenSize is the length of a token.
const TokenSize = TagSize + 1 + (SecretSize*8+5)/6

// ParseToken takes a token apart. Only the one string that Token makes for a
// tag and a secret is a token: no other case, padding or stray bit.
func ParseToken(s string) (tag string, secret []byte, ok bool) {
	if len(s) != TokenSize || s[TagSize] != '.' || !IsTag(s[:TagSize]) {
		return "", nil, false
	}
	secret, err := tokenEncoding.DecodeString(s[TagSize+1:])
	if err != nil || len(secret) != SecretSize {
		return "", nil, false
	}
	return s[:TagSize], secret, true
}

var tokenEncoding = base64.RawURLEncoding.Strict()

// Who returns whom a session cookie belongs to: nil if to nobody, a Visitor
// whose session may be over otherwise. An error is neither yes nor no.
//
// A client who is not on file any more, has no access or another address than
// the one the session was opened for is not signed in; the record is settled
// accordingly soon after.
func (rs *Records) Who(ctx context.Context, cookie string, dir directory.Directory, lt access.Lifetimes) (*Visitor, error) {
	tag, secret, ok := ParseToken(cookie)
	if !ok {
		return nil, nil
	}
	return rs.visitor(ctx, tag, access.HashOf(secret), dir, lt)
}

// visitor is Who, for the hash of a secret.
func (rs *Records) visitor(ctx context.Context, tag string, h access.Hash, dir directory.Directory, lt access.Lifetimes) (*Visitor, error) {
	e, err := rs.entry(ctx, tag)
	if err != nil {
		return nil, err
	}
	if v := e.visitor(h); v != nil && v.Session.Over(rs.now(), lt) == "" {
		if c, err := dir.ByID(ctx, v.Client.ID); err == nil && c == v.Client {
			return v, nil // as before, so nothing about it has to be worked out
		}
	}
	s := e.session(h)
	if s == nil && rs.cache.stale(e) { // a copy does not know who has just signed in elsewhere
		if e, err = rs.reread(ctx, tag); err != nil {
			return nil, err
		}
		s = e.session(h)
	}
	if s == nil {
		return nil, nil
	}
	// The tag may be a piece of a header, which must not be kept for it.
	v := &Visitor{
		Tag: strings.Clone(tag), Session: s, SID: ID(s.Hash), AMR: append([]string{s.Method}, strings.Fields(s.Ways)...),
		Over: s.Over(rs.now(), lt), entry: e,
	}
	if v.Over != "" {
		return v, nil
	}
	c, bound, err := rs.OnFile(ctx, dir, e.rec.Client)
	if err != nil {
		return nil, err
	}
	if !e.rec.BoundTo(e.rec.Client, bound) {
		v.Over = access.ByPractice
		rs.Settle(e.rec.Client, bound)
		return v, nil
	}
	v.Client = c
	e.keep(v)
	return v, nil
}

// session returns the session with a hash, over or not; nil if there is none.
func (e *entry) session(h access.Hash) *access.Session {
	if e.rec == nil {
		return nil
	}
	for i := range e.rec.Sessions {
		if s := &e.rec.Sessions[i]; s.Hash == h { // of a secret that was shown, so that timing tells nothing
			return s
		}
	}
	return nil
}

// visitor returns who was found signed in by the session with a hash.
func (e *entry) visitor(h access.Hash) *Visitor {
	for v := e.visitors.Load(); v != nil; v = v.next {
		if v.Session.Hash == h { // as in session
			return v
		}
	}
	return nil
}

// keep keeps v, in place of what was found before where that was otherwise.
func (e *entry) keep(v *Visitor) {
	before := e.visitors.Load()
	if before == nil || before.Client == v.Client {
		v.next = before
	}
	e.visitors.CompareAndSwap(before, v) // or the next request does
}

// OnFile returns a client and the hash of the address to which the client's
// record is to be bound: empty if the client is gone or may not sign in.
func (rs *Records) OnFile(ctx context.Context, dir directory.Directory, id string) (directory.Client, access.Hash, error) {
	c, err := dir.ByID(ctx, id)
	if errors.Is(err, directory.ErrNotFound) {
		return directory.Client{}, "", nil
	}
	if err != nil {
		return directory.Client{}, "", errors.Join(store.ErrUnknown, err)
	}
	a, err := address.Parse(c.Email)
	if err != nil || !c.Access {
		return c, "", nil
	}
	return c, rs.Address(a), nil
}

// job is work for the background.
type job struct {
	name string
	do   func(ctx context.Context)
}

// change is a job that changes a record. If it fails, the next request tries
// again.
func (rs *Records) change(name, tag string, f func(now time.Time, r *access.Record) error) {
	rs.soon(rs.later, job{name, func(ctx context.Context) { _ = rs.Update(ctx, tag, f) }})
}

// grain is how often activity in a session is written down.
const grain = time.Minute

// Active notes that a session is in use, in the background and at most once a
// minute. It never brings a session back.
func (rs *Records) Active(v *Visitor, lt access.Lifetimes) {
	if rs.now().Unix() < v.Session.Used+int64(grain/time.Second) {
		return
	}
	h := v.Session.Hash
	rs.change("active "+v.Tag+string(h), v.Tag, func(now time.Time, r *access.Record) error {
		if !r.Touch(now, h, lt, grain) {
			return store.ErrUnchanged
		}
		return nil
	})
}

// Settle is Rebind, in the background.
func (rs *Records) Settle(client string, bound access.Hash) {
	tag := rs.Tag(client)
	rs.change("settle "+tag, tag, rebind(client, bound))
}

// Rebind ends what a client's record was good for under another address or
// before access was withdrawn. bound is the hash of the address that holds
// now, empty for none.
func (rs *Records) Rebind(ctx context.Context, client string, bound access.Hash) error {
	return rs.Update(ctx, rs.Tag(client), rebind(client, bound))
}

func rebind(client string, bound access.Hash) func(time.Time, *access.Record) error {
	return func(now time.Time, r *access.Record) error {
		if r.Client == "" || !r.Bind(now, client, bound) {
			return store.ErrUnchanged
		}
		return nil
	}
}

// soon queues a job unless the same one is waiting. If there is no room it is
// dropped: activity is noted by the next request, a record that is not settled
// still lets nobody in, and what may have to be closed is looked at once a second
// anyway.
func (rs *Records) soon(queue chan job, j job) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.pending[j.name] {
		return
	}
	select {
	case queue <- j:
		rs.pending[j.name] = true
	default:
	}
}

// hands is how many work on a queue of jobs: a change may have to wait for
// replicas, and others would wait behind it.
const hands = 8

// Run does the background work until ctx is done.
func (rs *Records) Run(ctx context.Context) {
	var running sync.WaitGroup
	for range hands {
		running.Go(func() { rs.work(ctx, rs.later) })
		running.Go(func() { rs.work(ctx, rs.looks) })
	}
	running.Go(func() { rs.guard(ctx) })
	running.Wait()
}

func (rs *Records) work(ctx context.Context, queue chan job) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-queue:
			rs.mu.Lock()
			delete(rs.pending, j.name)
			rs.mu.Unlock()
			j.do(ctx)
		}
	}
}

// guard revokes again what the store may have lost.
func (rs *Records) guard(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-rs.doubted:
		case <-tick.C:
			rs.look(ctx)
		}
		rs.revokeAgain(ctx)
	}
}
