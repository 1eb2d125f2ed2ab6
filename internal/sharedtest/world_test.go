// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package sharedtest

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/mail/outbox"
	"github.com/portalgate/portalgate/internal/testgate"
)

func TestMain(m *testing.M) { os.Exit(testgate.Main(m)) }

// sized returns how much to do: at the size that is published, or otherwise.
func sized(proof, ci int) int {
	if os.Getenv("PORTALGATE_PROOF") == "1" {
		return proof
	}
	return ci
}

// timed lets a test run beside others, unless its figures are to be published.
func timed(t *testing.T) {
	if sized(1, 0) == 0 {
		t.Parallel()
	}
}

// world is gates on one store, with one upstream.
type world struct {
	t      *testing.T
	up     *upstream
	o      testgate.Options // of the last gate
	gates  []*testgate.Gate
	opened map[string]bool // links that were used
}

// newWorld starts gates for n clients, all of whom may ask from one address.
func newWorld(t *testing.T, url string, gates, n int) *world {
	t.Helper()
	return newWorldAt(t, slices.Repeat([]string{url}, gates), n)
}

// newWorldAt starts gates that have each their own way to one store.
func newWorldAt(t *testing.T, urls []string, n int) *world {
	t.Helper()
	w := &world{t: t, up: newUpstream(t), opened: make(map[string]bool)}
	var list strings.Builder
	list.WriteString("id,email,name,portal_access,email_ok\n")
	for i := range n {
		fmt.Fprintf(&list, "%s,%s,Client %d,yes,yes\n", id(i), email(i), i)
	}
	w.o = testgate.Options{Upstream: w.up.addr, Clients: list.String()}
	secret := newSecret()
	for _, url := range urls {
		w.o.Gate = settings(secret, url)
		w.gates = append(w.gates, testgate.Start(t, w.o))
	}
	return w
}

func settings(secret, url string) string {
	return "secret " + secret + "\nstore redis " + url + "\nunknown_email reveal\nlimits {\n\trequests 100000 10m\n}"
}

func newSecret() string {
	b := make([]byte, 32)
	rand.Read(b)
	return hex.EncodeToString(b)
}

func id(i int) string    { return fmt.Sprint(1000 + i) }
func email(i int) string { return fmt.Sprintf("client%d@example.com", i) }

var linkInMail = regexp.MustCompile(`https?://localhost:\d+(/sign-in/link\?t=[A-Za-z0-9._-]+)`)

// links returns the path of the newest link that was mailed to each of these
// clients and not taken before. The gates' mail is one queue: any of them may
// have sent it, with its own address in the link.
func (w *world) links(clients ...int) []string {
	w.t.Helper()
	paths := make([]string, len(clients))
	testgate.Wait(w.t, "the links", func() bool {
		for _, g := range w.gates {
			for _, m := range g.Messages() { // newest first
				i := slices.IndexFunc(clients, func(i int) bool { return email(i) == m.To })
				link := linkInMail.FindStringSubmatch(m.Text)
				if i >= 0 && link != nil && paths[i] == "" && !w.opened[link[1]] {
					paths[i] = link[1]
				}
			}
		}
		return !slices.Contains(paths, "")
	})
	for _, p := range paths {
		w.opened[p] = true
	}
	return paths
}

// mailed reports whether any mail to a client was sent.
func (w *world) mailed(i int) bool {
	for _, g := range w.gates {
		if slices.ContainsFunc(g.Messages(), func(m outbox.Entry) bool { return m.To == email(i) }) {
			return true
		}
	}
	return false
}

// signIn signs clients from, from+1, ... to-1 in, each in a browser of their
// own, every request at the next gate.
func (w *world) signIn(from, to int) (all []*testgate.Visitor) {
	w.t.Helper()
	const batch = 40 // a mailbox holds 200
	for ; from < to; from += batch {
		var clients []int
		for i := from; i < min(from+batch, to); i++ {
			v := w.gates[0].Visitor().Roam(w.gates...)
			w.ask(v, i)
			clients = append(clients, i)
			all = append(all, v)
		}
		visitors := all[len(all)-len(clients):]
		for i, link := range w.links(clients...) {
			v := visitors[i]
			v.Submit(v.Get(link), "/sign-in/link")
			w.is(v, clients[i])
		}
	}
	return all
}

// in is the same world in a part of the test.
func (w *world) in(t *testing.T) *world {
	part := *w
	part.t = t
	return &part
}

func (w *world) ask(v *testgate.Visitor, i int) {
	w.t.Helper()
	p := v.Submit(v.Get("/sign-in/magic-link"), "/sign-in/magic-link", "email", email(i))
	if p.Status != http.StatusOK {
		w.t.Fatalf("asking for a link: %d at %s", p.Status, p.Path)
	}
}

// is fails the test unless a visitor is a client at every gate.
func (w *world) is(v *testgate.Visitor, i int) {
	w.t.Helper()
	for n, g := range w.gates {
		if p := v.At(g).Get("/page"); p.Status != http.StatusOK || p.Body != "for "+id(i) {
			w.t.Fatalf("client %d at gate %d: %d at %s", i, n, p.Status, p.Path)
		}
	}
}

// figures are how long things took, by what they were.
type figures map[string][]time.Duration

func (f figures) add(what string, d time.Duration) { f[what] = append(f[what], max(0, d)) }

// report prints the figures, and fails where the 99th of 100 is over most.
func (f figures) report(t *testing.T, about string, most time.Duration) {
	t.Helper()
	for what, all := range f {
		slices.Sort(all)
		at := func(percent int) time.Duration { return all[(len(all)*percent+99)/100-1] }
		if at(99) > most {
			t.Errorf("%s, %s: p99 is %v, over %v", about, what, at(99), most)
		}
		t.Logf("proof: %s, %s: p50 %s, p99 %s, max %s, over %d", about, what, ms(at(50)), ms(at(99)), ms(at(100)), len(all))
	}
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }
