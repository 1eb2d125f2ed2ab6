// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"cmp"
	"context"

	"github.com/portalgate/portalgate/internal/access"
)

type causeKey struct{}

// Acting returns a context in which c is the cause of what is changed: the events
// of that say so. What c leaves empty stays as it was.
func Acting(ctx context.Context, c access.Cause) context.Context {
	was := CauseIn(ctx)
	return context.WithValue(ctx, causeKey{}, access.Cause{
		By: cmp.Or(c.By, was.By), From: cmp.Or(c.From, was.From), Note: cmp.Or(c.Note, was.Note),
	})
}

// CauseIn returns the cause of what is changed in ctx.
func CauseIn(ctx context.Context) access.Cause {
	c, _ := ctx.Value(causeKey{}).(access.Cause)
	return c
}
