// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package sharedtest

import (
	"bytes"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/testgate"
)

// TestS01_StartWithoutRedis starts gates whose store is down: after a power cut
// in the whole house nobody says in what order things come up.
func TestS01_StartWithoutRedis(t *testing.T) {
	r := redistest.Standalone(t, "--appendonly", "yes")
	w := newWorld(t, r.URL(), 2, 2)
	v := w.signIn(0, 1)[0]
	cookies := v.Cookies()
	for _, g := range w.gates {
		g.Kill()
	}
	r.Kill()
	for _, g := range w.gates {
		g.Launch()
	}
	page := func(g *testgate.Gate, path string) (status int) {
		q := request(t, http.MethodGet, g.URL+path, cookies)
		q.Header.Set("Accept", "text/html")
		res, err := http.DefaultClient.Do(q)
		if err != nil {
			return 0
		}
		res.Body.Close()
		if res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
		return res.StatusCode
	}
	for _, g := range w.gates {
		testgate.Wait(t, "the gate without a store", func() bool { return page(g, "/page") != 0 })
		for path, want := range map[string]int{"/page": 503, "/sign-in": 503} {
			if got := page(g, path); got != want {
				t.Errorf("without a store, %s is %d, want %d", path, got, want)
			}
		}
	}
	r.Start()
	back := time.Now()
	for _, g := range w.gates {
		testgate.Wait(t, "the gate", func() bool { return page(g, "/page") == http.StatusOK })
	}
	took := time.Since(back)
	if took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	t.Logf("proof: two gates that started without a store: a client is let through %s after it has come", ms(took))
	w.is(v, 0)
	w.signIn(1, 2)
}

// TestS03_Eviction: a server that drops keys when memory is short forgets
// limits, and that links were used.
func TestS03_Eviction(t *testing.T) {
	for _, policy := range []string{"allkeys-lru", "volatile-lru", "volatile-ttl"} {
		r := redistest.Standalone(t, "--appendonly", "yes")
		w := newWorld(t, r.URL(), 1, 1)
		g := w.gates[0]
		g.Kill()
		r.Do("CONFIG", "SET", "maxmemory-policy", policy)
		ok, said := run(t, g, "run")
		if ok || !strings.Contains(said, policy) || !strings.Contains(said, "noeviction") {
			t.Errorf("%s: started: %v, and said\n%s", policy, ok, said)
		}
		t.Logf("%s: %s", policy, lastLine(said))
	}
}

// TestNoAppendOnlyFile: what such a server acknowledged is lost when it
// restarts. That may be wanted, so it is said and no more.
func TestNoAppendOnlyFile(t *testing.T) {
	for file, want := range map[string]bool{"no": true, "yes": false} {
		g := newWorld(t, redistest.Standalone(t, "--appendonly", file).URL(), 1, 1).gates[0]
		if got := strings.Contains(g.Log(), "append-only file"); got != want {
			t.Errorf("appendonly %s: the log warns: %v, want %v", file, got, want)
		}
	}
}

// TestOtherSecret starts a second gate on a store with a secret of its own: it
// could read nothing there.
func TestOtherSecret(t *testing.T) {
	r := redistest.Standalone(t, "--appendonly", "yes")
	w := newWorld(t, r.URL(), 2, 1)
	v := w.signIn(0, 1)[0]
	g := w.gates[1]
	g.Kill()
	other := w.o
	other.Gate = settings(newSecret(), r.URL())
	g.Write("Caddyfile", g.Caddyfile(other))
	ok, said := run(t, g, "run")
	if ok || !strings.Contains(said, "was made with another secret") || !strings.Contains(said, "give the gate the secret it had") {
		t.Errorf("started: %v, and said\n%s", ok, said)
	}
	t.Log(lastLine(said))
	w.gates = w.gates[:1]
	w.is(v, 0) // and nothing has happened to the first
}

// TestValidateAsksNobody: a configuration is checked where its store is out of
// reach, and beside one that is in use.
func TestValidateAsksNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var calls atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			calls.Add(1)
			c.Close()
		}
	}()
	w := newWorld(t, redistest.Standalone(t).URL(), 1, 1)
	g := w.gates[0]
	w.o.Gate = settings(newSecret(), "redis://"+l.Addr().String())
	g.Write("Caddyfile", g.Caddyfile(w.o))
	if ok, said := run(t, g, "validate"); !ok {
		t.Errorf("refused:\n%s", said)
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("the store was called %d times", n)
	}
}

// run runs a command on a gate's Caddyfile to its end, which comes if it is
// refused. It reports whether that was success.
func run(t *testing.T, g *testgate.Gate, command string) (ok bool, said string) {
	t.Helper()
	var out bytes.Buffer
	cmd := g.Command(command, "--config", g.File("Caddyfile"), "--adapter", "caddyfile")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	if !late.Stop() {
		t.Errorf("%s goes on", command)
		return true, out.String()
	}
	return err == nil, out.String()
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
