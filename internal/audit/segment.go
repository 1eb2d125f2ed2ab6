// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/portalgate/portalgate/internal/store"
)

// The chain lies in the store in pieces, each under a key of its own, so that one
// compare-and-swap appends to it:
//
//   - "audit/head" says which piece is written to, and what it continues. It only
//     ever goes forward, and may lag behind by one.
//   - "audit/<n>" is a piece. Once it is closed it never changes again.
//
// A piece is closed, then the head moved on, then the closed piece given its end:
// what the next one continues is known for as long as anybody may ask.
const (
	segmentEvents = 128
	segmentBytes  = 32 << 10
	segmentAge    = 24 * time.Hour

	// StoreLife is how long the store keeps an event at least.
	StoreLife = 90 * 24 * time.Hour
)

// segment is a piece of the chain. Times are Unix milliseconds of the store.
type segment struct {
	Began  int64   `json:"b"` // when it was made
	Ended  int64   `json:"t"` // when it was last appended to
	Seq    int64   `json:"s"` // of the event before its first
	Prev   string  `json:"p"` // and that one's hash
	Closed bool    `json:"c,omitempty"`
	Events []Event `json:"e"`
}

// head says where a piece is and what it continues.
type head struct {
	N    int64  `json:"n"`
	Seq  int64  `json:"s"`
	Prev string `json:"p"`
}

const headKey = "audit/head"

func segmentKey(n int64) string { return "audit/" + strconv.FormatInt(n, 10) }

// end is the last event's number and hash.
func (s *segment) end() (seq int64, hash string) {
	if n := len(s.Events); n > 0 {
		return s.Events[n-1].Seq, s.Events[n-1].Hash
	}
	return s.Seq, s.Prev
}

func (s *segment) full(size int, now time.Time) bool {
	return len(s.Events) >= segmentEvents || size >= segmentBytes || len(s.Events) > 0 && now.UnixMilli()-s.Began > segmentAge.Milliseconds()
}

// decode reads what lies under a key. It was sealed, so what does not decode is
// a fault of ours: never taken for nothing.
func decode(v store.Value, into any) error {
	if err := json.Unmarshal(v.Data, into); err != nil {
		return fmt.Errorf("%w: decoding the audit log: %v", store.ErrUnknown, err)
	}
	return nil
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic("audit: " + err.Error()) // plain data always encodes
	}
	return data
}

// segment returns a piece, or nil if there is none (any more).
func (c *Chain) segment(ctx context.Context, n int64) (*segment, error) {
	if n < 1 {
		return nil, nil
	}
	v, err := c.st.Get(ctx, segmentKey(n))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := new(segment)
	return s, decode(v, s)
}

func (c *Chain) head(ctx context.Context) (head, error) {
	h := head{N: 1}
	v, err := c.st.Get(ctx, headKey)
	if errors.Is(err, store.ErrNotFound) {
		return h, nil
	}
	if err != nil {
		return h, err
	}
	return h, decode(v, &h)
}

// advance moves the head behind a closed piece, and then gives that its end.
func (c *Chain) advance(ctx context.Context, n int64, s *segment) (head, error) {
	h := head{N: n + 1}
	h.Seq, h.Prev = s.end()
	err := c.st.Update(ctx, headKey, func(_ time.Time, old store.Value) (store.Value, error) {
		var was head
		if old.Data != nil {
			if err := decode(old, &was); err != nil {
				return store.Value{}, err
			}
		}
		if was.N >= h.N {
			return store.Value{}, store.ErrUnchanged
		}
		return store.Value{Data: encode(h)}, nil
	})
	if err != nil {
		return h, err
	}
	return h, c.st.Update(ctx, segmentKey(n), func(_ time.Time, old store.Value) (store.Value, error) {
		if old.Data == nil || !old.Expires.IsZero() {
			return store.Value{}, store.ErrUnchanged
		}
		return store.Value{Data: old.Data, Expires: time.UnixMilli(s.Ended).Add(StoreLife)}, nil
	})
}
