// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import "context"

// Passage says that a request came through a gate, and whether that gate knew
// whose it was. Handlers behind a gate may take a request's identity from
// elsewhere, and must be able to tell the gate's clients from their own people.
type Passage struct {
	// Gate is the gate's name.
	Gate string
	// SignedIn reports whether the gate let the request through as one of a
	// client; if not, it was for a public path.
	SignedIn bool
}

// Passages lists the gates that a request came through, the last one first. It
// is nil if there was none. The list is a part of the context alone: nothing
// that a request carries can add to it or take from it.
func Passages(ctx context.Context) []Passage {
	var all []Passage
	p, _ := ctx.Value(passedKey{}).(*passed)
	for ; p != nil; p = p.before {
		all = append(all, p.Passage)
	}
	return all
}

// passed is a context that remembers one passage more. It is a type of its own,
// and not context.WithValue, because every request that is let through has one.
type passed struct {
	context.Context
	Passage
	before *passed
}

type passedKey struct{}

// withPassage returns ctx with one passage more.
func withPassage(ctx context.Context, p Passage) context.Context {
	before, _ := ctx.Value(passedKey{}).(*passed)
	return &passed{ctx, p, before}
}

// Value implements context.Context.
func (p *passed) Value(key any) any {
	if key == (passedKey{}) {
		return p
	}
	return p.Context.Value(key)
}
