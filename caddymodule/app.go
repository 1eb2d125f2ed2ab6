// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package caddymodule is Portalgate's face towards Caddy: the app that holds
// the gates, the handlers that put them into a site's routes, the Caddyfile
// grammar and the commands. To build a Caddy with it, import this package.
//
// A configuration may come and go at any time, with requests of the one
// before still running, so nothing that matters lives in one: a gate's store
// and workers are in a pooled runtime, which the configurations that name the
// same store file share. Provision makes that runtime but opens nothing,
// because `caddy validate` and every refused reload run it too.
//
// Only this package knows Caddy's HTTP server. What a request means is decided
// in package gate; no rule about sign-in belongs here.
package caddymodule

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/gate"
)

func init() { caddy.RegisterModule(App{}) }

// App holds the sign-in gates of a server. A gate does nothing until a
// `portalgate` handler names it.
type App struct {
	// The gates, by name. A handler that names none uses "main".
	Gates map[string]*Gate `json:"gates,omitempty"`

	ctx      caddy.Context
	live     map[string]*liveGate
	releases []func() error
	undos    []func()
}

// liveGate is a gate of this configuration with the runtime it shares.
type liveGate struct {
	config  *gate.Config
	runtime *pooledRuntime
	secret  secret
}

// CaddyModule returns the Caddy module information.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "portalgate", New: func() caddy.Module { return new(App) }}
}

// Provision checks and resolves every gate. It opens nothing.
func (a *App) Provision(ctx caddy.Context) error {
	if err := a.checkStores(); err != nil {
		return err
	}
	if ctx.Logger().Core().Enabled(zap.DebugLevel) {
		// Of the names it logs, Caddy redacts the usual ones only, and the
		// header is set before reverse_proxy writes its line.
		ctx.Logger().Warn("at level DEBUG reverse_proxy logs the identity headers: the assertion, good for 60 s, and the client's address; take them out with a filter, as the shipped Caddyfile does, or log at INFO")
	}
	a.ctx = ctx
	a.live = make(map[string]*liveGate, len(a.Gates))
	for name, g := range a.Gates {
		if g == nil {
			g = new(Gate)
		}
		if err := a.provision(ctx, name, g); err != nil {
			return fmt.Errorf("portalgate %s: %w", name, err)
		}
	}
	return nil
}

func (a *App) provision(ctx caddy.Context, name string, g *Gate) error {
	if err := checkGateName(name); err != nil {
		return err
	}
	if err := g.check(); err != nil {
		return err
	}
	c, err := g.resolve(ctx, name)
	if err != nil {
		return err
	}
	s := storedSecret(ctx.Storage(), name)
	if g.Secret != "" {
		if s, err = configuredSecret(g.Secret, name); err != nil {
			return err
		}
	}
	if s.literal {
		c.Log.Warn("the secret stands in the configuration itself, which the admin API shows and Caddy saves to disk; use {env.NAME} or {file./path}, not {$NAME}",
			zap.String("gate", name))
	}
	if r := g.Store.Redis; r != nil && r.literalPassword() {
		c.Log.Warn("the password of the store stands in the configuration itself, which the admin API shows and Caddy saves to disk; use {env.NAME} or {file./path}, not {$NAME}",
			zap.String("gate", name))
	}
	where, err := g.place(name, ctx.Storage())
	if err != nil {
		return err
	}
	rt, release, err := acquireRuntime(name, where, s)
	if err != nil {
		return err
	}
	a.releases = append(a.releases, release)
	if c.Sender == nil {
		c.Sender = rt.Outbox()
	}
	if c.Clients == nil {
		c.Clients = rt.Managed()
	}
	live := &liveGate{config: c, runtime: rt, secret: s}
	c.Circling = live.reportCircle
	a.live[name] = live
	return nil
}

// checkStores refuses two gates on one file, or with one audit log.
func (a *App) checkStores() error {
	users := make(map[string]string)
	for name, g := range a.Gates {
		if g == nil || g.Store.Redis != nil { // there the gate's name keeps them apart
			continue
		}
		f, err := g.storeFile(name)
		if err != nil {
			return fmt.Errorf("store: %v", err)
		}
		if other, taken := users[f]; taken {
			return fmt.Errorf("store: gates %q and %q have the same file %s; leave the store line out, or give each a file of its own", min(name, other), max(name, other), f)
		}
		users[f] = name
	}
	return a.checkAudits()
}

// Start makes this configuration the one that the gates' workers go by. A store
// that cannot be opened now keeps no site from starting; one that can never be
// does.
func (a *App) Start() error {
	for name, g := range a.live {
		g.runtime.source.Store(&g.secret.source)
		undo, err := g.runtime.Use(g.config)
		if err != nil {
			return errors.Join(fmt.Errorf("portalgate %s: %w", name, err), a.Stop())
		}
		a.undos = append(a.undos, undo)
		for _, m := range g.config.Methods {
			if program, ok := m.Authenticator.(interface{ Warm() }); ok {
				program.Warm() // in the background: one that does not start holds up nobody
			}
		}
	}
	if err := a.registerMetrics(); err != nil {
		return errors.Join(err, a.Stop())
	}
	return nil
}

// Stop gives way to the configuration before, where a later one did not start.
// It closes nothing: requests may still be running.
func (a *App) Stop() error {
	for _, undo := range a.undos {
		undo()
	}
	a.undos = nil
	return nil
}

// Cleanup gives the runtimes back. Caddy calls it after a failed Provision as
// well, so it gives back exactly what this configuration has acquired: one too
// many would close the store under a running server.
func (a *App) Cleanup() error {
	var errs []error
	for _, release := range a.releases {
		errs = append(errs, release())
	}
	a.releases = nil
	return errors.Join(errs...)
}

// gate returns the gate that a handler names.
func (a *App) gate(name string) (*liveGate, error) {
	if g := a.live[name]; g != nil {
		return g, nil
	}
	return nil, noGate(name, a.Gates)
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
