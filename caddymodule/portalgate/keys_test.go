// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalgate/portalgate/identity"
	"github.com/portalgate/portalgate/internal/testgate"
)

func TestMain(m *testing.M) { os.Exit(testgate.Main(m)) }

// portal is an application behind the gate, with a clock to set.
type portal struct {
	protected atomic.Pointer[http.Handler]
	ahead     atomic.Int64 // a time.Duration
}

func (p *portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*p.protected.Load()).ServeHTTP(w, r)
}

// behind begins to believe the gate.
func (p *portal) behind(t *testing.T, g *testgate.Gate) {
	v, err := identity.New(identity.Options{Issuer: g.URL, Now: func() time.Time {
		return time.Now().Add(time.Duration(p.ahead.Load()))
	}})
	if err != nil {
		t.Fatal(err)
	}
	h := v.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := identity.From(r.Context())
		fmt.Fprintf(w, "Hello %s", who.Name)
	}))
	p.protected.Store(&h)
}

// The operator replaces the keys of a running gate with the binary's own
// command. The application behind it has never heard of that: it meets a key
// that it does not know, fetches the set as soon as it may, and goes on
// greeting its client, who notices half a minute at most.
func TestKeysAreReplacedUnderThePortal(t *testing.T) {
	var p portal
	upstream := httptest.NewServer(&p)
	defer upstream.Close()
	g := testgate.Start(t, testgate.Options{Upstream: strings.TrimPrefix(upstream.URL, "http://")})
	p.behind(t, g)
	ada := g.SignIn("ada@example.com")[0]
	keys := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), testgate.Build(t),
			append([]string{"portalgate", "keys", "--address", strings.TrimPrefix(g.Admin, "http://")}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+g.Dir, "XDG_DATA_HOME="+g.Dir, "XDG_CONFIG_HOME="+g.Dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return "refused: " + string(out)
		}
		return string(out)
	}
	greets := func(when string, want bool) {
		t.Helper()
		if page := ada.Get("/"); strings.Contains(page.Body, "Hello Ada Lovelace") != want {
			t.Errorf("%s: the portal answers %d %q", when, page.Status, page.Body)
		}
	}

	before := keys()
	if !strings.Contains(before, "current") {
		t.Fatalf("keys: %q", before)
	}
	greets("first", true)
	if said := keys("rotate"); !strings.Contains(said, "possible from") {
		t.Errorf("keys rotate: %q", said)
	}
	greets("after a refused rotation", true)
	if said := keys("rotate", "--compromised"); !strings.HasPrefix(said, "all keys are new") {
		t.Fatalf("keys rotate --compromised: %q", said)
	}
	greets("moments after it fetched the old set", false)
	p.ahead.Store(int64(30 * time.Second))
	greets("30 s after", true)

	published := ada.Get("/.well-known/portalgate/jwks.json").Body
	for word := range strings.FieldsSeq(before) {
		if len(word) == 26 && strings.Contains(published, word) {
			t.Errorf("key %s is still published", word)
		}
	}
	if log := g.Log(); strings.Count(log, "signing_keys_") != 1 || !strings.Contains(log, "signing_keys_replaced") {
		t.Error("the audit log does not tell of it, or of something else")
	}
}
