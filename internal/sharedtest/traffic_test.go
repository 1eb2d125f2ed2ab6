// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package sharedtest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/testgate"
)

// traffic is what signed-in visitors get while their gates lose the store.
type traffic struct {
	w       *world
	cookies []string // of client 0, 1, ...
	client  http.Client

	mu      sync.Mutex
	sent    int                      // guarded by mu, as are the others
	down    map[string]int           // answers that were 503, by kind
	last    time.Time                // when the last request was sent that got one
	slowest map[string]time.Duration // answer, by status
	wrong   map[string]int           // what must not be
}

func newTraffic(w *world, visitors []*testgate.Visitor) *traffic {
	y := &traffic{
		w: w, down: make(map[string]int), slowest: make(map[string]time.Duration), wrong: make(map[string]int),
		client: http.Client{
			Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 100},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	w.t.Cleanup(y.client.CloseIdleConnections)
	for _, v := range visitors {
		y.cookies = append(y.cookies, v.Cookies())
	}
	return y
}

var kinds = []string{"page", "program", "form", "public"}

// run sends requests at an even rate until ctx is over, whatever comes of those
// before: a visitor's one after the other to each gate, and each kind.
func (y *traffic) run(ctx context.Context, perSecond int) {
	var flying sync.WaitGroup
	defer flying.Wait()
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		g := y.w.gates[n%len(y.w.gates)]
		m := n / len(y.w.gates)
		i := m % len(y.cookies)
		kind := kinds[(m+m/len(y.cookies))%len(kinds)]
		flying.Go(func() { y.one(g, i, kind) })
	}
}

func (y *traffic) one(g *testgate.Gate, i int, kind string) {
	method, path, want := http.MethodGet, "/page", "for "+id(i)
	switch kind {
	case "program":
		path = "/api/me"
	case "form":
		method, path = http.MethodPost, "/form"
	case "public":
		path, want = "/assets/style.css", "for everybody"
	}
	r := request(y.w.t, method, g.URL+path, y.cookies[i])
	if kind == "public" {
		r.Header.Del("Cookie") // from nobody: with a cookie it matters whose it is
	}
	if kind == "page" || kind == "form" {
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Origin", g.URL)
	}
	begun := time.Now()
	res, err := y.client.Do(r)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(res.Body)
		res.Body.Close()
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.sent++
	if err != nil {
		y.wrong[err.Error()]++
		return
	}
	status := fmt.Sprint(res.StatusCode)
	y.slowest[status] = max(y.slowest[status], time.Since(begun))
	for _, c := range res.Cookies() {
		if strings.HasPrefix(c.Name, "portalgate-") {
			y.wrong["a cookie touched: "+c.Name]++
		}
	}
	switch {
	case res.StatusCode == http.StatusServiceUnavailable && kind != "public":
		if res.Header.Get("Retry-After") == "" {
			y.wrong["503 without Retry-After"]++
		}
		y.down[kind]++
		if begun.After(y.last) {
			y.last = begun
		}
	case res.StatusCode != http.StatusOK:
		y.wrong[status+" to "+kind]++
	case string(body) != want:
		y.wrong["another's answer to "+kind]++
	}
}

// check fails the test for what must not be, and for requests that were sent
// 2 s after the store was back and not answered.
func (y *traffic) check(t *testing.T, about string, back time.Time) {
	t.Helper()
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, what := range slices.Sorted(maps.Keys(y.wrong)) {
		t.Errorf("%s: %d times: %s", about, y.wrong[what], what)
	}
	if after := y.last.Sub(back); after > 2*time.Second {
		t.Errorf("%s: still 503 %v after it was back", about, after)
	}
	t.Logf("proof: %s: %d requests of signed-in visitors, 503 to %v, the last of them sent %s after it was back, slowest answers %v, %d reached the upstream, %d without identity",
		about, y.sent, y.down, ms(max(0, y.last.Sub(back))), y.slowest, y.w.up.private.Load(), y.w.up.naked.Load())
}

// vitals are the most that a gate's process held while it was looked at.
type vitals struct{ goroutines, heap int }

// watch looks at gates until ctx is over.
func (w *world) watch(ctx context.Context) (most vitals) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, g := range w.gates {
			v := look(w.t, g)
			most.goroutines, most.heap = max(most.goroutines, v.goroutines), max(most.heap, v.heap)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return most
		}
	}
}

// look reads the process's own profiles.
func look(t *testing.T, g *testgate.Gate) (v vitals) {
	for _, p := range []string{"goroutine?debug=1", "heap?debug=1"} {
		res, err := http.Get(g.Admin + "/debug/pprof/" + p)
		if err != nil {
			t.Errorf("the admin API: %v", err)
			return v
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		for line := range strings.Lines(string(body)) {
			fmt.Sscanf(line, "goroutine profile: total %d", &v.goroutines)
			fmt.Sscanf(line, "# HeapInuse = %d", &v.heap)
		}
	}
	return v
}
