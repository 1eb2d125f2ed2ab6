// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package sharedtest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/testgate"
)

// outage is a way for the store to go and to come back with what it had.
type outage struct {
	name       string
	kills      bool
	begin, end func(*redistest.Server)
}

var outages = []outage{
	{"Redis killed", true, (*redistest.Server).Kill, (*redistest.Server).Start},
	{"Redis stopped", false, (*redistest.Server).Halt, (*redistest.Server).Cont},
}

// lengths are how long it is away: ci, or what is published.
func lengths(ci time.Duration) []time.Duration {
	if sized(1, 0) == 1 {
		return []time.Duration{time.Second, 20 * time.Second}
	}
	return []time.Duration{ci}
}

// pass lets time go by.
func pass(d time.Duration) { <-time.After(d) }

// TestS01_RedisDown takes the store away from two gates under the traffic of
// visitors who are signed in. A gate that does not know who somebody is must
// neither let them pass nor sign them out.
func TestS01_RedisDown(t *testing.T) {
	for _, o := range outages {
		for _, long := range lengths(7 * time.Second) { // a copy of a record serves for 5 s
			t.Run(fmt.Sprint(o.name, " for ", long), func(t *testing.T) {
				timed(t)
				r := redistest.Standalone(t, "--appendonly", "yes")
				const visitors = 10
				w := newWorld(t, r.URL(), 2, visitors+1)
				y := newTraffic(w, w.signIn(0, visitors))
				calm := look(t, w.gates[0])
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				var running sync.WaitGroup
				var most vitals
				running.Go(func() { y.run(ctx, sized(200, 60)) })
				running.Go(func() { most = w.watch(ctx) })
				pass(time.Second)
				o.begin(r)
				pass(long)
				o.end(r)
				back := time.Now()
				pass(2 * time.Second)
				w.signIn(visitors, visitors+1) // all of a sign-in, at once
				pass(2 * time.Second)
				stop()
				running.Wait()
				y.check(t, t.Name(), back)
				if most.goroutines > calm.goroutines+600 {
					t.Errorf("%d goroutines, %d before", most.goroutines, calm.goroutines)
				}
				t.Logf("proof: %s: at most %d goroutines (%d before) and %d MB of heap in use (%d before)",
					t.Name(), most.goroutines, calm.goroutines, most.heap>>20, calm.heap>>20)
			})
		}
	}
}

// walker is somebody on the way in, one page after the other.
type walker struct {
	*testgate.Visitor
	i    int
	page testgate.Page
	link string
}

// phases are the steps of a sign-in. Each may be done again.
var phases = []struct {
	name string
	do   func(*walker) testgate.Page
}{
	{"ask", func(k *walker) testgate.Page {
		return k.Submit(k.page, "/sign-in/magic-link", "email", email(k.i))
	}},
	{"open", func(k *walker) testgate.Page { return k.Get(k.link) }},
	{"press", func(k *walker) testgate.Page { return k.Submit(k.page, "/sign-in/link") }},
}

// TestS01_EachPhase takes the store away before each step of a sign-in: the
// step shows that nothing was done, the browser keeps what it has, and the same
// step goes through when the store is back.
func TestS01_EachPhase(t *testing.T) {
	for _, o := range outages {
		for _, long := range lengths(time.Second) {
			t.Run(fmt.Sprint(o.name, " for ", long), func(t *testing.T) {
				timed(t)
				r := redistest.Standalone(t, "--appendonly", "yes")
				w := newWorld(t, r.URL(), 2, len(phases)+1)
				for n := range phases {
					t.Run(phases[n].name, func(t *testing.T) { w.in(t).phaseWithout(n, r, o, long) })
				}
				t.Run("mail", func(t *testing.T) { w.in(t).mailWithout(len(phases), r, o, long) })
			})
		}
	}
}

// phaseWithout signs client n in and takes the store away before step n.
func (w *world) phaseWithout(n int, r *redistest.Server, o outage, long time.Duration) {
	t := w.t
	k := &walker{Visitor: w.gates[0].Visitor().Roam(w.gates...), i: n}
	k.page = k.Get("/sign-in/magic-link")
	for m, p := range phases {
		if m == n {
			k.without(t, p.do, p.name == "open", r, o, long)
		}
		if k.page = p.do(k); k.page.Status != http.StatusOK {
			t.Fatalf("%s: %d at %s", p.name, k.page.Status, k.page.Path)
		}
		switch {
		case p.name == "ask":
			k.link = w.links(n)[0]
		case m == n && o.kills:
			// Another run of the server may have lost that the link was used:
			// links from before are void, and that is what the page says.
			if strings.Contains(k.page.Body, redeems) || k.SignedIn() {
				t.Errorf("%s: a link from before the restart is good", p.name)
			}
			return
		}
	}
	w.is(k.Visitor, n)
}

// mailWithout takes the store away between the ask and the mail.
func (w *world) mailWithout(i int, r *redistest.Server, o outage, long time.Duration) {
	t := w.t
	v := w.gates[0].Visitor().Roam(w.gates...)
	w.ask(v, i)
	o.begin(r)
	pass(long)
	early := w.mailed(i) // a gate was quicker than we
	o.end(r)
	back := time.Now()
	link := w.links(i)[0]
	t.Logf("proof: %s: the mail is there %s after Redis is back", t.Name(), ms(time.Since(back)))
	pass(time.Until(back.Add(2 * time.Second)))
	p := v.Get(link)
	if early && o.kills {
		if strings.Contains(p.Body, redeems) {
			t.Error("a link from before the restart is good")
		}
		return
	}
	// After a restart another link takes the place of the one that was asked for,
	// so that none is good twice: its address is to be typed.
	if p = v.Submit(p, "/sign-in/link", "email", email(i)); p.Status != http.StatusOK {
		t.Fatalf("pressing: %d at %s", p.Status, p.Path)
	}
	w.is(v, i)
}

// redeems is in a page whose button signs in.
const redeems = `action="/sign-in/link"`

// without does a step while there is no store.
func (k *walker) without(t *testing.T, do func(*walker) testgate.Page, opening bool, r *redistest.Server, o outage, long time.Duration) {
	t.Helper()
	before := k.Cookies()
	o.begin(r)
	for range 2 { // once at each gate
		p := do(k)
		copied := opening && p.Status == http.StatusOK // for 5 s, and it opens nothing
		if !copied && (p.Status != http.StatusServiceUnavailable || p.Header.Get("Retry-After") == "") {
			t.Errorf("without a store: %d at %s", p.Status, p.Path)
		}
	}
	for c := range strings.SplitSeq(before, "; ") {
		if name, _, _ := strings.Cut(c, "="); !strings.Contains(k.Cookies(), name+"=") {
			t.Errorf("the cookie %s is gone", name)
		}
	}
	pass(long)
	o.end(r)
	pass(2 * time.Second)
}
