// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package streamtest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// stampSize is the length of a stamp: what both ends send says when it was
// sent, so that each can tell what of it is how old.
const stampSize = 19

// began is what stamps count from. Both ends are in this process.
var began = time.Now()

func stamp() []byte { return fmt.Appendf(nil, "%0*d", stampSize, time.Since(began)) }

// stampIn returns when a stamp was made.
func stampIn(b []byte) time.Time {
	n, _ := strconv.ParseInt(string(b), 10, 64)
	return began.Add(time.Duration(n))
}

// far is the upstream's end of a stream.
type far struct {
	live chan struct{} // closed when the first bytes have come or gone
	over chan struct{} // closed when the upstream has seen the end
	at   time.Time     // of over; read after it
	came sync.Once
	sent atomic.Int64 // bytes of a download
	here bool         // guarded by the upstream's mu; it has reached the upstream

	mu     sync.Mutex
	newest time.Time // when the newest of what arrived was sent
}

// upstream holds open whatever is asked for: /ws sends back what it gets,
// /events and /download send, /upload takes. Each stream is known by the s in
// its query. Everything else is a page.
type upstream struct {
	addr string

	mu    sync.Mutex
	fars  map[string]*far
	pages map[string]bool // the s of the pages that were asked for
}

func newUpstream(t *testing.T) *upstream {
	up := &upstream{fars: make(map[string]*far), pages: make(map[string]bool)}
	s := httptest.NewServer(up)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	up.addr = strings.TrimPrefix(s.URL, "http://")
	return up
}

// far returns the end of a stream that is here, or will be.
func (up *upstream) far(s string) *far {
	up.mu.Lock()
	defer up.mu.Unlock()
	f := up.fars[s]
	if f == nil {
		f = &far{live: make(chan struct{}), over: make(chan struct{})}
		up.fars[s] = f
	}
	return f
}

// closed returns how many streams, of those whose s begins with prefix, are
// still open, and when the last of the others was closed.
func (up *upstream) closed(prefix string) (open int, last time.Time) {
	up.mu.Lock()
	defer up.mu.Unlock()
	for s, f := range up.fars {
		if !f.here || !strings.HasPrefix(s, prefix) {
			continue
		}
		select {
		case <-f.over:
			if f.at.After(last) {
				last = f.at
			}
		default:
			open++
		}
	}
	return open, last
}

// seen reports whether a page was asked for.
func (up *upstream) seen(s string) bool {
	up.mu.Lock()
	defer up.mu.Unlock()
	return up.pages[s]
}

func (up *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := r.URL.Query().Get("s")
	serve := map[string]func(*far, http.ResponseWriter, *http.Request){
		"ws": webSocket, "events": events, "download": download, "upload": upload,
	}[path.Base(r.URL.Path)]
	if serve == nil {
		up.mu.Lock()
		defer up.mu.Unlock()
		up.pages[s] = true
		return
	}
	f := up.far(s)
	up.mu.Lock()
	f.here = true
	up.mu.Unlock()
	serve(f, w, r)
	f.at = time.Now()
	close(f.over)
}

// got notes what arrived.
func (f *far) got(b []byte) {
	f.mu.Lock()
	f.newest = stampIn(b)
	f.mu.Unlock()
	f.came.Do(func() { close(f.live) })
}

// received returns when the newest of what arrived was sent.
func (f *far) received() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.newest
}

func webSocket(f *far, w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	ctx := context.Background() // that of r is of no use after a hijack
	for r.URL.Query().Has("flood") {
		if conn.Write(ctx, websocket.MessageBinary, make([]byte, 1<<16)) != nil {
			return
		}
		f.sent.Add(1 << 16)
	}
	for {
		kind, b, err := conn.Read(ctx)
		if err != nil {
			return
		}
		f.got(b)
		if conn.Write(ctx, kind, b) != nil {
			return
		}
	}
}

func events(f *far, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	send(f, w, r, 10*time.Millisecond, func() []byte { return fmt.Appendf(nil, "data: %s\n\n", stamp()) })
}

func download(f *far, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(1<<40))
	piece := make([]byte, 16<<10)
	if r.URL.Query().Has("flood") {
		piece = make([]byte, 1<<20)
	}
	send(f, w, r, 5*time.Millisecond, func() []byte { return piece })
}

func send(f *far, w http.ResponseWriter, r *http.Request, every time.Duration, piece func() []byte) {
	out := http.NewResponseController(w)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		n, err := w.Write(piece())
		if err != nil || out.Flush() != nil {
			return
		}
		f.sent.Add(int64(n))
		f.came.Do(func() { close(f.live) })
		more := tick.C
		if r.URL.Query().Has("quiet") {
			more = nil
		}
		select {
		case <-more:
		case <-r.Context().Done():
			return
		}
	}
}

func upload(f *far, _ http.ResponseWriter, r *http.Request) {
	b := make([]byte, stampSize)
	for {
		if _, err := io.ReadFull(r.Body, b); err != nil {
			return
		}
		f.got(b)
	}
}
