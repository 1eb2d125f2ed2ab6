// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package oidctest

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/providers"
)

// Visit goes to the issuer's sign-in page and returns what the browser is sent
// back with.
func Visit(t testing.TB, page string) map[string]string {
	t.Helper()
	once := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := once.Get(page)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	fields := make(map[string]string)
	for name, values := range to.Query() {
		fields[name] = values[0]
	}
	return fields
}

// Believed returns m as if its issuer, i, gave out the addresses at the domain of
// the account's organisation ("hd") itself. Of real issuers only Google is
// believed to.
func (i *Issuer) Believed(m providers.Authenticator) providers.Authenticator {
	return believed{m, i}
}

type believed struct {
	providers.Authenticator
	issuer *Issuer
}

func (b believed) Continue(ctx context.Context, req providers.Request) (providers.Step, *providers.Claim, error) {
	step, claim, err := b.Authenticator.Continue(ctx, req)
	if claim != nil {
		_, domain, _ := strings.Cut(claim.Email, "@")
		b.issuer.mu.Lock()
		claim.Authoritative = domain == b.issuer.domains[claim.Subject]
		b.issuer.mu.Unlock()
	}
	return step, claim, err
}
