// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package streamtest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/http2"

	"github.com/portalgate/portalgate/internal/testgate"
)

// kind is a way of holding something open.
type kind struct {
	name string
	path string
	h2   bool
	open func(*stream, http.RoundTripper) error
}

var kinds = []kind{
	{"WebSocket over HTTP/1.1", "/ws", false, openSocket},
	{"WebSocket over HTTP/2", "/ws", true, openSocketH2},
	{"event stream over HTTP/1.1", "/events", false, openReading},
	{"event stream over HTTP/2", "/events", true, openReading},
	{"download over HTTP/1.1", "/download", false, openReading},
	{"download over HTTP/2", "/download", true, openReading},
	{"upload over HTTP/1.1", "/upload", false, openUpload},
	{"upload over HTTP/2", "/upload", true, openUpload},
}

// transport returns a connection of its own for streams of kind k, and more
// connections if k's protocol needs them.
func (k kind) transport(g *testgate.Gate) http.RoundTripper {
	if k.h2 {
		return &http2.Transport{TLSClientConfig: &tls.Config{RootCAs: g.Roots}}
	}
	tr := g.Transport()
	tr.Protocols = new(http.Protocols)
	tr.Protocols.SetHTTP1(true)
	return tr
}

// stream is the client's end of something open.
type stream struct {
	kind
	req  *http.Request
	far  *far
	live chan struct{} // closed when the first bytes have come, or gone
	over chan struct{} // closed when the client has seen the end
	seen sync.Once     // sets at
	at   time.Time     // of over; read after it
	came atomic.Int64  // bytes that came, or of an upload that went
	hang context.CancelFunc
	plan
}

// plan is how a stream is opened.
type plan struct {
	cookies string
	below   string            // a path that it is opened below
	via     http.RoundTripper // nil is a connection of its own
	quiet   bool              // after the first bytes nothing is sent, either way
}

// dial opens a stream of kind k and waits until it is live at both ends.
func dial(g *testgate.Gate, up *upstream, k kind, s string, p plan) (*stream, error) {
	st, err := start(g, up, k, s, p)
	if err != nil {
		return nil, err
	}
	late := time.After(20 * time.Second)
	for _, live := range []chan struct{}{st.live, st.far.live} {
		select {
		case <-live:
		case <-st.over:
			return nil, fmt.Errorf("%s: over before it was live", k.name)
		case <-late:
			st.hang()
			return nil, fmt.Errorf("%s: not live after 20 s", k.name)
		}
	}
	return st, nil
}

// start opens a stream of kind k.
func start(g *testgate.Gate, up *upstream, k kind, s string, p plan) (*stream, error) {
	ctx, hang := context.WithCancel(context.Background())
	query := "?s=" + s
	if p.quiet {
		query += "&quiet"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL+p.below+k.path+query, nil)
	if err != nil {
		hang()
		return nil, err
	}
	if p.cookies != "" {
		req.Header.Set("Cookie", p.cookies)
	}
	if k.path == "/events" {
		req.Header.Set("Accept", "text/event-stream")
	}
	st := &stream{kind: k, req: req, far: up.far(s), live: make(chan struct{}), over: make(chan struct{}), hang: hang, plan: p}
	tr := p.via
	if tr == nil {
		own := k.transport(g)
		tr = own
		context.AfterFunc(ctx, func() { (&http.Client{Transport: own}).CloseIdleConnections() })
	}
	if err := k.open(st, tr); err != nil {
		hang()
		return nil, fmt.Errorf("%s: %w", k.name, err)
	}
	return st, nil
}

// errAnswer is an answer other than the one that opens a stream.
type errAnswer int

func (e errAnswer) Error() string { return fmt.Sprintf("answered %d", int(e)) }

// mark notes when the client saw the end, the first time.
func (st *stream) mark() { st.seen.Do(func() { st.at = time.Now() }) }

// ended notes that the client has seen the end, and hangs up: what is one
// connection for each stream should not outlive it.
func (st *stream) ended() {
	st.mark()
	close(st.over)
	st.hang()
}

// got notes that n more bytes have come.
func (st *stream) got(n int) {
	if st.came.Add(int64(n)) == int64(n) && n > 0 {
		close(st.live)
	}
}

// read reads to the end.
func (st *stream) read(r io.Reader) {
	b := make([]byte, 32<<10)
	for {
		n, err := r.Read(b)
		st.got(n)
		if err != nil {
			st.ended()
			return
		}
	}
}

// write sends a stamp every few milliseconds until the stream is over, or just
// one.
func (st *stream) write(send func([]byte) error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for send(stamp()) == nil {
		if st.quiet {
			return
		}
		select {
		case <-tick.C:
		case <-st.over:
			return
		}
	}
}

func openReading(st *stream, tr http.RoundTripper) error {
	res, err := tr.RoundTrip(st.req)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		res.Body.Close()
		return errAnswer(res.StatusCode)
	}
	go func() {
		defer res.Body.Close()
		st.read(res.Body)
	}()
	return nil
}

// openUpload sends and is never answered, as long as all is well.
func openUpload(st *stream, tr http.RoundTripper) error {
	body, in := io.Pipe()
	// net/http's client gives an answer that comes early to its caller 50 ms late.
	st.req = st.req.WithContext(httptrace.WithClientTrace(st.req.Context(), &httptrace.ClientTrace{
		GotFirstResponseByte: st.mark,
	}))
	st.req.Method, st.req.Body = http.MethodPost, body
	go st.write(func(b []byte) error {
		_, err := in.Write(b)
		if err == nil {
			st.got(len(b))
		}
		return err
	})
	go func() {
		res, err := tr.RoundTrip(st.req)
		if err == nil {
			res.Body.Close()
		}
		in.CloseWithError(errors.New("answered"))
		st.ended()
	}()
	return nil
}

func openSocket(st *stream, tr http.RoundTripper) error {
	conn, res, err := websocket.Dial(st.req.Context(), st.req.URL.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: tr}, HTTPHeader: st.req.Header,
	})
	if err != nil {
		if res != nil && res.StatusCode != http.StatusSwitchingProtocols {
			return errAnswer(res.StatusCode)
		}
		return err
	}
	ctx := context.Background()
	go st.write(func(b []byte) error { return conn.Write(ctx, websocket.MessageText, b) })
	go func() {
		defer conn.CloseNow()
		for {
			_, b, err := conn.Read(ctx)
			st.got(len(b))
			if err != nil {
				st.ended()
				return
			}
		}
	}()
	context.AfterFunc(st.req.Context(), func() { conn.CloseNow() })
	return nil
}

// openSocketH2 opens a WebSocket by extended CONNECT (RFC 8441). No library
// here frames one, so this does: masked by zeros, which is a mask.
func openSocketH2(st *stream, tr http.RoundTripper) error {
	body, in := io.Pipe()
	st.req.Method, st.req.Body = http.MethodConnect, body
	st.req.Header[":protocol"] = []string{"websocket"}
	st.req.Header.Set("Sec-WebSocket-Version", "13")
	res, err := tr.RoundTrip(st.req)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		res.Body.Close()
		return errAnswer(res.StatusCode)
	}
	go st.write(func(b []byte) error {
		_, err := in.Write(append([]byte{0x81, 0x80 | byte(len(b)), 0, 0, 0, 0}, b...))
		return err
	})
	go func() {
		defer in.Close()
		defer res.Body.Close()
		st.read(res.Body)
	}()
	return nil
}

// refused reports whether err is the gate's answer to somebody who is not
// signed in.
func refused(err error) bool {
	var answer errAnswer
	return errors.As(err, &answer) && answer == http.StatusUnauthorized
}

// alive waits until more has come, or more of an upload has arrived.
func (st *stream) alive(t *testing.T) {
	t.Helper()
	progress := func() any { return st.came.Load() }
	if st.path == "/upload" {
		progress = func() any { return st.far.received() }
	}
	before := progress()
	testgate.Wait(t, "more of a "+st.name, func() bool { return progress() != before })
}
