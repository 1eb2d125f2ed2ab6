// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/portalgate/portalgate/internal/store"
)

const (
	// Life is how long events stay in the store. What is older is on disk.
	Life = 90 * 24 * time.Hour

	// perPage is how many events a page holds. A page is written anew with each
	// event, so it is small; there are not many, so that reading back is quick.
	perPage = 128
)

// Chain is the events of one gate in its store. It may be used concurrently,
// and by several gates that share a store: they append to one chain.
//
// It is written as pages, one value each, and every append is one
// compare-and-swap of the last page. A full page is never changed again but to
// let it expire, so no event can be appended to two pages.
type Chain struct {
	st store.Store
}

// NewChain returns the chain that is in st. What st keeps should be sealed.
func NewChain(st store.Store) *Chain { return &Chain{st} }

// page is a part of the chain.
type page struct {
	// Number counts pages from 1.
	Number int64 `json:"n"`
	// Before and Prev are the Seq and the Hash of the last event of the page
	// before.
	Before int64  `json:"b"`
	Prev   string `json:"p"`
	// Begun is when its first event was appended, in Unix seconds.
	Begun  int64   `json:"t"`
	Events []Event `json:"e"`
}

func (p *page) full() bool { return len(p.Events) >= perPage }

// last returns the Seq and Hash of the newest event up to the end of the page.
func (p *page) last() (int64, string) {
	if n := len(p.Events); n > 0 {
		return p.Events[n-1].Seq, p.Events[n-1].Hash
	}
	return p.Before, p.Prev
}

func (p *page) has(id string) bool {
	return slices.ContainsFunc(p.Events, func(e Event) bool { return e.ID == id })
}

const newest = "audit/newest" // holds the number of a page near the end

func keyOf(number int64) string { return "audit/" + strconv.FormatInt(number, 10) }

// Append adds events in their order, each once however often its ID is given. It
// sets Seq, Prev and Hash. An error wraps store.ErrUnknown: some may have been
// added, and giving them again is safe.
func (c *Chain) Append(ctx context.Context, events ...Event) error {
	fresh, err := c.unknown(ctx, events)
	if err != nil {
		return fmt.Errorf("appending to the audit chain: %w", err)
	}
	for len(fresh) > 0 {
		if fresh, err = c.appendSome(ctx, fresh); err != nil {
			return fmt.Errorf("appending to the audit chain: %w", err)
		}
	}
	return nil
}

// unknown returns those of the events that no full page has. An event is appended
// after it happened, so only pages which were begun since, and the one before
// those, can have it.
func (c *Chain) unknown(ctx context.Context, events []Event) ([]Event, error) {
	if len(events) == 0 {
		return nil, nil
	}
	oldest := slices.MinFunc(events, func(a, b Event) int { return a.At.Compare(b.At) }).At.Unix()
	at, err := c.end(ctx)
	if err != nil {
		return nil, err
	}
	fresh := slices.Clone(events)
	had := make(map[string]bool)
	for n := at.Number; n > 0; n-- {
		p, err := c.page(ctx, n)
		if errors.Is(err, store.ErrNotFound) {
			break
		}
		if err != nil {
			return nil, err
		}
		for _, e := range p.Events {
			had[e.ID] = true
		}
		// The clocks of store and gates differ a little, by less than a minute.
		if len(p.Events) > 0 && p.Begun < oldest-60 {
			break
		}
	}
	return slices.DeleteFunc(fresh, func(e Event) bool { return had[e.ID] }), nil
}

// appendSome appends what the last page has room for, and returns the rest.
func (c *Chain) appendSome(ctx context.Context, events []Event) ([]Event, error) {
	at, err := c.end(ctx)
	if err != nil {
		return nil, err
	}
	number := at.Number
	if number == 0 || at.full() {
		number++
	}
	before, prev := at.last()
	rest := events
	var filled *page
	err = c.st.Update(ctx, keyOf(number), func(now time.Time, old store.Value) (store.Value, error) {
		p := page{Number: number, Before: before, Prev: prev, Begun: now.Unix()}
		if old.Data != nil {
			if err := json.Unmarshal(old.Data, &p); err != nil {
				return store.Value{}, errors.Join(store.ErrUnknown, err)
			}
		}
		rest, filled = events, nil
		for len(rest) > 0 && !p.full() {
			e := rest[0]
			rest = rest[1:]
			if p.has(e.ID) {
				continue
			}
			seq, hash := p.last()
			e.Seq, e.Prev, e.At = seq+1, hash, e.At.UTC().Truncate(time.Millisecond)
			e.Hash = e.hash()
			p.Events = append(p.Events, e)
		}
		if len(rest) == len(events) {
			return store.Value{}, store.ErrUnchanged // somebody else has filled it
		}
		if p.full() {
			filled = &p
		}
		data, err := json.Marshal(p)
		return store.Value{Data: data}, err
	})
	if err != nil {
		return nil, err
	}
	if filled != nil {
		// If this is not done the page is found all the same, and kept for ever.
		return rest, c.turn(ctx, filled)
	}
	return rest, nil
}

// turn begins the page after one that is full, and lets the full one expire: not
// before, or the hash it ends with could be lost.
func (c *Chain) turn(ctx context.Context, full *page) error {
	before, prev := full.last()
	next := page{Number: full.Number + 1, Before: before, Prev: prev}
	err := c.st.Update(ctx, keyOf(next.Number), func(now time.Time, old store.Value) (store.Value, error) {
		if old.Data != nil {
			return store.Value{}, store.ErrUnchanged
		}
		next.Begun = now.Unix()
		data, err := json.Marshal(next)
		return store.Value{Data: data}, err
	})
	if err != nil {
		return err
	}
	err = c.st.Update(ctx, newest, func(_ time.Time, old store.Value) (store.Value, error) {
		if n, _ := strconv.ParseInt(string(old.Data), 10, 64); n >= next.Number {
			return store.Value{}, store.ErrUnchanged
		}
		return store.Value{Data: strconv.AppendInt(nil, next.Number, 10)}, nil
	})
	if err != nil {
		return err
	}
	return c.st.Update(ctx, keyOf(full.Number), func(now time.Time, old store.Value) (store.Value, error) {
		if old.Data == nil || !old.Expires.IsZero() {
			return store.Value{}, store.ErrUnchanged
		}
		return store.Value{Data: old.Data, Expires: now.Add(Life)}, nil
	})
}

// end returns the last page; its zero value before the first event.
func (c *Chain) end(ctx context.Context) (*page, error) {
	var n int64 = 1
	v, err := c.st.Get(ctx, newest)
	switch {
	case err == nil:
		if n, err = strconv.ParseInt(string(v.Data), 10, 64); err != nil || n < 1 {
			return nil, fmt.Errorf("%w: the number of the newest page is none", store.ErrUnknown)
		}
	case !errors.Is(err, store.ErrNotFound):
		return nil, err
	}
	last := new(page)
	for ; ; n++ { // the number may be behind
		p, err := c.page(ctx, n)
		if errors.Is(err, store.ErrNotFound) {
			if last.Number == 0 && n > 1 {
				return nil, fmt.Errorf("%w: page %d of the audit chain is gone", store.ErrUnknown, n)
			}
			return last, nil
		}
		if err != nil {
			return nil, err
		}
		if last = p; !p.full() {
			return last, nil
		}
	}
}

// page returns a page, or store.ErrNotFound.
func (c *Chain) page(ctx context.Context, number int64) (*page, error) {
	v, err := c.st.Get(ctx, keyOf(number))
	if err != nil {
		return nil, err
	}
	var p page
	if err := json.Unmarshal(v.Data, &p); err != nil || p.Number != number {
		return nil, fmt.Errorf("%w: page %d of the audit chain cannot be read", store.ErrUnknown, number)
	}
	return &p, nil
}

// List returns events, newest first, and the cursor of the next page, which is
// empty after the last. It knows what is in the store: see Life.
func (c *Chain) List(ctx context.Context, f Filter) (found []Event, next string, err error) {
	limit := f.Most()
	below := int64(1) << 62
	if f.Cursor != "" {
		if below, err = strconv.ParseInt(f.Cursor, 10, 64); err != nil || below < 1 {
			return nil, "", ErrCursor
		}
	}
	for p, err := range c.back(ctx) {
		if err != nil {
			return nil, "", err
		}
		if p.Before+1 >= below {
			continue
		}
		for _, e := range slices.Backward(p.Events) {
			if e.Seq >= below || !f.Picks(e) {
				continue
			}
			if len(found) == limit {
				return found, strconv.FormatInt(found[limit-1].Seq, 10), nil
			}
			found = append(found, e)
		}
		// Events come to the chain soon after they happen, in a day at most.
		if !f.Since.IsZero() && time.Unix(p.Begun, 0).Before(f.Since) {
			break
		}
	}
	return found, "", nil
}

// ErrCursor is returned by List for a cursor that it has not given.
var ErrCursor = errors.New("that is no place in the list")

// back goes through the pages, newest first.
func (c *Chain) back(ctx context.Context) func(yield func(*page, error) bool) {
	return func(yield func(*page, error) bool) {
		p, err := c.end(ctx)
		for {
			if err != nil {
				yield(nil, err)
				return
			}
			if p.Number == 0 || !yield(p, nil) || p.Number == 1 {
				return
			}
			p, err = c.page(ctx, p.Number-1)
			if errors.Is(err, store.ErrNotFound) {
				return // expired
			}
		}
	}
}

// Oldest returns the Seq of the oldest event that is in the store, or that would
// be the next if there is none.
func (c *Chain) Oldest(ctx context.Context) (int64, error) {
	oldest := int64(1)
	for p, err := range c.back(ctx) {
		if err != nil {
			return 0, err
		}
		oldest = p.Before + 1
	}
	return oldest, nil
}

// Meets returns the Seq of an event if the chain goes on from it, and 0 if it does
// not: then it has to be read from its beginning.
func (c *Chain) Meets(ctx context.Context, e Event) (int64, error) {
	for p, err := range c.back(ctx) {
		if err != nil {
			return 0, err
		}
		newest, _ := p.last()
		switch {
		case newest < e.Seq: // it was set back
			return 0, nil
		case p.Before > e.Seq:
			continue
		case p.Before == e.Seq:
			if p.Prev == e.Hash {
				return e.Seq, nil
			}
			return 0, nil
		case p.Events[e.Seq-p.Before-1].Hash == e.Hash:
			return e.Seq, nil
		}
		return 0, nil
	}
	return 0, nil
}

// Since returns up to max events after the one with a Seq, oldest first. If some
// of those are not in the store any more it begins with the oldest that is.
func (c *Chain) Since(ctx context.Context, seq int64, max int) ([]Event, error) {
	var pages []*page
	for p, err := range c.back(ctx) {
		if err != nil {
			return nil, err
		}
		pages = append(pages, p)
		if p.Before <= seq {
			break
		}
	}
	var all []Event
	for _, p := range slices.Backward(pages) {
		for _, e := range p.Events {
			if e.Seq > seq && len(all) < max {
				all = append(all, e)
			}
		}
	}
	return all, nil
}
