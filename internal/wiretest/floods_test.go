// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package wiretest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/portalgate/portalgate/internal/testgate"
)

// TestH15_Floods sends forms that are too large, too many or never end, and
// floods of frames, and looks whether others are served meanwhile.
func TestH15_Floods(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := testgate.Start(t, testgate.Options{Upstream: up.addr, Global: "servers {\n\tprotocols h1 h2c\n}"})
	b := newBrowser(t, g)
	b.signIn(g, 1)

	const head = "POST /sign-in/magic-link HTTP/1.1\r\nHost: %HOST%\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	// 40 forms whose bodies never end, and 40 requests whose headers do not.
	begun := time.Now()
	slow := make([]*client, 40)
	for i := range slow {
		slow[i] = dial(t, g)
		io.WriteString(slow[i], strings.ReplaceAll(head, "%HOST%", host(g))+"Content-Length: 16000\r\n\r\nemail=")
		io.WriteString(dial(t, g), "GET /sign-in HTTP/1.1\r\nX-Slow: ")
	}
	stop := make(chan struct{})
	var drip sync.WaitGroup
	drip.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				for _, c := range slow {
					c.Write([]byte("a")) // it may have been hung up on
				}
			}
		}
	})

	t.Run("forms", func(t *testing.T) {
		for name, tc := range map[string]struct{ kind, body string }{
			"16 KiB and a byte": {"application/x-www-form-urlencoded", "email=" + strings.Repeat("a", 16<<10)},
			"a million fields":  {"application/x-www-form-urlencoded", strings.Repeat("a&", 1_000_000)},
			"21 fields":         {"application/x-www-form-urlencoded", "email=ada@example.com" + strings.Repeat("&a=b", 20)},
			"100 MB":            {"application/x-www-form-urlencoded", strings.Repeat("a", 100<<20)},
			"multipart":         {"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\nada@example.com\r\n--x--\r\n"},
			"text/plain":        {"text/plain", "email=ada@example.com"},
			"JSON":              {"application/json", `{"email":"ada@example.com"}`},
			"gzip":              {"application/x-www-form-urlencoded\r\nContent-Encoding: gzip", "\x1f\x8b\x08\x00\x00"},
			"a field twice":     {"application/x-www-form-urlencoded", "email=ada@example.com&email=eve@example.com"},
		} {
			c := dial(t, g)
			go func() { // the gate need not read it all
				fmt.Fprintf(c, "%sContent-Length: %d\r\nContent-Type: %s\r\n\r\n", strings.ReplaceAll(strings.SplitAfter(head, "%HOST%\r\n")[0], "%HOST%", host(g)), len(tc.body), tc.kind)
				io.WriteString(c, tc.body)
			}()
			res, _, err := c.answer("POST")
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if res.StatusCode/100 != 4 {
				t.Errorf("%s: %d", name, res.StatusCode)
			}
			c.Close()
		}
	})
	t.Run("frames", func(t *testing.T) {
		c := dialH2(t, g)
		for i := uint32(1); i < 20_000; i += 2 { // rapid reset
			if c.framer.WriteHeaders(http2.HeadersFrameParam{
				StreamID: i, EndHeaders: true, EndStream: true,
				BlockFragment: c.block([]string{":method", "GET", ":scheme", "http", ":authority", host(g), ":path", "/sign-in"}),
			}) != nil || c.framer.WriteRSTStream(i, http2.ErrCodeCancel) != nil {
				break
			}
		}
		c = dialH2(t, g)
		c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.block([]string{":method", "GET"})})
		for range 20_000 { // CONTINUATION without end
			if c.framer.WriteContinuation(1, false, c.block([]string{"x", strings.Repeat("y", 100)})) != nil {
				break
			}
		}
		c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		for {
			f, err := c.framer.ReadFrame()
			if _, gone := f.(*http2.GoAwayFrame); gone {
				break
			}
			if nerr, ok := err.(net.Error); ok && nerr.Timeout() {
				t.Fatal("2 MB of headers were taken")
			}
			if err != nil {
				break
			}
		}
	})
	for range 20 {
		at := time.Now()
		if p := b.get(g.URL + "/portal"); p.status != http.StatusOK {
			t.Fatalf("others are not served: %d", p.status)
		}
		if p := b.get(g.URL + "/sign-in/help"); p.status != http.StatusOK {
			t.Fatalf("others are not served: %d", p.status)
		}
		if took := time.Since(at); took > 3*time.Second {
			t.Errorf("others waited %v", took)
		}
	}
	// A form is given up after 10 s, however steadily it drips.
	for _, c := range slow {
		res, _, err := c.answer("POST")
		if err == nil && res.StatusCode != http.StatusBadRequest && res.StatusCode != http.StatusRequestTimeout {
			t.Errorf("a form without end: %d", res.StatusCode)
		}
		if took := time.Since(begun); took > 25*time.Second {
			t.Fatalf("a form without end was still read after %v", took)
		}
	}
	close(stop)
	drip.Wait()
}
