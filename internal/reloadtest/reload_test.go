// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package reloadtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/portalgate/portalgate/internal/testgate"
)

func TestMain(m *testing.M) { os.Exit(testgate.Main(m)) }

func proof() bool { return os.Getenv("PORTALGATE_PROOF") == "1" }

// schedule is how much a run of TestReloads does.
type schedule struct {
	reloads, perSecond, sockets, clients int
	every                                time.Duration // from one reload to the next
}

// forgetful keeps Caddy from keeping connections to the upstream for two minutes
// after it has last used them. It does so for configurations that are gone, if
// a request was still on its way to the proxy when they went: with or without
// a gate, and longer than a test wants to wait.
const forgetful = "transport http {\n\tkeepalive 1s\n}"

// outcome is what came of a run.
type outcome struct {
	load          *tally
	before, after vitals
}

// TestReloads changes the configuration over and over, every tenth time to one
// that is broken, under people who are signed in, send forms and hold
// WebSockets open; and does the same to Caddy without a gate, whose servers
// now and then take a connection with them when they go. The full size, with
// PORTALGATE_PROOF=1, is 200 reloads under 200 requests a second.
func TestReloads(t *testing.T) {
	size := schedule{reloads: 20, perSecond: 100, sockets: 10, clients: 4, every: 250 * time.Millisecond}
	if proof() {
		size = schedule{reloads: 200, perSecond: 200, sockets: 50, clients: 10, every: 250 * time.Millisecond}
	}
	var gate, bare outcome
	// At the same time: what else the machine has to do meets both.
	t.Run("at once", func(t *testing.T) {
		t.Run("gate", func(t *testing.T) { t.Parallel(); gate = runGate(t, size) })
		t.Run("bare", func(t *testing.T) { t.Parallel(); bare = runBare(t, size) })
	})
	if t.Failed() {
		return
	}
	t.Logf("proof: %d reloads, every tenth broken, under %d requests/s and %d WebSockets: %s; on bare Caddy %s; more on the gate by %.1f standard deviations",
		size.reloads, size.perSecond, size.sockets, gate.load, bare.load, apart(gate.load.lost, bare.load.lost))
	t.Logf("proof: before and after these reloads it holds %s and %s; bare Caddy %s and %s", gate.before, gate.after, bare.before, bare.after)
	if gate.load.fives > 0 {
		t.Errorf("the gate answered 5xx: %s", gate.load)
	}
	// A server that goes takes some connections with it, by chance: in most
	// reloads none, on a machine that is busy several at once. Two runs that
	// are no different come out further apart than this once in a thousand.
	if d := apart(gate.load.lost, bare.load.lost); d > 3.1 {
		t.Errorf("%s; on bare Caddy %s: %.1f standard deviations", gate.load, bare.load, d)
	}
	// What bare Caddy grows by as well is Caddy's. A configuration that is not
	// let go of is some 100 KB.
	if grown := gate.grown() - bare.grown(); grown > 512<<10 {
		t.Errorf("the heap grew by %d KB more than on bare Caddy", grown>>10)
	}
}

// grown is by how much the heap has grown.
func (o outcome) grown() int { return o.after.heap - o.before.heap }

// apart is by how many standard deviations a has more in all than b, if each
// number of a could as well have been the one of b beside it.
func apart(a, b []int) float64 {
	sum, squares := 0, 0
	for i := range a {
		d := a[i] - b[i]
		sum += d
		squares += d * d
	}
	if sum <= 0 {
		return 0
	}
	return float64(sum) / math.Sqrt(float64(squares))
}

func runGate(t *testing.T, size schedule) outcome {
	list := "id,email,name\n"
	var addresses []string
	for i := range size.clients {
		addresses = append(addresses, fmt.Sprintf("c%d@example.com", i))
		list += fmt.Sprintf("client-%d,%s,Client %d\n", i, addresses[i], i)
	}
	o := testgate.Options{Clients: list, Proxy: forgetful}
	g := testgate.Start(t, o)
	var clients []*client
	for i, v := range g.SignIn(addresses...) {
		clients = append(clients, newClient(t, fmt.Sprintf("client-%d", i), v.Cookies()))
	}
	return size.run(t, g, clients, o, func(n int) testgate.Options {
		next := o
		next.Site = fmt.Sprintf("header X-Generation %d", n)
		next.Gate = fmt.Sprintf("session {\n\tidle %dm\n}", 20+n%30)
		next.Handler = fmt.Sprintf("public /assets/* /public-%d", n)
		return next
	})
}

func runBare(t *testing.T, size schedule) outcome {
	o := testgate.Options{Bare: true, Proxy: forgetful, Upstream: newStandIn(t)}
	g := testgate.Start(t, o)
	var clients []*client
	for i := range size.clients {
		clients = append(clients, newClient(t, fmt.Sprint(i), "nobody=anybody"))
	}
	return size.run(t, g, clients, o, func(n int) testgate.Options {
		next := o
		next.Site = fmt.Sprintf("header X-Generation %d", n)
		return next
	})
}

// newStandIn is an upstream that asks nobody for an identity: it says 200 to
// everything and echoes on WebSockets.
func newStandIn(t *testing.T) (addr string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ws" {
			io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, "the portal")
			return
		}
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for {
			kind, data, err := conn.Read(r.Context())
			if err != nil || conn.Write(r.Context(), kind, data) != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// run is one run: variant makes the n-th configuration of it.
func (size schedule) run(t *testing.T, g *testgate.Gate, clients []*client, o testgate.Options, variant func(int) testgate.Options) (out outcome) {
	out.load = &tally{lost: make([]int, size.reloads+1)}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	r := reloader{t: t, g: g, variant: variant, taken: taken.Addr().String()}

	// Both looks are at a process whose last configuration is fresh: it has no
	// connections to the upstream yet, which the proxy keeps for a while.
	r.good()
	before, stacks := least(t, g)
	out.before = before

	ctx, done := context.WithCancel(t.Context())
	defer done()
	stop := make(chan struct{})
	var open, load sync.WaitGroup
	socket := func(i int) {
		s := openSocket(t, g, clients[i%len(clients)])
		open.Go(func() {
			if err := s.echoUntil(stop); err != nil {
				t.Errorf("WebSocket %d is not open any more: %v", i, err)
			}
			s.conn.Close(websocket.StatusNormalClosure, "")
		})
	}
	for i := range size.sockets {
		socket(i)
	}
	load.Go(func() { out.load.load(ctx, g.URL, clients, size.perSecond, !o.Bare) })
	next := time.NewTicker(size.every)
	defer next.Stop()
	for n := 1; n <= size.reloads; n++ {
		<-next.C
		out.load.at(n)
		if n%10 == 0 {
			r.broken()
			continue
		}
		r.good()
		if n%(size.reloads/10) == 1 {
			socket(size.sockets + n) // in a configuration of which nothing else will be left
		}
	}
	done()
	load.Wait()
	if out.load.wrong > 0 {
		t.Errorf("signed out, or taken for another: %s", out.load)
	}
	close(stop) // each echoes once more
	open.Wait()
	for _, c := range clients {
		req, want := c.me(g.URL)
		if o.Bare {
			want = ""
		}
		if res, body := r.do(c, req); res.StatusCode != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s is not signed in at the end: %d", c.id, res.StatusCode)
		}
		c.CloseIdleConnections()
	}
	r.good()
	out.after = backTo(t, g, before, stacks)
	return out
}

// reloader gives a gate one configuration after another.
type reloader struct {
	t       *testing.T
	g       *testgate.Gate
	variant func(n int) testgate.Options
	taken   string // an address that cannot be listened on
	n       int    // the configuration that runs
	bad     int    // broken ones so far
}

// good changes the configuration.
func (r *reloader) good() {
	r.t.Helper()
	r.n++
	if err := r.load(r.g.Caddyfile(r.variant(r.n))); err != nil {
		r.t.Fatalf("reload %d: %v", r.n, err)
	}
	r.runs()
}

// broken tries to load a configuration that fails in its Caddyfile, when it is
// provisioned, or when it is started.
func (r *reloader) broken() {
	r.t.Helper()
	o := r.variant(r.n + 1)
	_, port, _ := net.SplitHostPort(r.taken)
	why := [...]func() string{
		func() string { return r.g.Caddyfile(o) + "\n}" },
		func() string {
			o.Global = "servers {\n\ttrusted_proxies static nonsense\n}"
			return r.g.Caddyfile(o)
		},
		func() string {
			return r.g.Caddyfile(o) + fmt.Sprintf("http://:%s {\n\tbind 127.0.0.1\n\trespond x\n}\n", port)
		},
	}
	caddyfile := why[r.bad%len(why)]()
	r.bad++
	if err := r.load(caddyfile); err == nil {
		r.t.Fatalf("broken configuration %d was loaded", r.bad)
	}
	r.runs()
}

// load is Reload, again where the request did not come through: what is loaded
// already is not loaded twice.
func (r *reloader) load(caddyfile string) (err error) {
	r.t.Helper()
	for range 5 {
		var lost *url.Error
		if err = r.g.Reload(caddyfile); !errors.As(err, &lost) {
			return err
		}
	}
	r.t.Fatalf("the admin API does not answer: %v", err)
	return nil
}

// runs fails unless new connections are served by the configuration that
// should run.
func (r *reloader) runs() {
	r.t.Helper()
	c := &client{Client: http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	req, _ := c.style(r.g.URL)
	// The server before is still taking connections for a moment.
	testgate.Wait(r.t, fmt.Sprintf("configuration %d", r.n), func() bool {
		res, _ := r.do(c, req)
		return res.Header.Get("X-Generation") == fmt.Sprint(r.n)
	})
}

// do asks until there is an answer.
func (r *reloader) do(c *client, req *http.Request) (*http.Response, string) {
	r.t.Helper()
	var err error
	for range 10 {
		var res *http.Response
		if res, err = c.Do(req); err == nil {
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			return res, string(body)
		}
	}
	r.t.Fatal(err)
	return nil, ""
}
