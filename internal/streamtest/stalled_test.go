// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package streamtest

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/testgate"
)

// TestH10_StalledClient ends a session whose client has stopped reading: what
// the gate is about to write to it waits then, and must not keep the upstream
// waiting too. When the client reads on, it gets what had been sent before, and
// then the end.
func TestH10_StalledClient(t *testing.T) {
	timed(t)
	var stalling []kind
	for _, k := range kinds {
		if k.path == "/ws" || k.path == "/download" {
			stalling = append(stalling, k)
		}
	}
	n := sized(10, 1) * len(stalling)
	up := newUpstream(t)
	g := testgate.Start(t, options(up, n))
	f := make(figures)
	for i, v := range signIn(g, 0, n) {
		k, s := stalling[i%len(stalling)], fmt.Sprint("stalled", i)
		tr := k.transport(g)
		client := http.Client{Transport: tr}
		req, _ := http.NewRequest(http.MethodGet, g.URL+k.path+"?flood&s="+s, nil)
		req.Header.Set("Cookie", v.Cookies())
		if k.path == "/ws" {
			req.Header.Set("Sec-WebSocket-Version", "13")
			req.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
			req.Header.Set("Connection", "Upgrade")
			req.Header.Set("Upgrade", "websocket")
			if k.h2 {
				var in *io.PipeWriter
				req.Body, in = io.Pipe()
				defer in.Close()
				req.Method, req.Header = http.MethodConnect, http.Header{
					":protocol": {"websocket"}, "Cookie": {v.Cookies()}, "Sec-WebSocket-Version": {"13"},
				}
			}
		}
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		// The upstream's writes stand still when all that is between is full.
		far, was := up.far(s), int64(0)
		testgate.Wait(t, "standstill", func() bool {
			before := was
			was = far.sent.Load()
			return was > 0 && was == before
		})
		ended := v.Press(v.Get("/sign-in/sign-out"), "/sign-in/sign-out")
		select {
		case <-far.over:
			f.add(k.name+", at the upstream", far.at.Sub(ended))
		case <-time.After(never):
			t.Errorf("%s: still open at the upstream after %v", k.name, never)
		}
		read := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, res.Body)
			read <- err
		}()
		select {
		case err := <-read:
			if err == nil && k.path == "/download" {
				t.Errorf("%s: cut short, and looks whole", k.name)
			}
		case <-time.After(never):
			t.Errorf("%s: still open at the client after %v", k.name, never)
		}
		res.Body.Close()
		client.CloseIdleConnections()
	}
	f.report(t, "client does not read; closed", soon())
}
