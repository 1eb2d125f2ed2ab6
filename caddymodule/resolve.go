// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
	_ "time/tzdata" // for time_zone on a machine that has no zones installed

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/ui"
	"github.com/portalgate/portalgate/providers"
)

// resolve makes of what the operator wrote what the gate works with.
func (g *Gate) resolve(ctx caddy.Context, name string) (*gate.Config, error) {
	c := &gate.Config{
		Name:   name,
		Path:   g.Path,
		Reveal: g.UnknownEmail == "reveal", AssertionOnly: g.Headers == "off",
		Passive: g.Session.Passive, Health: g.Health,
		Log: ctx.Logger(),
	}
	if c.Path == "" {
		c.Path = "/sign-in"
	}
	var err error
	if c.PublicURL, err = parsePublicURL(g.PublicURL); err != nil {
		return nil, err
	}
	if c.Session, err = g.Session.lifetimes(); err != nil {
		return nil, err
	}
	if c.Limits, err = g.Limits.rates(); err != nil {
		return nil, err
	}
	if c.Audit, err = g.auditFiles(name); err != nil {
		return nil, err
	}
	if c.Methods, err = g.loadMethods(ctx); err != nil {
		return nil, err
	}
	list, literal, err := g.Clients.resolve()
	if err != nil {
		return nil, err
	}
	if c.Clients = list; literal {
		c.Log.Warn("the token of clients http stands in the configuration itself, which the admin API shows and Caddy saves to disk; use {env.NAME} or {file./path}, not {$NAME}",
			zap.String("gate", name))
	}
	sends, err := g.Mail.resolve()
	if err != nil {
		return nil, err
	}
	if sends.literal {
		c.Log.Warn("the password or key for sending mail stands in the configuration itself, which the admin API shows and Caddy saves to disk; use {env.NAME} or {file./path}, not {$NAME}",
			zap.String("gate", name))
	}
	c.Sender, c.Reports = sends.sender, sends.reports
	if c.UI, err = g.pages(c, sends.from); err != nil {
		return nil, fmt.Errorf("practice: %v", err)
	}
	if g.Templates != "" {
		if c.Templates, err = mail.LoadTemplates(os.DirFS(g.Templates)); err != nil {
			return nil, fmt.Errorf("templates %s: %v", g.Templates, err)
		}
	}
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("the sign-in mail cannot be written: %v", err)
	}
	return c, nil
}

// loadMethods loads the sign-in methods, in the order they were written.
func (g *Gate) loadMethods(ctx caddy.Context) ([]gate.Method, error) {
	if len(g.SignInRaw) == 0 {
		g.SignInRaw = append(g.SignInRaw, []byte(`{"method":"magic_link"}`))
	}
	loaded, err := ctx.LoadModule(g, "SignInRaw")
	if err != nil {
		return nil, fmt.Errorf("sign_in: %v", err)
	}
	var all []gate.Method
	for _, m := range loaded.([]any) {
		name := m.(caddy.Module).CaddyModule().ID.Name()
		a, ok := m.(providers.Authenticator)
		if !ok {
			return nil, fmt.Errorf("sign_in: module %s.%s is no sign-in method, but %T", methods, name, m)
		}
		if one, several := m.(interface{ Instance() string }); several {
			name += ":" + one.Instance()
		}
		for _, other := range all {
			if other.Name == name {
				return nil, fmt.Errorf("sign_in: %s stands twice; keep one of them", name)
			}
			if other.Path() == (gate.Method{Name: name}).Path() {
				return nil, fmt.Errorf("sign_in: %s and %s have the same address; keep one of them, or give it another name", other.Name, name)
			}
		}
		if secret, ok := m.(interface{ Literal() bool }); ok && secret.Literal() {
			ctx.Logger().Warn("the client_secret of a method stands in the configuration itself, which the admin API shows and Caddy saves to disk; use {env.NAME} or {file./path}, not {$NAME}",
				zap.String("method", name))
		}
		all = append(all, gate.Method{Name: name, Authenticator: a})
	}
	return all, nil
}

// pages draws the gate's pages in the practice's name.
func (g *Gate) pages(c *gate.Config, from string) (*ui.UI, error) {
	p := ui.Practice{
		Name: g.Practice.Name, Phone: g.Practice.Phone, Email: g.Practice.Email,
		NewClients: g.Practice.NewClients,
		From:       from,
		Accent:     g.Practice.Accent,
		Zone:       time.Local,
		PublicURL:  c.PublicURL, Path: c.Path,
	}
	if p.From == "" { // nothing leaves the outbox
		p.From = cmp.Or(g.Practice.Email, "portal@localhost")
	}
	var err error
	if g.Practice.TimeZone != "" {
		if p.Zone, err = time.LoadLocation(g.Practice.TimeZone); err != nil {
			return nil, fmt.Errorf("time_zone: %v", err)
		}
	}
	if g.Practice.Logo != "" {
		if p.Logo, err = readLogo(g.Practice.Logo); err != nil {
			return nil, fmt.Errorf("logo: %v", err)
		}
	}
	return ui.New(p)
}

// storeFile returns the absolute path of the gate's store.
func (g *Gate) storeFile(name string) (string, error) {
	if g.Store.File == "" {
		return filepath.Abs(filepath.Join(caddy.AppDataDir(), "portalgate", name+".db"))
	}
	return filepath.Abs(g.Store.File)
}

// readLogo reads a little more than a logo may have, so that one that is too
// large is seen to be.
func readLogo(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 200<<10))
}
