// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// head is the request, as a page of the portal sends it in the browser of one
// who is signed in. The cookies are put in its place for each.
const head = "GET /api/appointments?week=27 HTTP/1.1\r\n" +
	"Host: %s\r\n" +
	"User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n" +
	"Accept: */*\r\nAccept-Language: en-US,en;q=0.9\r\n" +
	"Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n" +
	"Cookie: theme=light; portalgate-" + gateName + "=%s; portalgate-" + gateName + "-known=%s\r\n\r\n"

// client is a number of connections to one server, kept alive, each of which
// sends its next request when it has the answer to the one before.
type client struct {
	conns []*conn
}

// conn is one connection. It may be used by one goroutine at a time.
type conn struct {
	net.Conn
	request            []byte // with room for any client's cookies
	sessionAt, knownAt int
	buf                []byte
	took               []time.Duration // for each answer of this run
	failed             int
	err                error // the first failure
}

// answerTime bounds one exchange.
const answerTime = 10 * time.Second

// dial connects n times to a server at addr, for requests to a host.
func dial(addr, host string, n int, sample cookies) (*client, error) {
	request := fmt.Appendf(nil, head, host, sample.session, sample.known)
	c := new(client)
	for range n {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			c.close()
			return nil, err
		}
		c.conns = append(c.conns, &conn{
			Conn: nc, request: bytes.Clone(request), buf: make([]byte, 16<<10),
			sessionAt: bytes.Index(request, []byte(sample.session)),
			knownAt:   bytes.LastIndex(request, []byte(sample.known)),
		})
	}
	return c, nil
}

func (c *client) close() {
	for _, cn := range c.conns {
		cn.Close()
	}
}

// result is what a load came to.
type result struct {
	took []time.Duration // for each answer
	wall time.Duration
}

// load sends requests with the cookies that next returns, on all connections
// at once, until it returns nil. One answer that is not 200 is an error.
func (c *client) load(next func() *cookies) (result, error) {
	began := time.Now()
	var wg sync.WaitGroup
	for _, cn := range c.conns {
		wg.Go(func() { cn.run(next) })
	}
	wg.Wait()
	r := result{wall: time.Since(began)}
	failed, errs := 0, []error(nil)
	for _, cn := range c.conns {
		r.took = append(r.took, cn.took...)
		failed += cn.failed
		errs = append(errs, cn.err)
	}
	if failed > 0 {
		first := slices.IndexFunc(errs, func(err error) bool { return err != nil })
		return r, fmt.Errorf("%d of %d requests failed, one of them so: %w", failed, failed+len(r.took), errs[first])
	}
	if len(r.took) == 0 {
		return r, errors.New("no request was sent")
	}
	return r, nil
}

func (cn *conn) run(next func() *cookies) {
	cn.took, cn.failed, cn.err = cn.took[:0], 0, nil
	for who := next(); who != nil; who = next() {
		copy(cn.request[cn.sessionAt:], who.session)
		copy(cn.request[cn.knownAt:], who.known)
		began := time.Now()
		err := cn.exchange()
		if err == nil {
			cn.took = append(cn.took, time.Since(began))
			continue
		}
		cn.failed++
		if cn.err == nil {
			cn.err = err
		}
		if !errors.As(err, new(badStatus)) {
			return // the connection is of no more use
		}
	}
}

type badStatus string

func (s badStatus) Error() string { return "answered " + string(s) }

// exchange sends the request and reads the answer, whole.
func (cn *conn) exchange() error {
	if err := cn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	if _, err := cn.Write(cn.request); err != nil {
		return err
	}
	n, end := 0, -1
	for end < 0 || n < end {
		if n == len(cn.buf) {
			return errors.New("an answer larger than any that was asked for")
		}
		m, err := cn.Read(cn.buf[n:])
		if err != nil {
			return err
		}
		n += m
		if end < 0 {
			if end, err = answerEnd(cn.buf[:n]); err != nil {
				return err
			}
		}
	}
	if line, _, _ := bytes.Cut(cn.buf[:n], []byte("\r\n")); !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return badStatus(line)
	}
	return nil
}

// answerEnd returns the length of the answer that begins b; -1 if too little
// of it is there to say.
func answerEnd(b []byte) (int, error) {
	at := bytes.Index(b, []byte("\r\n\r\n"))
	if at < 0 {
		return -1, nil
	}
	_, rest, ok := bytes.Cut(b[:at+2], []byte("\r\nContent-Length: "))
	if !ok {
		return 0, errors.New("an answer without a length")
	}
	digits, _, _ := bytes.Cut(rest, []byte("\r\n"))
	n, err := strconv.Atoi(string(digits))
	if err != nil || n < 0 {
		return 0, errors.New("an answer with a length that is none")
	}
	return at + 4 + n, nil
}

// until uses all in turn, going on where at stands, for a time.
func until(all []cookies, at *atomic.Int64, span time.Duration) func() *cookies {
	end := time.Now().Add(span)
	return func() *cookies {
		if time.Now().After(end) {
			return nil
		}
		return &all[int(at.Add(1)-1)%len(all)]
	}
}

// once uses each of all once.
func once(all []cookies) func() *cookies {
	var at atomic.Int64
	return func() *cookies {
		if i := int(at.Add(1) - 1); i < len(all) {
			return &all[i]
		}
		return nil
	}
}
