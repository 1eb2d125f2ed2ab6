// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package streamtest

import (
	"fmt"
	"testing"

	"github.com/portalgate/portalgate/internal/testgate"
)

// TestH10_EndedAfterReload reloads the configuration under open streams, a
// broken one as well: they stay, and the session they belong to still ends
// them. They were opened through a configuration that is gone by then.
func TestH10_EndedAfterReload(t *testing.T) {
	timed(t)
	n := sized(10, 2)
	up := newUpstream(t)
	o := options(up, n+1)
	g := testgate.Start(t, o)
	here := signIn(g, 0, n+1)
	f := make(figures)
	stay := dialAll(t, g, up, "stay", plan{cookies: here[n].Cookies()})
	for i := range n {
		streams := dialAll(t, g, up, fmt.Sprint("before", i), plan{cookies: here[i].Cookies()})
		o.Handler = fmt.Sprintf("public /assets/* /reload%d", i)
		if err := g.Reload(g.Caddyfile(o)); err != nil {
			t.Fatal(err)
		}
		broken := o
		broken.Gate = "nonsense"
		if err := g.Reload(g.Caddyfile(broken)); err == nil {
			t.Error("nonsense was loaded")
		}
		streams = append(streams, dialAll(t, g, up, fmt.Sprint("after", i), plan{cookies: here[i].Cookies()})...)
		for _, st := range streams {
			st.alive(t)
		}
		ended := here[i].Press(here[i].Get("/sign-in/sign-out"), "/sign-in/sign-out")
		closed(t, f, streams, ended)
	}
	for _, st := range stay {
		st.alive(t)
	}
	f.report(t, "opened before or after a reload, closed", soon())
}
