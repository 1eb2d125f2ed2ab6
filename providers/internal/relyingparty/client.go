// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package relyingparty is the portal's side of OpenID Connect, for the sign-in
// methods that use it: it finds out about an issuer, sends a browser there and
// checks what comes back (authorization code flow, PKCE, state and nonce, always).
//
// It knows no issuer by name and believes none about whom an address belongs to.
// It asks for no more than the address, tells the issuer nothing about the person,
// and keeps no token.
package relyingparty

import (
	"errors"
	"fmt"
	"strings"

	"github.com/portalgate/portalgate/providers"
)

// Client is what an issuer knows the portal by. [Client.Open] it before use; it
// may then be used concurrently.
type Client struct {
	// Who signs the tokens: an https URL without a query (http on this machine
	// only).
	Issuer string `json:"issuer,omitempty"`

	// The id that the issuer has given the portal.
	ClientID string `json:"client_id,omitempty"`

	// The secret that goes with it. Write a placeholder: {env.GOOGLE_SECRET} or
	// {file./etc/portalgate/google}.
	ClientSecret string `json:"client_secret,omitempty"`

	secret string
	issuer *issuer
}

// Known are the endpoints of an issuer that need not be asked for. It takes the
// secret in the form.
type Known struct{ Auth, Token, Keys string }

// Open readies c, whose secret is secret. The issuer is not asked yet, and where
// its endpoints are known, it never is; nil has it asked.
func (c *Client) Open(secret string, known *Known) {
	c.secret, c.issuer = secret, newIssuer(c.Issuer, c.ClientID, known)
}

// Literal reports that the secret is written out in the configuration.
func (c *Client) Literal() bool { return c.secret == c.ClientSecret }

// Check refuses what cannot work. Without an issuer it is the method's own.
func (c *Client) Check() error {
	switch {
	case c.ClientID == "":
		return errors.New("client_id is missing; the issuer gives it to you")
	case c.ClientSecret == "":
		return errors.New("client_secret is missing; write a placeholder: client_secret {env.GOOGLE_SECRET}")
	case c.Issuer == "":
		return nil
	}
	return CheckIssuer(c.Issuer)
}

// CheckIssuer refuses what is not the URL of an issuer.
func CheckIssuer(s string) error {
	if strings.ContainsAny(s, "?#") || safeURL(s) != nil {
		return fmt.Errorf("issuer is %q; write its https URL, without a query: issuer https://accounts.example.com", clip(s))
	}
	return nil
}

// text is the prefix of the texts of every such method: they have a slot for what
// people call the issuer.
const text = "google"

// Describe is how a method presents itself whose issuer people call label.
func Describe(label string) providers.Description {
	return providers.Description{Text: text, Label: label, Away: true}
}
