// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"
)

// registerMetrics shows the gates' metrics beside Caddy's, where the operator
// has asked for those. The registry is this configuration's; what is counted
// is the runtimes', so that no counter begins anew with a reload.
//
// It is for Start: the http app, which is asked whether metrics are on, is not
// ready before, since its handlers wait for this app.
func (a *App) registerMetrics() error {
	app, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return nil // no http app, no metrics
	}
	if h, ok := app.(*caddyhttp.App); !ok || h.Metrics == nil {
		return nil
	}
	for name, g := range a.live {
		for _, c := range g.runtime.Metrics() {
			var already prometheus.AlreadyRegisteredError
			if err := a.ctx.GetMetricsRegistry().Register(c); err != nil && !errors.As(err, &already) {
				return fmt.Errorf("portalgate %s: metrics: %v", name, err)
			}
		}
	}
	return nil
}
