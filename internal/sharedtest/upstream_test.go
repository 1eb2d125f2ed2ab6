// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package sharedtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/portalgate/portalgate/identity"
)

// upstream is behind all gates. It says whose request it got, and counts those
// that it should not have got.
type upstream struct {
	addr    string
	private atomic.Int64 // requests
	naked   atomic.Int64 // of these, with nobody's name
}

func newUpstream(t *testing.T) *upstream {
	up := new(upstream)
	s := httptest.NewServer(up)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		if n := up.naked.Load(); n > 0 {
			t.Errorf("%d of %d requests were forwarded without an identity", n, up.private.Load())
		}
	})
	up.addr = strings.TrimPrefix(s.URL, "http://")
	return up
}

func (up *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/assets/") {
		fmt.Fprint(w, "for everybody")
		return
	}
	up.private.Add(1)
	subject := subjectOf(r.Header.Get(identity.HeaderAssertion))
	if subject == "" {
		up.naked.Add(1)
	}
	switch r.URL.Path {
	case "/ws":
		echo(w, r)
	case "/events":
		events(w, r)
	default:
		fmt.Fprint(w, "for ", subject)
	}
}

// subjectOf returns whom an assertion is about. That it is genuine is proven
// elsewhere; here it matters that there is one, and whose.
func subjectOf(assertion string) string {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct{ Sub string }
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Sub
}

func echo(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for {
		kind, b, err := conn.Read(r.Context())
		if err != nil || conn.Write(r.Context(), kind, b) != nil {
			return
		}
	}
}

func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := fmt.Fprint(w, "data: news\n\n"); err != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}
