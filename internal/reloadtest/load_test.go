// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package reloadtest

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

	"github.com/coder/websocket"

	"github.com/portalgate/portalgate/internal/testgate"
)

// client is a browser with connections of its own, and whose it is.
type client struct {
	http.Client
	id     string // of who is signed in
	cookie string
}

func newClient(t *testing.T, id, cookie string) *client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &client{id: id, cookie: cookie, Client: http.Client{
		Transport: tr, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// kinds are the requests of the load, as often as they come in ten.
var kinds = []func(c *client, url string) (r *http.Request, want string){
	0: (*client).me, 1: (*client).page, 2: (*client).form, 3: (*client).me, 4: (*client).style,
	5: (*client).me, 6: (*client).signInPage, 7: (*client).form, 8: (*client).me, 9: (*client).page,
}

func (c *client) me(url string) (*http.Request, string) {
	return c.request("GET", url+"/api/me", ""), `"id":"` + c.id + `"`
}

func (c *client) page(url string) (*http.Request, string) {
	r := c.request("GET", url+"/", "")
	r.Header.Set("Accept", "text/html")
	return r, c.id
}

func (c *client) form(url string) (*http.Request, string) {
	r := c.request("POST", url+"/form", "phone=1&day=2&note=a+note+of+"+c.id)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", url)
	return r, "a note of " + c.id
}

// style is on a public path, and asked for by nobody.
func (c *client) style(url string) (*http.Request, string) {
	r := c.request("GET", url+"/assets/style.css", "")
	r.Header.Del("Cookie")
	return r, "{"
}

// signInPage is somebody new's first visit.
func (c *client) signInPage(url string) (*http.Request, string) {
	r := c.request("GET", url+"/sign-in", "")
	r.Header.Del("Cookie")
	r.Header.Set("Accept", "text/html")
	return r, `name="email"`
}

func (c *client) request(method, url, body string) *http.Request {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		panic(err) // the URL is the test's own
	}
	if body == "" {
		r.Body, r.GetBody, r.ContentLength = nil, nil, 0
	}
	r.Header.Set("Cookie", c.cookie)
	return r
}

// tally is what came of a load.
type tally struct {
	mu     sync.Mutex
	sent   int            // guarded by mu, as are the others
	failed int            // no answer, or 5xx
	fives  int            // of these, 5xx
	wrong  int            // an answer, and not the one that belongs there
	causes map[string]int // of both
	reload int            // the one that was last begun
	lost   []int          // failed, by the reload before
}

// at notes that a reload begins.
func (y *tally) at(reload int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.reload = reload
}

// add counts one request: into more than how many were sent, if it has a cause.
func (y *tally) add(cause string, into ...*int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.sent++
	for _, n := range into {
		*n++
		if n == &y.failed {
			y.lost[y.reload]++
		}
	}
	if cause != "" {
		if y.causes == nil {
			y.causes = make(map[string]int)
		}
		y.causes[cause]++
	}
}

func (y *tally) String() string {
	y.mu.Lock()
	defer y.mu.Unlock()
	s := fmt.Sprintf("%d of %d requests failed", y.failed, y.sent)
	for _, cause := range slices.Sorted(maps.Keys(y.causes)) {
		s += fmt.Sprintf("; %d times %s", y.causes[cause], cause)
	}
	return s
}

// load sends requests at an even rate until ctx is over, whatever comes of
// those before, and waits for the last. exact looks into the answers as well.
func (y *tally) load(ctx context.Context, url string, clients []*client, perSecond int, exact bool) {
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
		c, kind := clients[n%len(clients)], kinds[n/len(clients)%len(kinds)]
		flying.Go(func() {
			r, want := kind(c, url)
			res, err := c.Do(r)
			if err != nil {
				y.add(cause(err), &y.failed)
				return
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			what := fmt.Sprintf("%d to %s %s", res.StatusCode, r.Method, r.URL.Path)
			switch {
			case err != nil:
				y.add(cause(err), &y.failed)
			case res.StatusCode >= 500:
				y.add(what, &y.failed, &y.fives)
			case res.StatusCode != http.StatusOK: // 303 and 401: signed out
				y.add(what, &y.wrong)
			case exact && !strings.Contains(string(body), want):
				y.add(what+" with another's answer", &y.wrong)
			default:
				y.add("")
			}
		})
	}
}

// cause is an error without what is different every time.
func cause(err error) string {
	for _, known := range []string{"EOF", "connection reset by peer", "broken pipe", "connection refused", "server closed idle connection", "Timeout"} {
		if strings.Contains(err.Error(), known) {
			return known
		}
	}
	return err.Error()
}

// socket is an open WebSocket that echoes.
type socket struct {
	conn *websocket.Conn
	n    int // echoes so far
}

func openSocket(t *testing.T, g *testgate.Gate, c *client) *socket {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	// Connections of its own: one that a reload is just closing would fail it.
	tr := &http.Transport{DisableKeepAlives: true}
	conn, _, err := websocket.Dial(ctx, g.URL+"/ws", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: tr}, HTTPHeader: http.Header{"Cookie": {c.cookie}, "Origin": {g.URL}},
	})
	if err != nil {
		t.Fatalf("opening a WebSocket: %v", err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	return &socket{conn: conn}
}

// echo sends and receives once.
func (s *socket) echo() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s.n++
	sent := fmt.Sprint("hello ", s.n)
	if err := s.conn.Write(ctx, websocket.MessageText, []byte(sent)); err != nil {
		return fmt.Errorf("echo %d: %w", s.n, err)
	}
	if _, got, err := s.conn.Read(ctx); err != nil || string(got) != sent {
		return fmt.Errorf("echo %d came back as %q, %w", s.n, got, err)
	}
	return nil
}

// echoUntil echoes now and then until stop is closed.
func (s *socket) echoUntil(stop <-chan struct{}) error {
	tick := time.NewTicker(700 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return s.echo()
		case <-tick.C:
			if err := s.echo(); err != nil {
				return err
			}
		}
	}
}
