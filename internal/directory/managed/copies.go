// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package managed

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/portalgate/portalgate/internal/store"
)

// copyLife is how long a copy of a drawer serves where other gates change the
// same store: what a feed could not tell is over after that.
const copyLife = 5 * time.Second

// hands is how many drawers are read or written at once.
const hands = 32

// copies are the drawers that were read. Where only this process changes the
// store they are as good as the store.
type copies [drawers]slot

type slot struct {
	mu sync.Mutex
	d  *drawer   // nil: never read
	at time.Time // when it was so; zero is that it may be otherwise by now
	// gen counts the changes. What was read is kept only if there was none
	// meanwhile.
	gen uint64
}

func (m *Directory) name(i int) string { return m.gate + "/clients/" + strconv.Itoa(i) }

// look returns a drawer: as it is now, or as it was a short while ago.
func (m *Directory) look(ctx context.Context, p *place, i int, now bool) (*drawer, error) {
	s := &m.copies[i]
	s.mu.Lock()
	d, at, gen := s.d, s.at, s.gen
	s.mu.Unlock()
	if !at.IsZero() && (!p.shared || !now && p.now().Sub(at).Abs() < copyLife) {
		return d, nil
	}
	asked := p.now()
	v, err := p.Get(ctx, m.name(i))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if d == nil || d.sum != sha256.Sum256(v.Data) {
		if d, err = decode(v.Data); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gen == gen {
		s.d, s.at = d, asked
	}
	return d, nil
}

// change changes a drawer. f gets the store's time and a drawer of its own, and
// may be called more than once; an error from it leaves the drawer as it was.
func (m *Directory) change(ctx context.Context, p *place, i int, f func(now time.Time, d *drawer) error) error {
	s := &m.copies[i]
	s.mu.Lock()
	gen, asked := s.gen, p.now()
	s.mu.Unlock()
	var after []byte
	err := p.Update(ctx, m.name(i), func(now time.Time, old store.Value) (store.Value, error) {
		after = nil
		d, err := decode(old.Data)
		if err != nil {
			return store.Value{}, err
		}
		if err := f(now, d); err != nil {
			return store.Value{}, err
		}
		after = encode(d)
		return store.Value{Data: after}, nil
	})
	if after == nil { // nothing was to be written
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && s.gen == gen {
		if s.d, err = decode(after); err != nil {
			return err
		}
		s.at = asked
	} else {
		s.at = time.Time{} // it may have been written all the same, or been changed since
	}
	s.gen++
	return err
}

// Changed takes up that another process changed the value of key, or that nobody
// knows what changed, if key is empty.
func (m *Directory) Changed(key string) {
	number, ok := strings.CutPrefix(key, m.gate+"/clients/")
	i, err := strconv.Atoi(number)
	switch {
	case key == "":
		for i := range m.copies {
			m.copies[i].doubt()
		}
	case ok && err == nil && 0 <= i && i < drawers:
		m.copies[i].doubt()
	}
}

func (s *slot) doubt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = time.Time{}
	s.gen++
}

// each does something with some of the drawers, many at once, until it fails for
// one of them.
func each(ctx context.Context, these []int, do func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(hands)
	for _, i := range these {
		g.Go(func() error {
			if ctx.Err() != nil {
				return fmt.Errorf("%w: %w", store.ErrUnknown, context.Cause(ctx))
			}
			return do(ctx, i)
		})
	}
	return g.Wait()
}
