// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package streamtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/testgate"
)

// TestMain lets the gates take WebSockets over HTTP/2: Go's server has that
// switched off unless the environment says otherwise, and browsers then use
// HTTP/1.1 for them.
func TestMain(m *testing.M) {
	os.Setenv("GODEBUG", strings.TrimPrefix(os.Getenv("GODEBUG")+",http2xconnect=1", ","))
	os.Exit(testgate.Main(m))
}

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

// never is how long after the end of a session nothing may be open any more,
// whatever the machine has to do besides.
const never = 5 * time.Second

// soon is what the end of a session on one connection may take to be seen on
// all others. Beside other tests it is a median, and tells what is closed at
// once from what waits for the next sweep.
func soon() time.Duration { return time.Duration(sized(50, 250)) * time.Millisecond }

// options are those of a gate with n clients, all of whom may sign in within a
// moment from one address.
func options(up *upstream, n int) testgate.Options {
	return testgate.Options{
		TLS: true, Upstream: up.addr, Clients: list(n, nil),
		Gate: "unknown_email reveal\nlimits {\n\trequests 100000 10m\n}",
	}
}

func email(i int) string { return fmt.Sprintf("client%d@example.com", i) }

// list is a list of n clients, with the rows of some in other words; an empty
// row is none.
func list(n int, other map[int]string) string {
	var b strings.Builder
	b.WriteString("id,email,name,portal_access,email_ok\n")
	for i := range n {
		row, ok := other[i]
		if !ok {
			row = fmt.Sprintf("%d,%s,Client %d,yes,yes", 1000+i, email(i), i)
		}
		if row != "" {
			b.WriteString(row + "\n")
		}
	}
	return b.String()
}

// signIn signs clients from, from+1, ... to-1 in.
func signIn(g *testgate.Gate, from, to int) (all []*testgate.Visitor) {
	for batch := range slices.Chunk(numbers(from, to), 40) { // the mailbox holds 200
		var addresses []string
		for _, i := range batch {
			addresses = append(addresses, email(i))
		}
		all = append(all, g.SignIn(addresses...)...)
	}
	return all
}

func numbers(from, to int) []int {
	all := make([]int, 0, to-from)
	for i := from; i < to; i++ {
		all = append(all, i)
	}
	return all
}

// dialAll opens a stream of every kind, all at once.
func dialAll(t *testing.T, g *testgate.Gate, up *upstream, s string, p plan) []*stream {
	t.Helper()
	all, errs := make([]*stream, len(kinds)), make([]error, len(kinds))
	var wg sync.WaitGroup
	for i, k := range kinds {
		wg.Go(func() {
			own := p
			if !k.h2 {
				own.via = nil
			}
			for again := true; again; {
				all[i], errs[i] = dial(g, up, k, fmt.Sprintf("%s-%d", s, i), own)
				// Caddy closes the old listener a moment after a reload, on
				// whoever is waiting at it.
				again = errors.Is(errs[i], syscall.ECONNRESET) || errors.Is(errs[i], io.EOF)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, st := range all {
			st.hang()
		}
	})
	return all
}

// figures are how long things took, by what they were.
type figures map[string][]time.Duration

func (f figures) add(what string, d time.Duration) { f[what] = append(f[what], max(0, d)) }

// report prints the figures, and fails where the 99th of 100 is over a limit,
// or the median where they are not to be published.
func (f figures) report(t *testing.T, about string, limit time.Duration) {
	t.Helper()
	for _, what := range sorted(f) {
		all := f[what]
		slices.Sort(all)
		at := func(percent int) time.Duration { return all[(len(all)*percent+99)/100-1] }
		if p := sized(99, 50); at(p) > limit {
			t.Errorf("%s: p%d of %s is %v, over %v", about, p, what, at(p), limit)
		}
		ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }
		t.Logf("proof: %s, %s: p50 %s, p99 %s, max %s, over %d", about, what, ms(at(50)), ms(at(99)), ms(at(100)), len(all))
	}
}

func sorted(f figures) []string {
	var all []string
	for what := range f {
		all = append(all, what)
	}
	slices.Sort(all)
	return all
}

// closed waits until both ends of streams have seen the end, at most never
// after since, and notes how long after since each did. It returns when the
// last one did.
func closed(t *testing.T, f figures, streams []*stream, since time.Time) (latest time.Duration) {
	t.Helper()
	late, stop := context.WithDeadline(context.Background(), since.Add(never))
	defer stop()
	for _, st := range streams {
		for _, end := range []struct {
			name string
			over chan struct{}
			at   *time.Time
		}{{"client", st.over, &st.at}, {"upstream", st.far.over, &st.far.at}} {
			select {
			case <-end.over:
			case <-late.Done():
				select {
				case <-end.over:
				default:
					t.Errorf("%s (quiet: %v): still open at the %s %v after the session's end", st.name, st.quiet, end.name, never)
					continue
				}
			}
			took := end.at.Sub(since)
			f.add(st.name+", at the "+end.name, took)
			latest = max(latest, took)
		}
	}
	return latest
}
