// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package streamtest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/testgate"
)

// state is what the gate says about a session, which does not extend it.
type state struct {
	Idle time.Time `json:"idle_expires_at"`
	End  time.Time `json:"expires_at"`
}

func stateOf(t *testing.T, v *testgate.Visitor) (s state) {
	t.Helper()
	if err := json.Unmarshal([]byte(v.Get("/sign-in/session").Body), &s); err != nil || s.Idle.IsZero() {
		t.Fatalf("no state: %v", err)
	}
	return s
}

// TestH10_TimeIsUp waits until sessions end by themselves, with streams open
// and busy all the while: what is sent in an open stream is no activity, and a
// session's absolute end is its streams' too. Package gate does the same in no
// time, by a clock of its own; this one takes a real minute, so that it is for
// the published size alone.
func TestH10_TimeIsUp(t *testing.T) {
	if sized(1, 0) == 0 {
		return
	}
	t.Parallel()
	for what, lifetimes := range map[string]string{
		"idle end": "idle 1m\nabsolute 10m", "absolute end": "idle 1m\nabsolute 1m",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			const n = 25
			up := newUpstream(t)
			o := options(up, n)
			o.Gate += "\nsession {\n" + lifetimes + "\n}"
			g := testgate.Start(t, o)
			var streams [n][]*stream
			var ends [n]time.Time
			for i, v := range signIn(g, 0, n) {
				streams[i] = dialAll(t, g, up, fmt.Sprint("client", i), plan{cookies: v.Cookies(), quiet: i%5 > 0})
				ends[i] = stateOf(t, v).Idle
			}
			f := make(figures)
			for i, all := range streams {
				closed(t, f, all, ends[i])
				for _, st := range all {
					if early := ends[i].Sub(st.at); early > 0 {
						t.Errorf("%s: closed %v before the %s", st.name, early, what)
					}
				}
			}
			f.report(t, "after the "+what, 2*time.Second)
		})
	}
}

// TestStreamsAreNoActivity opens a WebSocket and an event stream again after a
// minute, as scripts do that lost theirs: a page that is left open would
// otherwise never be signed out. A visit is activity, for comparison.
func TestStreamsAreNoActivity(t *testing.T) {
	if sized(1, 0) == 0 {
		return
	}
	t.Parallel()
	up := newUpstream(t)
	g := testgate.Start(t, options(up, 1))
	v := signIn(g, 0, 1)[0]
	before := stateOf(t, v).Idle
	<-time.After(62 * time.Second) // activity is noted once a minute
	for i, k := range kinds[:4] {
		st, err := dial(g, up, k, fmt.Sprint("again", i), plan{cookies: v.Cookies()})
		if err != nil {
			t.Fatal(err)
		}
		st.alive(t)
		defer st.hang()
	}
	if now := stateOf(t, v).Idle; !now.Equal(before) {
		t.Errorf("the session lasts %v longer", now.Sub(before))
	}
	v.Get("/page")
	testgate.Wait(t, "the visit to count", func() bool { return stateOf(t, v).Idle.After(before) })
}
