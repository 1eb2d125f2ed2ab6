// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() { caddy.RegisterModule(JWKS{}) }

// JWKS serves the public keys of a gate on a site of its own, for an upstream
// that cannot reach the gate's public URL. It is the set that stands at
// /.well-known/portalgate/jwks.json there, at whatever path it is asked for.
//
// The upstream believes whoever answers: let nobody stand between.
type JWKS struct {
	// The gate's name. Default: main.
	Gate string `json:"gate,omitempty"`

	gate *liveGate
}

// CaddyModule returns the Caddy module information.
func (JWKS) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.portalgate_jwks",
		New: func() caddy.Module { return new(JWKS) },
	}
}

// Provision finds the gate.
func (j *JWKS) Provision(ctx caddy.Context) error {
	var err error
	j.gate, err = findGate(ctx, j.Gate)
	return err
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (j *JWKS) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	j.gate.runtime.ServeKeys(w, r)
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*JWKS)(nil)
	_ caddyhttp.MiddlewareHandler = (*JWKS)(nil)
)
