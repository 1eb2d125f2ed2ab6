// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/limit"
)

// lifetimes returns the session lifetimes with their defaults.
func (s Session) lifetimes() (access.Lifetimes, error) {
	l := access.Lifetimes{
		Idle:     time.Duration(cmp.Or(s.Idle, caddy.Duration(30*time.Minute))),
		Absolute: time.Duration(cmp.Or(s.Absolute, caddy.Duration(12*time.Hour))),
	}
	l.SharedIdle = cmp.Or(time.Duration(s.SharedIdle), min(10*time.Minute, l.Idle))
	l.SharedAbsolute = cmp.Or(time.Duration(s.SharedAbsolute), min(time.Hour, l.Absolute))
	switch shortest := min(l.Idle, l.Absolute, l.SharedIdle, l.SharedAbsolute); {
	case shortest < time.Minute:
		return l, fmt.Errorf("session: %s is too short to do anything in; write 1m or more", short(shortest))
	case l.Idle > l.Absolute:
		return l, fmt.Errorf("session: idle %s is longer than absolute %s; write idle 30m and absolute 12h, or the like", short(l.Idle), short(l.Absolute))
	case l.SharedIdle > l.SharedAbsolute:
		return l, fmt.Errorf("session: shared has %s without activity but %s at most; write the shorter time first: shared 10m 1h", short(l.SharedIdle), short(l.SharedAbsolute))
	case l.SharedIdle > l.Idle || l.SharedAbsolute > l.Absolute:
		return l, fmt.Errorf("session: shared %s %s is longer than elsewhere (%s and %s); on a shared computer it should be shorter: shared 10m 1h",
			short(l.SharedIdle), short(l.SharedAbsolute), short(l.Idle), short(l.Absolute))
	}
	return l, nil
}

// rates returns the limits with their defaults.
func (l Limits) rates() (gate.Limits, error) {
	var rates gate.Limits
	for _, r := range []struct {
		name  string
		set   *Rate
		into  *limit.Rate
		other limit.Rate
	}{
		{"requests", l.Requests, &rates.Requests, limit.Rate{Count: 60, Per: 10 * time.Minute}},
		{"unknown", l.Unknown, &rates.Unknown, limit.Rate{Count: 5, Per: 15 * time.Minute}},
		{"mails", l.Mails, &rates.Mails, limit.Rate{Count: 10, Per: 24 * time.Hour}},
	} {
		*r.into = r.other
		if r.set == nil {
			continue
		}
		*r.into = limit.Rate{Count: r.set.Count, Per: time.Duration(r.set.Per)}
		if r.into.Count < 1 || r.into.Per < time.Second {
			return rates, fmt.Errorf("limits: %s allows %d in %s; write at least 1 in 1s, such as: %s %d %s",
				r.name, r.into.Count, short(r.into.Per), r.name, r.other.Count, short(r.other.Per))
		}
	}
	return rates, nil
}

// short writes a duration as a Caddyfile would: 10m, not 10m0s.
func short(d time.Duration) string {
	s := strings.TrimSuffix(d.String(), "m0s")
	if s == d.String() {
		return s
	}
	if h, ok := strings.CutSuffix(s, "h0"); ok {
		return h + "h"
	}
	return s + "m"
}
