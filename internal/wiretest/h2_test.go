// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package wiretest

import (
	"bytes"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portalgate/portalgate/internal/testgate"
)

// h2 is a raw HTTP/2 connection: what a well-behaved client would refuse to
// send goes out as it is.
type h2 struct {
	t      *testing.T
	conn   net.Conn
	framer *http2.Framer
	buf    bytes.Buffer
	enc    *hpack.Encoder
	next   uint32
}

// dialH2 opens one, with prior knowledge where the gate has no TLS.
func dialH2(t *testing.T, g *testgate.Gate) *h2 {
	t.Helper()
	conn, err := net.Dial("tcp", g.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if g.Roots != nil {
		conn = tls.Client(conn, &tls.Config{RootCAs: g.Roots, ServerName: "localhost", NextProtos: []string{"h2"}})
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	c := &h2{t: t, conn: conn, framer: http2.NewFramer(conn, conn), next: 1}
	c.enc = hpack.NewEncoder(&c.buf)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	if err := c.framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *h2) block(fields []string) []byte {
	c.buf.Reset()
	for i := 0; i < len(fields); i += 2 {
		c.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(c.buf.Bytes())
}

// send sends a request with a body and trailers, if there are any, and returns
// the response's status; "reset" if the server refuses stream or connection.
func (c *h2) send(g *testgate.Gate, method, path string, headers []string, body string, trailers []string) string {
	c.t.Helper()
	c.conn.SetDeadline(time.Now().Add(30 * time.Second))
	id := c.next
	c.next += 2
	scheme, authority, _ := strings.Cut(g.URL, "://")
	pseudo := []string{":method", method, ":scheme", scheme, ":authority", authority, ":path", path}
	ends := body == "" && trailers == nil
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: c.block(append(pseudo, headers...)), EndHeaders: true, EndStream: ends,
	})
	if err == nil && !ends {
		err = c.framer.WriteData(id, trailers == nil, []byte(body))
	}
	if err == nil && trailers != nil {
		err = c.framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: id, BlockFragment: c.block(trailers), EndHeaders: true, EndStream: true,
		})
	}
	if err != nil {
		return "reset"
	}
	status := ""
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			return "reset"
		}
		ended := false
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				c.framer.WriteSettingsAck()
			}
		case *http2.GoAwayFrame:
			return "reset"
		case *http2.RSTStreamFrame:
			if f.StreamID == id {
				if status == "" {
					status = "reset"
				}
				return status
			}
		case *http2.MetaHeadersFrame:
			if f.StreamID == id {
				status, ended = f.PseudoValue("status"), f.StreamEnded()
			}
		case *http2.DataFrame:
			ended = f.StreamID == id && f.StreamEnded()
		}
		if ended {
			return status
		}
	}
}
