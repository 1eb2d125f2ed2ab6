// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package testgate

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// TestStart shows that what everybody builds on stands: both schemes answer,
// the portal behind them is reached on its public path, and a gate that was
// killed comes back.
func TestStart(t *testing.T) {
	for _, tls := range []bool{false, true} {
		g := Start(t, Options{TLS: tls})
		client := http.Client{Transport: g.Transport()}
		for path, want := range map[string]int{"/assets/style.css": 200, "/sign-in": 200, "/api/me": 401} {
			res, err := client.Get(g.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != want {
				t.Errorf("%s%s = %d, want %d", g.URL, path, res.StatusCode, want)
			}
		}
		if got := g.Messages(); len(got) != 0 {
			t.Errorf("%d mails before anybody asked for one", len(got))
		}
		client.CloseIdleConnections()
		g.Kill()
		g.Restart()
		if !strings.Contains(g.Log(), `"level":"debug"`) {
			t.Error("the log has no DEBUG lines")
		}
	}
}
