// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"sync/atomic"
	"time"
)

// Hourly is for what is worth saying, but not with every request that shows
// it. It may be used concurrently.
type Hourly struct{ said atomic.Int64 }

// Due reports whether it was not due within the last hour.
func (h *Hourly) Due(now time.Time) bool {
	said := h.said.Load()
	return !within(said, now) && h.said.CompareAndSwap(said, now.UnixNano())
}

// Within reports whether it was due within the last hour.
func (h *Hourly) Within(now time.Time) bool { return within(h.said.Load(), now) }

func within(said int64, now time.Time) bool {
	return said != 0 && now.Sub(time.Unix(0, said)).Abs() < time.Hour
}
