// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package relyingparty

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/oidctest"
	"github.com/portalgate/portalgate/providers"
)

// TestO10_Discovery: an issuer, or whoever has taken its place, answers with
// what should lead us elsewhere or never ends. Each is refused, within the time
// and size an issuer is given.
func TestO10_Discovery(t *testing.T) {
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a redirect was followed to a server inside")
	}))
	t.Cleanup(inner.Close) // the cases, which are parallel, go on after this function
	with := func(name string, value any) func(*oidctest.Issuer) {
		return func(i *oidctest.Issuer) {
			i.Be(func(c *oidctest.Conduct) { c.Metadata = func(m map[string]any) { m[name] = value } })
		}
	}
	instead := func(endpoint string, h http.HandlerFunc) func(*oidctest.Issuer) {
		return func(i *oidctest.Issuer) { i.Instead(endpoint, h) }
	}
	for name, lie := range map[string]func(*oidctest.Issuer){
		"issuer of another":     with("issuer", "https://evil.example"),
		"http sign-in page":     with("authorization_endpoint", "http://evil.example/authorize"),
		"script as page":        with("authorization_endpoint", "javascript:alert(1)"),
		"user in page":          with("authorization_endpoint", "https://accounts.example@evil.example/"),
		"http token endpoint":   with("token_endpoint", "http://evil.example/token"),
		"metadata as endpoint":  with("token_endpoint", "http://169.254.169.254/latest/meta-data/"),
		"http keys":             with("jwks_uri", "http://evil.example/keys"),
		"no keys":               with("jwks_uri", ""),
		"redirect":              instead(oidctest.Discovery, oidctest.RedirectsTo(inner.URL)),
		"redirect to metadata":  instead(oidctest.Discovery, oidctest.RedirectsTo("http://169.254.169.254/")),
		"token redirect":        instead(oidctest.Token, oidctest.RedirectsTo(inner.URL)),
		"keys redirect":         instead(oidctest.Keys, oidctest.RedirectsTo(inner.URL)),
		"flood":                 instead(oidctest.Discovery, oidctest.Floods),
		"token flood":           instead(oidctest.Token, oidctest.Floods),
		"keys flood":            instead(oidctest.Keys, oidctest.Floods),
		"slow drip":             instead(oidctest.Discovery, oidctest.Drips),
		"token drip":            instead(oidctest.Token, oidctest.Drips),
		"500":                   instead(oidctest.Discovery, oidctest.Fails),
		"token 500":             instead(oidctest.Token, oidctest.Fails),
		"keys 500":              instead(oidctest.Keys, oidctest.Fails),
		"silence":               instead(oidctest.Discovery, oidctest.Hangs),
		"silence at the keys":   instead(oidctest.Keys, oidctest.Hangs),
		"silence at the tokens": instead(oidctest.Token, oidctest.Hangs),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := oidctest.New(t)
			p := opened(t, i)
			p.issuer.http.Timeout = 300 * time.Millisecond
			lie(i)
			step, err := p.Start(context.Background(), providers.Request{Callback: callback, Attempt: "a"})
			if err == nil && step.Redirect.Origins[0] == i.URL {
				_, err = p.Finish(context.Background(), away(t, p, false))
			}
			if err == nil {
				t.Error("believed")
			} else if len(err.Error()) > 500 {
				t.Errorf("an error of %d bytes goes to the log", len(err.Error()))
			}
		})
	}
}

// TestSafeURL: the secret and the code go over https, or to this machine.
func TestSafeURL(t *testing.T) {
	for s, refused := range map[string]bool{
		"https://accounts.example.com/token": false, "http://localhost:8080/": false, "http://issuer.localhost/": false,
		"http://127.0.0.1:8080/": false, "http://[::1]/": false,
		"http://192.0.2.1/": true, "http://localhost.example/": true, "http://127.0.0.1.example/": true, "https:///token": true,
		"https://ada@example.com/": true, "https://example.com/#a": true, "ftp://localhost/": true, "": true,
	} {
		if err := safeURL(s); (err != nil) != refused {
			t.Errorf("%q: %v, refused should be %t", s, err, refused)
		}
	}
}

// TestC03_Dialled: whatever a name resolves to, what answers on these addresses is
// no issuer: the gate is nobody's way to what only its own machine reaches.
func TestC03_Dialled(t *testing.T) {
	for addr, refused := range map[string]bool{
		"169.254.169.254:80": true, "[fe80::1%eth0]:443": true, "[::ffff:169.254.169.254]:80": true, "[fd00:ec2::254]:80": true,
		"0.0.0.0:443": true, "[::]:443": true, "224.0.0.1:443": true, "100.100.100.200:80": true,
		"127.0.0.1:8080": false, "192.0.2.1:443": false, "[2001:db8::1]:443": false,
	} {
		if err := safeDial(addr); (err != nil) != refused {
			t.Errorf("%s: %v, refused should be %t", addr, err, refused)
		}
	}
	transport := newClient().Transport.(capped).next.(*http.Transport)
	if _, err := transport.DialContext(t.Context(), "tcp", "169.254.169.254:80"); err == nil || !strings.Contains(err.Error(), "there is no issuer at") {
		t.Errorf("an issuer's client dials it: %v", err)
	}
}

// TestO12_InvalidTLS: what answers in the issuer's place cannot show that it is the
// issuer. It is asked nothing, and least of all told the secret.
func TestO12_InvalidTLS(t *testing.T) {
	impostor := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("it was asked %s", r.URL.Path)
	}))
	impostor.Config.ErrorLog = log.New(io.Discard, "", 0)
	impostor.StartTLS() // with a certificate of its own making
	defer impostor.Close()
	for what, known := range map[string]*Known{
		"discovery": nil,
		"token":     {Auth: impostor.URL + "/authorize", Token: impostor.URL + "/token", Keys: impostor.URL + "/keys"},
	} {
		c := &Client{Issuer: impostor.URL, ClientID: oidctest.ClientID}
		c.Open(oidctest.ClientSecret, known)
		step, err := c.Start(context.Background(), providers.Request{Callback: callback, Attempt: "a"})
		if (err == nil) != (known != nil) {
			t.Fatalf("%s: starting: %v", what, err)
		}
		_, err = c.Finish(context.Background(), providers.Request{
			Callback: callback, State: step.State, Fields: map[string]string{"code": "c", "state": "a"},
		})
		if err == nil {
			t.Errorf("%s: believed", what)
		}
	}
}

// TestO12_NoStorm: the issuer is down and everybody tries at once. It is asked
// once, and then again after 1, 2, 4, ... 30 s, however many people try; when it
// is back, so is the way in.
func TestO12_NoStorm(t *testing.T) {
	i := oidctest.New(t)
	i.Instead(oidctest.Discovery, oidctest.Fails)
	p := opened(t, i)
	var now atomic.Int64
	now.Store(time.Now().UnixNano())
	p.issuer.now = func() time.Time { return time.Unix(0, now.Load()) }
	everybody := func() {
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := p.Start(context.Background(), providers.Request{Callback: callback, Attempt: "a"}); err == nil {
					t.Error("started without an issuer")
				}
			})
		}
		wg.Wait()
	}
	for range 600 {
		everybody()
		now.Add(int64(time.Second))
	}
	// 1+2+4+8+16 s, and from then on every 30.
	if got := i.Hits(oidctest.Discovery); got < 20 || got > 26 {
		t.Errorf("asked %d times in 10 minutes", got)
	}
	i.Instead(oidctest.Discovery, nil)
	now.Add(int64(longPause))
	if _, err := signIn(t, p); err != nil {
		t.Errorf("the issuer is back, and: %v", err)
	}
	// What it said before will do while it is down again.
	i.Instead(oidctest.Discovery, oidctest.Fails)
	now.Add(int64(foundLife))
	before := i.Hits(oidctest.Discovery)
	for range 2 {
		if _, err := p.Start(context.Background(), providers.Request{Callback: callback, Attempt: "a"}); err != nil {
			t.Error(err)
		}
	}
	if got := i.Hits(oidctest.Discovery) - before; got != 1 {
		t.Errorf("a day later it was asked %d times, want once", got)
	}
}
