// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package relyingparty

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/portalgate/portalgate/providers"
)

// attempt is what is kept of one sign-in while the browser is away.
type attempt struct {
	Verifier string `json:"v"`
	Nonce    string `json:"n"`
}

func (c *Client) oauth(e *endpoints, callback string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: c.ClientID, ClientSecret: c.secret, Endpoint: e.Endpoint,
		RedirectURL: callback, Scopes: []string{oidc.ScopeOpenID, "email"},
	}
}

// Start sends the browser to the issuer. It tells it nothing about who is
// asking.
func (c *Client) Start(ctx context.Context, req providers.Request) (providers.Step, error) {
	e, err := c.issuer.get(ctx)
	if err != nil {
		return providers.Step{}, err
	}
	a := attempt{Verifier: oauth2.GenerateVerifier(), Nonce: rand.Text()}
	state, err := json.Marshal(a)
	if err != nil {
		return providers.Step{}, err
	}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(a.Verifier), oidc.Nonce(a.Nonce)}
	if req.Choose {
		options = append(options, oauth2.SetAuthURLParam("prompt", "select_account"))
	}
	return providers.Step{State: state, Redirect: &providers.Redirect{
		URL:     c.oauth(e, req.Callback).AuthCodeURL(req.Attempt, options...),
		Origins: []string{e.origin},
	}}, nil
}

// Finish takes what the issuer sent the browser back with and says who it is. A
// *providers.Denial is what a browser can bring about.
func (c *Client) Finish(ctx context.Context, req providers.Request) (*Token, error) {
	var a attempt
	if err := json.Unmarshal(req.State, &a); err != nil || a.Verifier == "" || a.Nonce == "" {
		return nil, denied("late", "an answer to nothing that was asked")
	}
	e, err := c.issuer.get(ctx)
	if err != nil {
		return nil, err
	}
	// An answer that another issuer has given is not this one's (RFC 9207).
	if iss, given := req.Fields["iss"]; (given || e.says) && iss != c.Issuer {
		return nil, denied("down", "the answer is another issuer's: %q", clip(iss))
	}
	said, code := req.Fields["error"], req.Fields["code"]
	switch {
	case said == "access_denied":
		return nil, &providers.Denial{Reason: text + ".cancel"}
	case said != "":
		return nil, denied("down", "the issuer answers %q", clip(said))
	case code == "":
		return nil, denied("down", "an answer without a code")
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, c.issuer.http)
	token, err := c.oauth(e, req.Callback).Exchange(ctx, code, oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return nil, exchangeError(err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, errors.New("the issuer gave no ID token")
	}
	return c.check(ctx, e, raw, a.Nonce)
}

// Continue is Finish for a method whose issuer need not know whose an address is.
func (c *Client) Continue(ctx context.Context, req providers.Request) (providers.Step, *providers.Claim, error) {
	t, err := c.Finish(ctx, req)
	if err != nil {
		return providers.Step{}, nil, err
	}
	return providers.Step{}, t.Claim(), nil
}

// denied is what a browser can bring about: the page to show, and why, for the
// log.
func denied(page, why string, args ...any) error {
	return fmt.Errorf(why+": %w", append(args, &providers.Denial{Reason: text + "." + page})...)
}

// exchangeError leaves out what the issuer wrote, which could be anything.
func exchangeError(err error) error {
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		status := 0
		if refused.Response != nil {
			status = refused.Response.StatusCode
		}
		if refused.ErrorCode == "invalid_grant" {
			return denied("down", "the issuer knows no such code, or not from us")
		}
		return fmt.Errorf("the issuer exchanges no code: %d %q", status, clip(refused.ErrorCode))
	}
	return fmt.Errorf("exchanging the code: %s", clip(err.Error()))
}

// Token is what we read of an ID token that holds.
type Token struct {
	Subject  string          `json:"sub"`
	Party    string          `json:"azp"`
	Email    string          `json:"email"`
	Verified json.RawMessage `json:"email_verified"`
	// Domain is that of the organisation which the account belongs to, at Google.
	Domain string `json:"hd"`
	Name   string `json:"name"`
}

// check holds an ID token to OpenID Connect Core, 3.1.3.7: who signed it, for
// whom, when, and for which attempt.
func (c *Client) check(ctx context.Context, e *endpoints, raw, nonce string) (*Token, error) {
	token, err := e.verifier.Verify(ctx, raw) // signature, issuer, audience, expiry
	if err != nil {
		return nil, fmt.Errorf("the ID token does not hold: %s", clip(err.Error()))
	}
	var got Token
	if err := token.Claims(&got); err != nil {
		return nil, fmt.Errorf("reading the ID token: %s", clip(err.Error()))
	}
	now := c.issuer.now()
	switch {
	case len(token.Audience) != 1:
		return nil, errors.New("the ID token is for others as well")
	case got.Party != "" && got.Party != c.ClientID:
		return nil, errors.New("the ID token was given to another client")
	case token.IssuedAt.IsZero() || token.IssuedAt.After(now.Add(skew)):
		return nil, errors.New("the ID token is from the future")
	case token.IssuedAt.Before(now.Add(-time.Hour)):
		return nil, errors.New("the ID token is older than the question")
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1:
		return nil, errors.New("the ID token answers another attempt")
	case got.Subject == "" || len(got.Subject) > 255 || !utf8.ValidString(got.Subject):
		return nil, errors.New("the ID token names no account")
	}
	return &got, nil
}

// Claim is what the gate is told. Only the JSON value true is a verified address:
// not "true", not 1.
func (t *Token) Claim() *providers.Claim {
	return &providers.Claim{
		Subject: t.Subject, Email: t.Email, EmailVerified: string(t.Verified) == "true", Name: clip(t.Name), AMR: []string{"fed"},
	}
}
