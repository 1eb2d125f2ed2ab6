// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package streamtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/testgate"
)

// TestH10_Withdrawn takes clients off the list, takes their access away, or
// gives them another address, while they have everything open that can be. The
// gate looks at the file every second and lets a change come to rest first, so
// all of this takes three seconds more, and a fourth if it was about to read the
// file when that changed.
func TestH10_Withdrawn(t *testing.T) {
	t.Parallel()
	const looks = 4 * time.Second
	ways := []struct{ name, row string }{
		{"access withdrawn", "%d,%s,Client,no,yes"},
		{"row removed", ""},
		{"address changed", "%d,other-%s,Client,yes,yes"},
	}
	rounds, each := sized(34, 2), sized(2, 1)*len(ways)
	n := rounds*each + 1
	up := newUpstream(t)
	g := testgate.Start(t, options(up, n))
	here := signIn(g, 0, n)
	stay := dialAll(t, g, up, "stay", plan{cookies: here[n-1].Cookies()})
	byKind, byWay := make(figures), make(figures)
	rows := make(map[int]string)
	for round := range rounds {
		var streams [][]*stream
		for i := round * each; i < (round+1)*each; i++ {
			rows[i] = ways[i%len(ways)].row
			if rows[i] != "" {
				rows[i] = fmt.Sprintf(rows[i], 1000+i, email(i))
			}
			streams = append(streams, dialAll(t, g, up, fmt.Sprint("client", i), plan{cookies: here[i].Cookies(), quiet: round%2 == 0}))
		}
		g.Write("clients.csv", list(n, rows))
		written := time.Now()
		for i, all := range streams {
			byWay.add(ways[i%len(ways)].name, closed(t, byKind, all, written))
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	for _, st := range stay {
		st.alive(t)
	}
	byWay.report(t, "from the change of the list to the last of 8 streams closed", looks+soon())
	byKind.report(t, "from the change of the list", looks+soon())
}
