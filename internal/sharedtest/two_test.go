// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package sharedtest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/testgate"
)

// never is how long after the end of a session nothing may be open any more.
const never = 5 * time.Second

// TestTwoGates has two gates behind a balancer that knows nothing of sessions.
// Whoever signs out at one must be out at the other: each keeps copies of
// records, and what was opened in a session outlives the request that opened
// it.
func TestTwoGates(t *testing.T) {
	timed(t)
	r := redistest.Standalone(t, "--appendonly", "yes")
	n := sized(1000, 200)
	w := newWorld(t, r.URL(), 2, n)
	a, b := w.gates[0], w.gates[1]
	took := make(figures)
	for i, v := range w.signIn(0, n) {
		at, other := a, b
		if i%2 == 1 {
			at, other = b, a
		}
		w.is(v, i) // and so has a copy at each
		socket, stream := openSocket(t, at, v.Cookies()), openEvents(t, at, v.Cookies())
		before := v.Cookies() // what a thief would have
		from := v.At(other)
		out := from.Press(from.Get("/sign-in/sign-out"), "/sign-in/sign-out")
		took.add("a request refused", refused(t, at, before).Sub(out))
		for what, closed := range map[string]<-chan time.Time{"a WebSocket closed": socket, "an event stream closed": stream} {
			select {
			case when := <-closed:
				took.add(what, when.Sub(out))
			case <-time.After(time.Until(out.Add(never))):
				t.Errorf("trial %d: not %s after %v", i, what, never)
			}
		}
		if got := ask(t, at, before); got != http.StatusUnauthorized {
			t.Errorf("trial %d: %d after it was refused", i, got)
		}
	}
	took.report(t, "signed out at one gate, at the other", time.Second)
}

// TestSignedInElsewhere presses the button at one gate and goes on at the other
// before that has been told: it has a copy of the record, from when it showed the
// link, that knows of no such session. Somebody who has just signed in must not
// find the sign-in page.
func TestSignedInElsewhere(t *testing.T) {
	r := redistest.Standalone(t, "--appendonly", "yes")
	late := redistest.NewProxy(t, r.Addr())
	w := newWorldAt(t, []string{late.URL(), r.URL()}, 1)
	a, b := w.gates[0], w.gates[1]
	v := a.Visitor()
	w.ask(v, 0)
	link := w.links(0)[0]
	v.Get(link)
	p := v.At(b).Get(link)
	late.Delay(200 * time.Millisecond)
	v.At(b).Press(p, "/sign-in/link")
	if got := ask(t, a, v.Cookies()); got != http.StatusOK {
		t.Errorf("right after the sign-in at another gate: %d", got)
	}
	late.Delay(0)
	w.is(v, 0)
}

// cut is what Caddy's proxy answers where a request was under way when its
// session ended.
const cut = 499

// refused asks until a gate refuses a session, and returns when it did.
func refused(t *testing.T, g *testgate.Gate, cookies string) time.Time {
	t.Helper()
	late := time.Now().Add(never)
	for {
		got := ask(t, g, cookies)
		switch now := time.Now(); {
		case got == http.StatusUnauthorized:
			return now
		case got != http.StatusOK && got != cut:
			t.Fatalf("a request in a session that has ended: %d", got)
		case now.After(late):
			t.Fatalf("a session goes on %v after it was ended at another gate", never)
		}
	}
}

// ask sends a program's request.
func ask(t *testing.T, g *testgate.Gate, cookies string) (status int) {
	t.Helper()
	res, err := http.DefaultClient.Do(request(t, http.MethodGet, g.URL+"/api/me", cookies))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

func request(t *testing.T, method, url, cookies string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", cookies)
	return r
}

// openSocket opens a WebSocket; when it has ended, the channel says when.
func openSocket(t *testing.T, g *testgate.Gate, cookies string) <-chan time.Time {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), g.URL+"/ws", &websocket.DialOptions{
		HTTPHeader: http.Header{"Cookie": {cookies}, "Origin": {g.URL}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := conn.Read(t.Context()); err != nil || string(got) != "hello" {
		t.Fatalf("the echo is %q, %v", got, err)
	}
	over := make(chan time.Time, 1)
	go func() {
		conn.Read(context.Background())
		over <- time.Now()
	}()
	return over
}

// openEvents opens an event stream; when it has ended, the channel says when.
func openEvents(t *testing.T, g *testgate.Gate, cookies string) <-chan time.Time {
	t.Helper()
	r := request(t, http.MethodGet, g.URL+"/events", cookies)
	r.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	first := make([]byte, len("data: news"))
	if _, err := io.ReadFull(res.Body, first); err != nil || !strings.HasPrefix(string(first), "data: ") {
		t.Fatalf("%d, the first event is %q, %v", res.StatusCode, first, err)
	}
	over := make(chan time.Time, 1)
	go func() {
		io.Copy(io.Discard, res.Body)
		over <- time.Now()
	}()
	return over
}
