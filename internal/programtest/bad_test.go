// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package programtest

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/testgate"
)

// TestG03_OthersAreNotSlower: while a program hangs, crashes, floods its log or
// has stopped, and people come to it all the time, everybody else signs in as
// fast as beside one that does well.
func TestG03_OthersAreNotSlower(t *testing.T) {
	p := newProgram(t)
	g := testgate.Start(t, options(p, "", 200))
	tried := 100
	if proof() {
		tried = 1000
	}
	next := 0
	asks := func(do string) (median, p95 time.Duration) {
		if err := g.Reload(g.Caddyfile(options(p, do, 200))); err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		var visits sync.WaitGroup
		var refused atomic.Int64
		for range 4 {
			visits.Go(func() {
				c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
				for {
					select {
					case <-stop:
						return
					case <-time.After(50 * time.Millisecond):
					}
					if res, err := c.Get(g.URL + "/sign-in/m/card"); err == nil {
						res.Body.Close()
						if res.StatusCode == http.StatusServiceUnavailable {
							refused.Add(1)
						}
					}
				}
			})
		}
		var took []time.Duration
		for n := range tried {
			v := g.Visitor()
			began := time.Now()
			page := v.Get("/sign-in/magic-link")
			took = append(took, time.Since(began))
			if n < 5 { // a network may ask for 30 links in 15 minutes
				began = time.Now()
				took = append(took, v.Press(page, "/sign-in/magic-link", "email", fmt.Sprintf("c%d@example.com", next)).Sub(began))
				next++
			}
		}
		close(stop)
		visits.Wait()
		// One that floods is served as far as it has time for it.
		if served := do == ""; do != "flood" && served != (refused.Load() == 0) {
			t.Errorf("a program that does %q: %d of its own visitors are refused", do, refused.Load())
		}
		slices.Sort(took)
		return took[len(took)/2], took[len(took)*95/100]
	}
	well, wellMost := asks("")
	t.Logf("proof: beside a program that does well, the form and asking for a link take %v (median; 95th percentile %v)", well, wellMost)
	for _, do := range []string{"hang", "crash", "flood", "stop"} {
		median, most := asks(do)
		t.Logf("proof: beside one that does %q %v (95th percentile %v)", do, median, most)
		if median > 3*well+20*time.Millisecond {
			t.Errorf("beside a program that does %q, the form and asking for a link take %v, beside one that does well %v", do, median, well)
		}
	}
	if err := g.Reload(g.Caddyfile(options(p, "", 200))); err != nil {
		t.Fatal(err)
	}
	if err := signIn(g.URL, 1, func() {}); err != nil {
		t.Errorf("back to one that does well: %v", err)
	}
	testgate.Wait(t, "the bad ones to end", func() bool { return len(p.running()) == 1 })
}
