// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package google

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/portalgate/portalgate/internal/oidctest"
	"github.com/portalgate/portalgate/providers"
	"github.com/portalgate/portalgate/providers/providertest"
)

const callback = "https://portal.example.com/sign-in/google/callback"

// provisioned returns the method as the gate gets it.
func provisioned(t *testing.T, i *oidctest.Issuer) *Google {
	t.Helper()
	g := &Google{Client{Issuer: i.URL, ClientID: oidctest.ClientID, ClientSecret: oidctest.ClientSecret}}
	if err := errors.Join(g.Provision(caddy.Context{}), g.Validate()); err != nil {
		t.Fatal(err)
	}
	return g
}

// away starts a sign-in and lets the issuer send it back: what the browser
// brings, and what the gate has kept.
func away(t *testing.T, a providers.Authenticator, choose bool) providers.Request {
	t.Helper()
	step, err := a.Start(context.Background(), providers.Request{Callback: callback, Attempt: "the-attempt", Choose: choose})
	if err != nil {
		t.Fatal(err)
	}
	once := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := once.Get(step.Redirect.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for k, v := range to.Query() {
		fields[k] = v[0]
	}
	return providers.Request{Callback: callback, Fields: fields, State: step.State}
}

func signIn(t *testing.T, a providers.Authenticator) (*providers.Claim, error) {
	t.Helper()
	_, c, err := a.Continue(context.Background(), away(t, a, false))
	return c, err
}

func TestConformance(t *testing.T) {
	i := oidctest.New(t)
	providertest.Run(t, provisioned(t, i))
	o := &OIDC{Name: "clinic", Client: Client{Issuer: i.URL, ClientID: oidctest.ClientID, ClientSecret: oidctest.ClientSecret}}
	if err := errors.Join(o.Provision(caddy.Context{}), o.Validate()); err != nil {
		t.Fatal(err)
	}
	providertest.Run(t, o)
}

func TestSignIn(t *testing.T) {
	i := oidctest.New(t)
	g := provisioned(t, i)
	c, err := signIn(t, g)
	if err != nil {
		t.Fatal(err)
	}
	if c.Subject != "sub-ada" || c.Email != "ada@example.com" || !c.EmailVerified || !c.Authoritative {
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
	away(t, g, true)
	if q := i.Asked()[1]; q.Get("prompt") != "select_account" {
		t.Errorf("to choose an account it was asked with %v", q)
	}
	if got := i.Hits(oidctest.Discovery); got != 1 {
		t.Errorf("discovery was asked %d times for two sign-ins", got)
	}
}

// TestGoogleIsKnown: for Google itself nobody has to be asked where it is.
func TestGoogleIsKnown(t *testing.T) {
	g := &Google{Client{ClientID: "portal", ClientSecret: "secret"}}
	if err := errors.Join(g.Provision(caddy.Context{}), g.Validate()); err != nil {
		t.Fatal(err)
	}
	step, err := g.Start(context.Background(), providers.Request{Callback: callback, Attempt: "a"})
	if err != nil || !strings.HasPrefix(step.Redirect.URL, "https://accounts.google.com/o/oauth2/v2/auth?") ||
		step.Redirect.Origins[0] != googleIssuer {
		t.Errorf("%+v, %v", step.Redirect, err)
	}
}

func TestAuthoritative(t *testing.T) {
	i := oidctest.New(t)
	g := provisioned(t, i)
	for _, tc := range []struct {
		email, hd string
		want      bool
	}{
		{"ada@gmail.com", "", true},
		{"ada@Gmail.com", "", true},
		{"ada@example.com", "example.com", true},
		{"ada@example.com", "", false},
		{"ada@example.com", "other.example", false},
		{"ada@evil.example@gmail.com", "", false},
		{"gmail.com", "", false},
	} {
		i.Be(func(c *oidctest.Conduct) {
			c.Account = map[string]any{"sub": "s", "email": tc.email, "email_verified": true, "hd": tc.hd}
		})
		c, err := signIn(t, g)
		if err != nil || c.Authoritative != tc.want {
			t.Errorf("%s of %q: authoritative %+v, %v; want %t", tc.email, tc.hd, c, err, tc.want)
		}
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
			g := provisioned(t, i)
			i.Be(lie)
			if c, err := signIn(t, g); err == nil {
				t.Errorf("believed: %+v", c)
			}
		})
	}
}

// TestSkew: clocks differ by up to a minute.
func TestSkew(t *testing.T) {
	i := oidctest.New(t)
	g := provisioned(t, i)
	now := time.Now().Unix()
	for _, near := range []func(*oidctest.Conduct){mutate("exp", now-20), mutate("iat", now+40)} {
		i.Be(near)
		if _, err := signIn(t, g); err != nil {
			t.Error(err)
		}
	}
}

// TestO07_EmailVerified: the account's address is not confirmed, and the issuer,
// or whoever set it up, says so in a way that a lenient reader takes for yes.
func TestO07_EmailVerified(t *testing.T) {
	i := oidctest.New(t)
	g := provisioned(t, i)
	for _, value := range []any{false, "true", "false", "", 1, 0, nil, []bool{true}, map[string]bool{"true": true}} {
		i.Be(mutate("email_verified", value))
		if c, err := signIn(t, g); err == nil && c.EmailVerified {
			t.Errorf("%#v is taken for verified", value)
		}
	}
	i.Be(mutate("email_verified", true))
	if c, err := signIn(t, g); err != nil || !c.EmailVerified {
		t.Errorf("true is not: %+v, %v", c, err)
	}
}

// TestO04_PKCE: a code of one browser is put into the answer to another. The
// verifier does not fit it; and where the issuer does not check that, the nonce
// in the token does not.
func TestO04_PKCE(t *testing.T) {
	for _, noPKCE := range []bool{false, true} {
		i := oidctest.New(t)
		g := provisioned(t, i)
		i.Be(func(c *oidctest.Conduct) { c.NoPKCE = noPKCE })
		mine, theirs := away(t, g, false), away(t, g, false)
		mine.Fields = maps.Clone(mine.Fields)
		mine.Fields["code"] = theirs.Fields["code"]
		if _, c, err := g.Continue(context.Background(), mine); err == nil {
			t.Errorf("unchecked verifier %t: the code of another browser gives %+v", noPKCE, c)
		}
	}
}

// TestO06_KeysRotated: the issuer changes its key while somebody is away. Its
// keys are asked for once more, and the sign-in holds.
func TestO06_KeysRotated(t *testing.T) {
	i := oidctest.New(t)
	g := provisioned(t, i)
	if _, err := signIn(t, g); err != nil {
		t.Fatal(err)
	}
	req := away(t, g, false)
	i.Rotate()
	if _, _, err := g.Continue(context.Background(), req); err != nil {
		t.Error(err)
	}
	if got := i.Hits(oidctest.Keys); got != 2 {
		t.Errorf("the keys were asked for %d times, want 2", got)
	}
	i.UseES256()
	if _, err := signIn(t, g); err != nil {
		t.Errorf("ES256: %v", err)
	}
	i.Be(func(c *oidctest.Conduct) { c.Sign = oidctest.WithOtherKey("never-seen") })
	before := i.Hits(oidctest.Keys)
	if _, err := signIn(t, g); err == nil {
		t.Error("a forged token holds")
	}
	if got := i.Hits(oidctest.Keys) - before; got > 1 {
		t.Errorf("a forged token made us ask for the keys %d times", got)
	}
}

// TestReasons: what a person may be told of what a browser brings.
func TestReasons(t *testing.T) {
	i := oidctest.New(t)
	g := provisioned(t, i)
	for answer, reason := range map[string]string{
		"error=access_denied": "google.cancel",
		"error=server_error":  "google.down",
		"error=%3Cscript%3E&error_description=" + strings.Repeat("x", 64<<10): "google.down",
		"code=stolen": "google.down",
	} {
		req := away(t, g, false)
		q, err := url.ParseQuery(answer)
		if err != nil {
			t.Fatal(err)
		}
		req.Fields = map[string]string{"iss": i.URL}
		for k, v := range q {
			req.Fields[k] = v[0]
		}
		_, _, err = g.Continue(context.Background(), req)
		denial, ok := errors.AsType[*providers.Denial](err)
		if !ok || denial.Reason != reason {
			t.Errorf("%.60s: %v, want the page %s", answer, err, reason)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("an error of %d bytes goes to the log", len(err.Error()))
		}
	}
}

func TestValidate(t *testing.T) {
	for name, m := range map[string]caddy.Validator{
		"no id":           &Google{Client{ClientSecret: "s"}},
		"no secret":       &Google{Client{ClientID: "c"}},
		"http":            &Google{Client{ClientID: "c", ClientSecret: "s", Issuer: "http://accounts.example.com"}},
		"query":           &Google{Client{ClientID: "c", ClientSecret: "s", Issuer: "https://accounts.example.com?x"}},
		"user":            &Google{Client{ClientID: "c", ClientSecret: "s", Issuer: "https://me@accounts.example.com"}},
		"no name":         &OIDC{Client: Client{ClientID: "c", ClientSecret: "s", Issuer: "https://a.example"}},
		"name of a path":  &OIDC{Name: "../x", Client: Client{ClientID: "c", ClientSecret: "s", Issuer: "https://a.example"}},
		"oidc, no issuer": &OIDC{Name: "x", Client: Client{ClientID: "c", ClientSecret: "s"}},
	} {
		if err := m.Validate(); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	g := &Google{Client{ClientID: "c", ClientSecret: "{env.NO_SUCH_SECRET_HERE}"}}
	if err := g.Provision(caddy.Context{}); err == nil || strings.Contains(err.Error(), "panic") {
		t.Errorf("a secret that is not there: %v", err)
	}
}
