// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package streamtest

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/portalgate/portalgate/internal/testgate"
)

// TestH10_EndedOnOneClosedOnAll keeps using what was opened in a session after
// the session was ended on another connection: by signing out, from the list
// of another browser, or everywhere at once. Whoever has a stolen cookie, or
// sits at the computer where the client was before, would otherwise read on
// for as long as they like.
func TestH10_EndedOnOneClosedOnAll(t *testing.T) {
	timed(t)
	ways := []struct {
		name string
		end  func(here, there *testgate.Visitor) time.Time
	}{
		{"by sign-out", func(here, _ *testgate.Visitor) time.Time {
			return here.Press(here.Get("/sign-in/sign-out"), "/sign-in/sign-out")
		}},
		{"from another browser", func(_, there *testgate.Visitor) time.Time {
			return there.Press(there.Get("/sign-in/sessions"), "/sign-in/sessions/end")
		}},
		{"everywhere, from another browser", func(_, there *testgate.Visitor) time.Time {
			return there.Press(there.Get("/sign-in/sign-out"), "/sign-in/sign-out", "all", "1")
		}},
	}
	each := sized(67, 7)
	n := each * len(ways)
	up := newUpstream(t)
	g := testgate.Start(t, options(up, n+1))
	// A client gets one mail a minute, so the second browser comes later.
	here := signIn(g, 0, n)
	minute := time.After(time.Minute)
	other := signIn(g, n, n+1)[0]

	// What must stay: a stream of every kind of another client's and of nobody's
	// on a public path, over the same connection as some of what ends.
	one := &http2.Transport{TLSClientConfig: g.Transport().TLSClientConfig}
	stay := dialAll(t, g, up, "other", plan{cookies: other.Cookies(), via: one})
	stay = append(stay, dialAll(t, g, up, "public", plan{below: "/assets", via: one})...)
	<-minute
	there := signIn(g, 0, n)

	byKind, byWay, after := make(figures), make(figures), make(figures)
	for i := range n {
		way := ways[i%len(ways)]
		quiet := i/len(ways)%2 == 0
		s := fmt.Sprintf("trial%d", i)
		streams := dialAll(t, g, up, s, plan{cookies: here[i].Cookies(), quiet: quiet})
		p := plan{cookies: here[i].Cookies(), quiet: quiet, via: one}
		for j, k := range kinds {
			if k.h2 {
				st, err := dial(g, up, k, fmt.Sprintf("%s-one-%d", s, j), p)
				if err != nil {
					t.Fatal(err)
				}
				streams = append(streams, st)
			}
		}
		mine := dialAll(t, g, up, s+"-there", plan{cookies: there[i].Cookies(), via: one})
		ended := way.end(here[i], there[i])
		byWay.add(way.name, closed(t, byKind, streams, ended))
		if way.name == "everywhere, from another browser" {
			closed(t, byKind, mine, ended)
		}
		for _, st := range streams {
			if st.path == "/ws" || st.path == "/upload" {
				after.add("the newest that arrived was sent", st.far.received().Sub(ended))
			}
		}
		if _, err := dial(g, up, kinds[0], s+"-again", plan{cookies: here[i].Cookies()}); !refused(err) {
			t.Errorf("%s: a new stream after the end: %v", way.name, err)
		}
		for _, st := range mine {
			if way.name != "everywhere, from another browser" {
				st.alive(t)
			}
			st.hang()
		}
		if t.Failed() {
			t.Fatalf("trial %d, %s, quiet: %v", i, way.name, quiet)
		}
	}
	for _, st := range stay {
		st.alive(t)
	}
	byKind.report(t, "ended on one connection, closed on all", soon())
	byWay.report(t, "the last of 12 streams closed", soon())
	after.report(t, "after the answer to the end", soon())
}
