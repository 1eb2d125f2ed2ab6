// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/portalgate/portalgate/internal/testgate"
)

func TestMain(m *testing.M) {
	serveIfUpstream() // as in main: the bench starts this very program again
	os.Exit(testgate.Main(m))
}

// TestShort runs the bench on the real binary, little of it: every request
// must be answered with 200, by a gate that knows each session. How fast is no
// matter here.
func TestShort(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0") // with a second for each server it takes twice as long
	o := short
	o.binary, o.rounds = testgate.Build(t), 2
	var out strings.Builder
	if err := run(t.Context(), o, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{
		"\nCPU per request, 8 connections, 1 session: ",
		"\nCPU per request, 64 connections, sessions never seen before by the process: ",
		"\nCPU per request, 64 connections, 1 000 sessions in turn: ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line begins %q in\n%s", want[1:], &out)
		}
	}
}

// TestLoad checks that one bad answer among many fails a run, and that the
// cookies sent are those of who is next.
func TestLoad(t *testing.T) {
	crowd := []cookies{{"session-1", "known-1"}, {"session-2", "known-2"}, {"session-3", "known-3"}}
	var bad atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := r.Cookie("portalgate-main")
		known, err2 := r.Cookie("portalgate-main-known")
		if err != nil || err2 != nil || r.Host != "localhost:1234" || session.Value[8:] != known.Value[6:] {
			t.Errorf("host %q, cookies %q", r.Host, r.Header["Cookie"])
		}
		if session != nil && session.Value == "session-3" && bad.Add(-1) == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprint(w, strings.Repeat("x", 1000))
	}))
	defer srv.Close()
	c, err := dial(srv.Listener.Addr().String(), "localhost:1234", 2, crowd[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, tc := range []struct {
		bad  int64
		want string
	}{
		{0, "<nil>"},
		{1, "1 of 3 requests failed, one of them so: answered HTTP/1.1 503 Service Unavailable"},
		{0, "<nil>"}, // and the connections are as good as before
	} {
		bad.Store(tc.bad)
		r, err := c.load(once(crowd))
		if fmt.Sprint(err) != tc.want || err == nil && len(r.took) != len(crowd) {
			t.Errorf("bad %d: %d answers, %v; want %q", tc.bad, len(r.took), err, tc.want)
		}
	}
}

// TestCutOff: an answer that ends too early is a failure, and so is one that
// does not say how long it is.
func TestCutOff(t *testing.T) {
	for answer, want := range map[string]string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel":     "EOF",
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello":   "an answer without a length",
		"HTTP/1.1 200 OK\r\nContent-Length: hello\r\n\r\n":    "an answer with a length that is none",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello":   "",
		"HTTP/1.1 302 Found\r\nContent-Length: 2\r\n\r\nhi":   "answered HTTP/1.1 302 Found",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nhel": "EOF",
	} {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			_, _ = there.Read(make([]byte, 10)) // the request
			for i := range len(answer) {
				if _, err := there.Write([]byte(answer[i : i+1])); err != nil {
					return
				}
			}
		}()
		cn := &conn{Conn: here, request: []byte("GET\r\n\r\n"), buf: make([]byte, 16<<10)}
		got := ""
		if err := cn.exchange(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", answer, got, want)
		}
		here.Close()
	}
}
