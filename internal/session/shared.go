// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"strings"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/directory"
)

// sharedLife is how long a copy of a record serves where other gates change the
// same store: what a feed could not tell is over after that.
const sharedLife = 5 * time.Second

// Share says that other processes change the store too. It is called before
// anything else.
func (rs *Records) Share() { rs.cache.life = sharedLife }

// Changed takes up that another process changed the value of key, or that
// nobody knows what changed, if key is empty: copies are dropped, and what is
// open in a session that has ended is closed soon after. It waits for nothing:
// whoever tells has more to tell.
func (rs *Records) Changed(changed string, dir directory.Directory, lt access.Lifetimes) {
	tag, ok := strings.CutPrefix(changed, key(""))
	switch {
	case changed == "":
		rs.cache.clear()
		rs.doubt() // the store may be another one now
		tag = ""
	case !ok || !IsTag(tag):
		return
	default:
		rs.cache.drop(tag)
	}
	if rs.streams.has(tag) {
		rs.soon(rs.looks, job{"look " + tag, func(ctx context.Context) { rs.sweep(ctx, tag, dir, lt) }})
	}
}
