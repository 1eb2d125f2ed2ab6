// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"strconv"
	"time"
)

const (
	usualPage = 50
	maxPage   = 500
)

// ErrCursor is returned by List for a cursor that is none.
var ErrCursor = errors.New("this cursor is none")

// List returns the events that the filter picks, the newest first, and the cursor
// of the next page, which is empty after the last. It reads the store, and then
// the files for what is older. An error that it returns wraps store.ErrUnknown, is
// ErrCursor, or is about a file that cannot be read.
func (c *Chain) List(ctx context.Context, f Filter) ([]Event, string, error) {
	p, err := newPage(f)
	if err != nil {
		return nil, "", err
	}
	h, err := c.head(ctx)
	if err != nil {
		return nil, "", err
	}
	reached := int64(0) // the oldest event that the store had
	for n := h.N + 1; n > 0; n-- {
		// An import fills hundreds of pieces with two kinds of events, and a client's page
		// asks for another: none of those is read twice for it.
		if m := c.remembered(n); m != nil && f.What != "" && !m.whats[f.What] {
			if reached = m.seq + 1; reached == 1 || m.before(f.Since) {
				return p.out()
			}
			continue
		}
		s, err := c.segment(ctx, n)
		if err != nil {
			return nil, "", err
		}
		if s == nil {
			if n >= h.N {
				continue // the head lags behind, or nothing is in the newest yet
			}
			break
		}
		m := &memory{ended: s.Ended}
		if s.Closed && f.What != "" {
			m = c.remember(n, s)
		}
		for i := len(s.Events) - 1; i >= 0 && !p.done(); i-- {
			p.offer(s.Events[i])
		}
		reached = s.Seq + 1
		if p.done() || reached == 1 || m.before(f.Since) {
			return p.out()
		}
	}
	if c.files != nil && reached != 1 {
		if err := c.files.older(ctx, p, reached); err != nil {
			return nil, "", err
		}
	}
	return p.out()
}

// before reports whether all of a piece was appended before a time that is not zero.
func (m *memory) before(t time.Time) bool { return !t.IsZero() && m.ended < t.UnixMilli() }

// page gathers events, the newest first.
type page struct {
	f      Filter
	before int64 // only events before this one
	found  []Event
}

func newPage(f Filter) (*page, error) {
	switch {
	case f.Limit <= 0:
		f.Limit = usualPage
	case f.Limit > maxPage:
		f.Limit = maxPage
	}
	p := &page{f: f, before: 1 << 62}
	if f.Cursor != "" {
		var err error
		if p.before, err = strconv.ParseInt(f.Cursor, 10, 64); err != nil || p.before < 1 {
			return nil, ErrCursor
		}
	}
	return p, nil
}

// done reports whether the page is full, and one more that shows that there are
// others.
func (p *page) done() bool { return len(p.found) > p.f.Limit }

func (p *page) offer(ev Event) {
	if ev.Seq < p.before && p.f.picks(ev) {
		p.found = append(p.found, ev)
	}
}

func (p *page) out() ([]Event, string, error) {
	if !p.done() {
		return p.found, "", nil
	}
	p.found = p.found[:p.f.Limit]
	return p.found, strconv.FormatInt(p.found[p.f.Limit-1].Seq, 10), nil
}

func (f Filter) picks(ev Event) bool {
	is := func(want, has string) bool { return want == "" || want == has }
	in := func(t time.Time) bool {
		return (f.Since.IsZero() || !t.Before(f.Since)) && (f.Until.IsZero() || t.Before(f.Until))
	}
	return is(f.Client, ev.Client) && is(f.By, ev.By) && is(f.What, ev.What) && in(ev.At)
}
