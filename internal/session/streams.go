// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/directory"
)

// A Stream is a request that is under way in a session: a WebSocket, an event
// stream, a download, a page. When the session ends, so does the request's
// context, and with it both sides of the connection.
type Stream struct {
	of   *streams
	tag  string
	hash access.Hash
	long bool
	end  context.CancelFunc

	// Guarded by the shard's mu:
	prev, next *Stream // in the list of its tag
	ended      bool
}

// streams are the requests under way, by the tag of their client. The zero
// value is ready for use.
type streams struct {
	sh    [shards]streamShard
	long  atomic.Int64 // those under way that stay open by nature
	ended atomic.Int64 // those of all kinds that ended with their session
}

type streamShard struct {
	mu sync.Mutex

	byTag map[string]*Stream // the newest of each list
}

// shard returns where the streams of a tag are; a tag is a keyed hash, so its
// characters are as good as random.
func (ss *streams) shard(tag string) *streamShard { return &ss.sh[(tag[0]+tag[1])%shards] }

// Follow returns a context for a request of v's that ends when v's session
// does, and the Stream to be closed when the request is done. long says that
// it is one that stays open by nature.
func (rs *Records) Follow(ctx context.Context, v *Visitor, long bool) (context.Context, *Stream) {
	ctx, end := context.WithCancel(ctx)
	s := &Stream{of: &rs.streams, tag: v.Tag, hash: v.Session.Hash, long: long, end: end}
	rs.streams.add(s)
	// The session may have ended since v was found. Whoever ends one replaces
	// the copy of its record before looking for streams, so one of us sees the
	// other. A copy that was merely dropped is the sweep's business, and so is
	// one that does not know the session where other gates open some: it may be
	// the older of two.
	if e, _ := rs.cache.get(v.Tag); e != nil && e != v.entry && (rs.cache.life == 0 || e.session(s.hash) != nil) {
		rs.streams.settle(v.Tag, e.rec)
	}
	return ctx, s
}

// Close says that the request is done.
func (s *Stream) Close() {
	s.of.remove(s)
	s.end()
}

func (ss *streams) add(s *Stream) {
	if s.long {
		ss.long.Add(1)
	}
	sh := ss.shard(s.tag)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.byTag == nil {
		sh.byTag = make(map[string]*Stream)
	}
	if s.next = sh.byTag[s.tag]; s.next != nil {
		s.next.prev = s
	}
	sh.byTag[s.tag] = s
}

func (ss *streams) remove(s *Stream) {
	if s.long {
		ss.long.Add(-1)
	}
	sh := ss.shard(s.tag)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s.next != nil {
		s.next.prev = s.prev
	}
	switch {
	case s.prev != nil:
		s.prev.next = s.next
	case s.next != nil:
		sh.byTag[s.tag] = s.next
	default:
		delete(sh.byTag, s.tag)
	}
}

// settle ends the requests under tag whose sessions have been ended in the
// record as it is now; nil is none. That their time is up is the sweep's
// business.
func (ss *streams) settle(tag string, r *access.Record) {
	ss.endIf(tag, func(s *Stream) bool {
		if r == nil {
			return true
		}
		in, ok := r.Session(s.hash)
		return !ok || in.Ended != 0
	})
}

func (ss *streams) endIf(tag string, over func(*Stream) bool) {
	sh := ss.shard(tag)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for s := sh.byTag[tag]; s != nil; s = s.next {
		if !s.ended && over(s) {
			s.ended = true
			ss.ended.Add(1)
			s.end()
		}
	}
}

// openIn names a session in which requests are under way.
type openIn struct {
	tag  string
	hash access.Hash
}

// sessions returns those under a tag, or all if it is empty.
func (ss *streams) sessions(tag string) map[openIn]bool {
	all := make(map[openIn]bool)
	add := func(s *Stream) {
		for ; s != nil; s = s.next {
			all[openIn{s.tag, s.hash}] = true
		}
	}
	for i := range ss.sh {
		sh := &ss.sh[i]
		sh.mu.Lock()
		if tag != "" {
			add(sh.byTag[tag])
		} else {
			for _, s := range sh.byTag {
				add(s)
			}
		}
		sh.mu.Unlock()
	}
	return all
}

// has reports whether requests are under way under a tag, or at all if it is
// empty.
func (ss *streams) has(tag string) bool {
	if tag == "" {
		return true // nearly always
	}
	sh := ss.shard(tag)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.byTag[tag] != nil
}

// Sweep ends the requests under way whose session's time is up, or whose
// client is not on file any more. Where nobody can tell, they go on: unknown
// is not "signed out".
func (rs *Records) Sweep(ctx context.Context, dir directory.Directory, lt access.Lifetimes) {
	rs.sweep(ctx, "", dir, lt)
}

// atOnce is how many sessions a sweep looks at beside one another: each may have
// to be read from the store.
const atOnce = 32

// sweep is Sweep for what is under a tag, all if it is empty.
func (rs *Records) sweep(ctx context.Context, tag string, dir directory.Directory, lt access.Lifetimes) {
	var running sync.WaitGroup
	room := make(chan struct{}, atOnce)
	for o := range rs.streams.sessions(tag) {
		room <- struct{}{}
		running.Go(func() {
			defer func() { <-room }()
			if v, err := rs.visitor(ctx, o.tag, o.hash, dir, lt); err == nil && !v.SignedIn() {
				rs.streams.endIf(o.tag, func(s *Stream) bool { return s.hash == o.hash })
			}
		})
	}
	running.Wait()
}

// EndStreams ends what stays open by nature at once, and every other request
// that is under way after grace, for then nobody will be there to end it with
// its session.
func (rs *Records) EndStreams(grace time.Duration) {
	rs.streams.endAll(func(s *Stream) bool { return s.long })
	time.AfterFunc(grace, func() { rs.streams.endAll(func(*Stream) bool { return true }) })
}

func (ss *streams) endAll(which func(*Stream) bool) {
	for o := range ss.sessions("") {
		ss.endIf(o.tag, which)
	}
}

// Streams counts the WebSockets and event streams that are open, and the
// requests of all kinds that ended because their session did.
func (rs *Records) Streams() (open, ended int) {
	return int(rs.streams.long.Load()), int(rs.streams.ended.Load())
}
