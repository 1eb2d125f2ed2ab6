// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package relyingparty

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// What an issuer may cost us. It is another party's server and may be slow,
// down or somebody else's.
const (
	patience = 5 * time.Second // for one answer, to its last byte
	mostBody = 1 << 20
	skew     = time.Minute // between its clock and ours

	foundLife  = 24 * time.Hour // of what discovery said
	shortPause = time.Second    // after discovery failed; doubled up to
	longPause  = 30 * time.Second
)

// issuer is who signs the tokens. What it publishes is asked for when it is
// first needed, so that one that is down keeps no gate from starting.
type issuer struct {
	url, clientID string
	known         *Known // nil: by discovery
	http          *http.Client
	now           func() time.Time

	mu    sync.Mutex // one asks at a time
	found *endpoints
	fresh time.Time     // until when found need not be asked for again
	pause time.Duration // before the next try
	next  time.Time     // when it may be
	err   error         // of the last try
}

// endpoints are where an issuer is to be asked, and how its tokens are checked.
type endpoints struct {
	oauth2.Endpoint
	origin   string // of the sign-in page
	verifier *oidc.IDTokenVerifier
	says     bool // it names itself in its answers (RFC 9207)
}

func newIssuer(issuerURL, clientID string, known *Known) *issuer {
	return &issuer{url: issuerURL, clientID: clientID, known: known, http: newClient(), now: time.Now}
}

// get returns the issuer's endpoints. After a failure nobody is asked again for
// a while, however many people try.
func (i *issuer) get(ctx context.Context) (*endpoints, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.now()
	switch {
	case i.found != nil && now.Before(i.fresh):
		return i.found, nil
	case now.Before(i.next):
		if i.found != nil {
			return i.found, nil
		}
		return nil, i.err
	}
	// It is found out for everybody, whoever's visit it began in.
	found, err := i.discover(context.WithoutCancel(ctx))
	if err != nil {
		i.pause = min(max(2*i.pause, shortPause), longPause)
		i.next, i.err = i.now().Add(i.pause), fmt.Errorf("asking %s what it is: %s", i.url, clip(err.Error()))
		if i.found != nil {
			return i.found, nil // what it said before will do
		}
		return nil, i.err
	}
	i.found, i.fresh, i.pause, i.err = found, now.Add(foundLife), 0, nil
	return found, nil
}

func (i *issuer) discover(ctx context.Context) (*endpoints, error) {
	ctx = oidc.ClientContext(ctx, i.http)
	var p *oidc.Provider
	var more struct {
		Says bool     `json:"authorization_response_iss_parameter_supported"`
		Auth []string `json:"token_endpoint_auth_methods_supported"`
		Keys string   `json:"jwks_uri"`
	}
	if k := i.known; k != nil {
		more.Keys, more.Auth = k.Keys, []string{"client_secret_post"}
		p = (&oidc.ProviderConfig{IssuerURL: i.url, AuthURL: k.Auth, TokenURL: k.Token, JWKSURL: k.Keys}).NewProvider(ctx)
	} else {
		var err error
		if p, err = oidc.NewProvider(ctx, i.url); err != nil {
			return nil, err
		}
		if err = p.Claims(&more); err != nil {
			return nil, err
		}
	}
	e := &endpoints{Endpoint: p.Endpoint(), says: more.Says}
	for _, place := range []string{e.AuthURL, e.TokenURL, more.Keys} {
		if err := safeURL(place); err != nil {
			return nil, err
		}
	}
	u, err := url.Parse(e.AuthURL)
	if err != nil {
		return nil, err
	}
	e.origin = u.Scheme + "://" + u.Host
	e.AuthStyle = oauth2.AuthStyleInHeader
	if len(more.Auth) > 0 && !slices.Contains(more.Auth, "client_secret_basic") {
		e.AuthStyle = oauth2.AuthStyleInParams
	}
	e.verifier = p.Verifier(&oidc.Config{
		ClientID: i.clientID, SupportedSigningAlgs: []string{oidc.RS256, oidc.ES256},
		Now: func() time.Time { return i.now().Add(-skew) }, // of expiry
	})
	return e, nil
}

// safeURL refuses what is neither https nor on this machine.
func safeURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%q is no address to ask", clip(s))
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%q is not https", clip(s))
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.IsLoopback()
}

// newClient makes a client for what an issuer says: short of patience, with an
// end to every answer, and that lets nobody send it on to elsewhere.
func newClient() *http.Client {
	dialer := &net.Dialer{Timeout: patience, Control: func(_, addr string, _ syscall.RawConn) error { return safeDial(addr) }}
	return &http.Client{
		Timeout: patience,
		Transport: capped{&http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: patience, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 2, MaxResponseHeaderBytes: 64 << 10,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("an issuer must not send us on") },
	}
}

// metadata are the addresses at which machines in clouds are told their secrets,
// as far as they are not link-local.
var metadata = []netip.Addr{netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("100.100.100.200")}

// safeDial refuses the addresses at which no issuer is, whatever a name resolves
// to.
func safeDial(addr string) error {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return err
	}
	ip := to.Addr().Unmap().WithZone("")
	if ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() || slices.Contains(metadata, ip) {
		return fmt.Errorf("there is no issuer at %s", ip)
	}
	return nil
}

// capped puts an end to every answer, and asks over https only.
type capped struct{ next http.RoundTripper }

func (c capped) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := safeURL(r.URL.String()); err != nil {
		return nil, err
	}
	resp, err := c.next.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, mostBody)
	}
	return resp, err
}

// clip keeps what goes into the log short: there is no telling what an issuer
// answers.
func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 200)], "") }
