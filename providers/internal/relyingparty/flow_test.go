// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package relyingparty

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/oidctest"
	"github.com/portalgate/portalgate/providers"
)

const callback = "https://portal.example.com/sign-in/google/callback"

// opened returns a client of an issuer as a method has it.
func opened(t *testing.T, i *oidctest.Issuer) *Client {
	t.Helper()
	c := &Client{Issuer: i.URL, ClientID: oidctest.ClientID, ClientSecret: "a placeholder"}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	c.Open(oidctest.ClientSecret, nil)
	return c
}

// away starts a sign-in and lets the issuer send it back: what the browser
// brings, and what the gate has kept.
func away(t *testing.T, p *Client, choose bool) providers.Request {
	t.Helper()
	step, err := p.Start(context.Background(), providers.Request{Callback: callback, Attempt: "the-attempt", Choose: choose})
	if err != nil {
		t.Fatal(err)
	}
	return providers.Request{Callback: callback, Fields: oidctest.Visit(t, step.Redirect.URL), State: step.State}
}

func signIn(t *testing.T, p *Client) (*providers.Claim, error) {
	t.Helper()
	_, claim, err := p.Continue(context.Background(), away(t, p, false))
	return claim, err
}

func TestSignIn(t *testing.T) {
	i := oidctest.New(t)
	p := opened(t, i)
	c, err := signIn(t, p)
	if err != nil {
		t.Fatal(err)
	}
	if c.Subject != "sub-ada" || c.Email != "ada@example.com" || !c.EmailVerified || c.Authoritative {
		t.Errorf("claim %+v", c)
	}
	q := i.Asked()[0]
	for name, want := range map[string]string{
		"scope": "openid email", "state": "the-attempt", "code_challenge_method": "S256", "redirect_uri": callback,
		"response_type": "code", "client_id": oidctest.ClientID,
	} {
		if q.Get(name) != want {
			t.Errorf("asked with %s %q, want %q", name, q.Get(name), want)
		}
	}
	for _, name := range []string{"login_hint", "prompt", "hd", "access_type"} {
		if q.Has(name) {
			t.Errorf("the issuer is told %s=%q", name, q.Get(name))
		}
	}
	away(t, p, true)
	if q := i.Asked()[1]; q.Get("prompt") != "select_account" {
		t.Errorf("to choose an account it was asked with %v", q)
	}
	if got := i.Hits(oidctest.Discovery); got != 1 {
		t.Errorf("discovery was asked %d times for two sign-ins", got)
	}
}

// mutate changes one claim; a nil value takes it away.
func mutate(name string, value any) func(*oidctest.Conduct) {
	return func(c *oidctest.Conduct) {
		c.Claims = func(claims map[string]any) {
			if claims[name] = value; value == nil {
				delete(claims, name)
			}
		}
	}
}

// TestLies has the issuer tell one lie at a time. O03, O05, O06 and a little
// more: nobody comes in by any of them.
func TestLies(t *testing.T) {
	now := time.Now().Unix()
	for name, lie := range map[string]func(*oidctest.Conduct){
		"iss of another":      mutate("iss", "https://evil.example"),
		"no iss":              mutate("iss", nil),
		"aud of another":      mutate("aud", "sibling"),
		"aud of several":      mutate("aud", []string{oidctest.ClientID, "sibling"}),
		"no aud":              mutate("aud", nil),
		"azp of another":      mutate("azp", "sibling"),
		"expired":             mutate("exp", now-61),
		"no exp":              mutate("exp", nil),
		"iat from the future": mutate("iat", now+120),
		"iat long ago":        mutate("iat", now-7200),
		"no iat":              mutate("iat", nil),
		"nonce of another":    mutate("nonce", "another"),
		"no nonce":            mutate("nonce", nil),
		"empty nonce":         mutate("nonce", ""),
		"no sub":              mutate("sub", nil),
		"long sub":            mutate("sub", strings.Repeat("x", 256)),
		"sub of a number":     mutate("sub", 7),
		"email of a list":     mutate("email", []string{"ada@example.com"}),
		"unsigned":            func(c *oidctest.Conduct) { c.Sign = oidctest.Unsigned },
		"HS256":               func(c *oidctest.Conduct) { c.Sign = oidctest.WithSecret },
		"another key":         func(c *oidctest.Conduct) { c.Sign = oidctest.WithOtherKey("key-1") },
		"another key, no kid": func(c *oidctest.Conduct) { c.Sign = oidctest.WithOtherKey("") },
		"no token at all":     func(c *oidctest.Conduct) { c.Sign = func([]byte) string { return "" } },
		"iss in the answer":   func(c *oidctest.Conduct) { c.Back = func(q url.Values) { q.Set("iss", "https://evil.example") } },
		"no iss in it":        func(c *oidctest.Conduct) { c.Back = func(q url.Values) { q.Del("iss") } },
		"code and error":      func(c *oidctest.Conduct) { c.Back = func(q url.Values) { q.Set("error", "server_error") } },
		"no code":             func(c *oidctest.Conduct) { c.Back = func(q url.Values) { q.Del("code") } },
		"code of nobody":      func(c *oidctest.Conduct) { c.Back = func(q url.Values) { q.Set("code", "x") } },
	} {
		t.Run(name, func(t *testing.T) {
			i := oidctest.New(t)
			p := opened(t, i)
			i.Be(lie)
			if c, err := signIn(t, p); err == nil {
				t.Errorf("believed: %+v", c)
			}
		})
	}
}

// TestSkew: clocks differ by up to a minute.
func TestSkew(t *testing.T) {
	i := oidctest.New(t)
	p := opened(t, i)
	now := time.Now().Unix()
	for _, near := range []func(*oidctest.Conduct){mutate("exp", now-20), mutate("iat", now+40)} {
		i.Be(near)
		if _, err := signIn(t, p); err != nil {
			t.Error(err)
		}
	}
}

// TestO07_EmailVerified: the account's address is not confirmed, and the issuer,
// or whoever set it up, says so in a way that a lenient reader takes for yes.
func TestO07_EmailVerified(t *testing.T) {
	i := oidctest.New(t)
	p := opened(t, i)
	for _, value := range []any{false, "true", "false", "", 1, 0, nil, []bool{true}, map[string]bool{"true": true}} {
		i.Be(mutate("email_verified", value))
		if c, err := signIn(t, p); err == nil && c.EmailVerified {
			t.Errorf("%#v is taken for verified", value)
		}
	}
	i.Be(mutate("email_verified", true))
	if c, err := signIn(t, p); err != nil || !c.EmailVerified {
		t.Errorf("true is not: %+v, %v", c, err)
	}
}

// TestO04_PKCE: a code of one browser is put into the answer to another. The
// verifier does not fit it; and where the issuer does not check that, the nonce
// in the token does not.
func TestO04_PKCE(t *testing.T) {
	for _, noPKCE := range []bool{false, true} {
		i := oidctest.New(t)
		p := opened(t, i)
		i.Be(func(c *oidctest.Conduct) { c.NoPKCE = noPKCE })
		mine, theirs := away(t, p, false), away(t, p, false)
		mine.Fields = maps.Clone(mine.Fields)
		mine.Fields["code"] = theirs.Fields["code"]
		if c, err := p.Finish(context.Background(), mine); err == nil {
			t.Errorf("unchecked verifier %t: the code of another browser gives %+v", noPKCE, c)
		}
	}
}

// TestO06_KeysRotated: the issuer changes its key while somebody is away. Its
// keys are asked for once more, and the sign-in holds.
func TestO06_KeysRotated(t *testing.T) {
	i := oidctest.New(t)
	p := opened(t, i)
	if _, err := signIn(t, p); err != nil {
		t.Fatal(err)
	}
	req := away(t, p, false)
	i.Rotate()
	if _, err := p.Finish(context.Background(), req); err != nil {
		t.Error(err)
	}
	if got := i.Hits(oidctest.Keys); got != 2 {
		t.Errorf("the keys were asked for %d times, want 2", got)
	}
	i.UseES256()
	if _, err := signIn(t, p); err != nil {
		t.Errorf("ES256: %v", err)
	}
	i.Be(func(c *oidctest.Conduct) { c.Sign = oidctest.WithOtherKey("never-seen") })
	before := i.Hits(oidctest.Keys)
	if _, err := signIn(t, p); err == nil {
		t.Error("a forged token holds")
	}
	if got := i.Hits(oidctest.Keys) - before; got > 1 {
		t.Errorf("a forged token made us ask for the keys %d times", got)
	}
}

// TestReasons: what a person may be told of what a browser brings.
func TestReasons(t *testing.T) {
	i := oidctest.New(t)
	p := opened(t, i)
	for answer, reason := range map[string]string{
		"error=access_denied": "google.cancel",
		"error=server_error":  "google.down",
		"error=%3Cscript%3E&error_description=" + strings.Repeat("x", 64<<10): "google.down",
		"code=stolen": "google.down",
	} {
		req := away(t, p, false)
		q, err := url.ParseQuery(answer)
		if err != nil {
			t.Fatal(err)
		}
		req.Fields = map[string]string{"iss": i.URL}
		for k, v := range q {
			req.Fields[k] = v[0]
		}
		_, err = p.Finish(context.Background(), req)
		denial, ok := errors.AsType[*providers.Denial](err)
		if !ok || denial.Reason != reason {
			t.Errorf("%.60s: %v, want the page %s", answer, err, reason)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("an error of %d bytes goes to the log", len(err.Error()))
		}
	}
}

// TestO02_NothingAsked: the browser brings an answer, and what the gate keeps is of
// no attempt, or of half of one. Without a nonce and a verifier of ours the code may
// be of a sign-in that somebody else began: it is not even tried.
func TestO02_NothingAsked(t *testing.T) {
	i := oidctest.New(t)
	p := opened(t, i)
	for _, state := range []string{"", "{}", `{"v":"verifier"}`, `{"n":"nonce"}`} {
		req := away(t, p, false)
		req.State = []byte(state)
		_, err := p.Finish(context.Background(), req)
		if denial, ok := errors.AsType[*providers.Denial](err); !ok || denial.Reason != "google.late" {
			t.Errorf("state %q: %v, want the page google.late", state, err)
		}
	}
	if got := i.Hits(oidctest.Token); got != 0 {
		t.Errorf("%d codes were tried", got)
	}
}
