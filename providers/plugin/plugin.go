// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package plugin is sign-in by a program of somebody else's, as the
// configuration names it. What such a program may see and say is package
// plugins' matter, and what its answers are worth the gate's; this package
// knows which program is meant and keeps it running from one configuration to
// the next.
//
// It starts nothing by itself: a configuration that is only looked at runs no
// stranger's program. What is wrong with the program costs this way to sign in
// and nothing else.
package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/portalgate/portalgate/plugins"
	"github.com/portalgate/portalgate/providers"
)

func init() { caddy.RegisterModule(Plugin{}) }

// Plugin signs a client in by asking a program. There may be several.
type Plugin struct {
	// Name tells plugins apart and stands in the URL: small letters, digits and
	// "-", at most 32. It must stay, for accounts are linked under it.
	Name string `json:"name,omitempty"`

	// The program's file. It must belong to root or to the user that the server
	// runs as, and nobody else may be able to write it.
	Command string `json:"command,omitempty"`

	// What the program is started with.
	Args []string `json:"args,omitempty"`

	// The SHA-256 of the file, in hex, as `caddy portalgate plugin digest`
	// prints it. Another file is not run.
	SHA256 string `json:"sha256,omitempty"`

	// The program's whole environment; it inherits nothing. Values may be
	// placeholders.
	Env map[string]string `json:"env,omitempty"`

	// Whom the program runs as, if the gate runs as root: a name, a number, or
	// user and group as numbers with ":" between. Default: the gate's own user,
	// and nobody if that is root.
	User string `json:"user,omitempty"`

	// What a plugin printed that was started with --debug: it is asked where it
	// listens, and nothing is started or checked. For debugging alone.
	Reattach string `json:"reattach,omitempty"`

	// The program's settings, in its own words. Texts may be placeholders, such
	// as {env.SMS_TOKEN}.
	Config map[string]any `json:"config,omitempty"`

	// What it is told of a client beside what was typed: "phone" is the number
	// on file of the one client whose address was typed. Default: nothing.
	Share []string `json:"share,omitempty"`

	// The origins to which it may send a browser, such as
	// https://accounts.example.com. Default: none.
	Redirects []string `json:"redirects,omitempty"`

	// What it may say of how somebody proved who they are (RFC 8176), such as
	// "sms"; at most 40 characters in all. Whatever else it says is left out.
	// Default: nothing.
	AMR []string `json:"amr,omitempty"`

	// How long one question to it may take, 100ms to 30s. A refusal takes as
	// long, so that nobody can tell by the time who is on file. Default: 2s, and
	// 30s with reattach.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// "off" leaves the socket to it unencrypted, for a program that cannot do
	// go-plugin's mutual TLS. Default: it is encrypted.
	MTLS string `json:"mtls,omitempty"`

	key     string // in the pool; empty if nothing is held
	process *pooled
}

// CaddyModule returns the Caddy module information.
func (Plugin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "portalgate.sign_in.plugin", New: func() caddy.Module { return new(Plugin) }}
}

// processes keeps programs running through configuration changes, by all that
// makes one what it is: one that is unchanged stays, and beside one that changed
// another starts.
var processes = caddy.NewUsagePool()

// pooled is a program that configurations share.
type pooled struct{ *plugins.Process }

// Destruct lets calls that are under way finish, and the program end. A reload
// does not wait for that; the end of the server does, so that nothing is left.
func (p *pooled) Destruct() error {
	p.Close()
	if !caddy.Exiting() {
		return nil
	}
	select {
	case <-p.Done():
	case <-time.After(endWithin):
	}
	return nil
}

// endWithin is how long the end of the server waits for that of a program.
const endWithin = 8 * time.Second

// Provision says which program is meant. It starts nothing, and does not look
// at the file: a program that somebody has replaced costs its own way to sign in
// and not the whole server.
func (p *Plugin) Provision(ctx caddy.Context) error {
	if err := p.Validate(); err != nil {
		return err
	}
	c, err := p.command()
	if err != nil {
		return fmt.Errorf("sign_in plugin %s: %v", p.Name, err)
	}
	if p.Reattach != "" {
		ctx.Logger().Warn("a plugin is attached to, which is for debugging: nothing of it is checked", zap.String("plugin", p.Name))
	}
	all, err := json.Marshal([]any{c, p.User, p.Reattach})
	if err != nil {
		return fmt.Errorf("sign_in plugin %s: %v", p.Name, err)
	}
	key := fmt.Sprintf("%x", sha256.Sum256(all)) // it holds secrets
	v, _, err := processes.LoadOrNew(key, func() (caddy.Destructor, error) {
		return &pooled{plugins.New(c, lateLog(c.Path))}, nil
	})
	if err != nil {
		return err
	}
	p.key, p.process = key, v.(*pooled)
	return nil
}

// command resolves what was written.
func (p *Plugin) command() (c plugins.Command, err error) {
	c = plugins.Command{
		Args: p.Args, Redirects: p.Redirects, AMR: p.AMR, Timeout: p.Within(), NoTLS: p.MTLS == "off",
	}
	r := caddy.NewReplacer()
	if p.Reattach != "" {
		said, err := p.Reattach, error(nil)
		if !strings.HasPrefix(said, `{"`) { // it is not written out
			said, err = r.ReplaceOrErr(said, true, true)
		}
		if err == nil {
			c.Reattach, err = plugins.ParseReattach(said)
		}
		if err != nil {
			return c, err
		}
	}
	if p.User != "" {
		if c.User, err = plugins.ParseUser(p.User); err != nil {
			return c, err
		}
	}
	if c.Path, err = filepath.Abs(p.Command); err != nil {
		return c, fmt.Errorf("command: %v", err)
	}
	if c.Digest, err = hex.DecodeString(p.SHA256); err != nil {
		return c, fmt.Errorf("sha256: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		value, err := r.ReplaceOrErr(p.Env[name], true, true)
		if err != nil {
			return c, fmt.Errorf("env %s: %v", name, err)
		}
		c.Env = append(c.Env, name+"="+value)
	}
	config, err := filled(r, p.Config)
	if err != nil {
		return c, fmt.Errorf("config: %v", err)
	}
	if config == nil {
		config = map[string]any{}
	}
	c.Config, err = json.Marshal(config)
	return c, err
}

// filled returns v with the placeholders of its texts filled in.
func filled[T any](r *caddy.Replacer, v T) (T, error) {
	var zero T
	switch x := any(v).(type) {
	case string:
		s, err := r.ReplaceOrErr(x, true, true)
		if err != nil {
			return zero, err
		}
		return any(s).(T), nil
	case []any:
		all := make([]any, len(x))
		for i := range x {
			var err error
			if all[i], err = filled(r, x[i]); err != nil {
				return zero, err
			}
		}
		return any(all).(T), nil
	case map[string]any:
		all := make(map[string]any, len(x))
		for name := range x {
			var err error
			if all[name], err = filled(r, x[name]); err != nil {
				return zero, fmt.Errorf("%s: %v", name, err)
			}
		}
		return any(all).(T), nil
	}
	return v, nil
}

// Cleanup gives the program back.
func (p *Plugin) Cleanup() error {
	if p.key == "" {
		return nil
	}
	_, err := processes.Delete(p.key)
	p.key = ""
	return err
}

// Instance tells this plugin from others.
func (p *Plugin) Instance() string { return p.Name }

// Warm starts the program in the background, if it does not run.
func (p *Plugin) Warm() { p.process.Warm() }

// Available returns why it cannot be used now; nil if it can, as far as is
// known.
func (p *Plugin) Available() error { return p.process.Available() }

// Ready waits until the program takes calls, as long as for an answer, and returns
// why if it does not. It then takes those of ctx, although it is replaced meanwhile.
func (p *Plugin) Ready(ctx context.Context) error { return p.process.Ready(ctx, p.Within()) }

// Within is how long a question to it may take.
func (p *Plugin) Within() time.Duration {
	switch {
	case p.Timeout != 0:
		return time.Duration(p.Timeout)
	case p.Reattach != "":
		return 30 * time.Second
	}
	return 2 * time.Second
}

// SharesPhone reports whether it is told the phone number on file.
func (p *Plugin) SharesPhone() bool { return slices.Contains(p.Share, "phone") }

// Describe says how the program presents itself, and until it has said so, its
// name.
func (p *Plugin) Describe() providers.Description {
	d := p.process.Describe()
	if d.Label == "" {
		d.Label = p.Name
	}
	return d
}

// Start asks the program for a first step.
func (p *Plugin) Start(ctx context.Context, req providers.Request) (providers.Step, error) {
	return p.process.Start(ctx, req)
}

// Continue asks the program what to make of what came back.
func (p *Plugin) Continue(ctx context.Context, req providers.Request) (providers.Step, *providers.Claim, error) {
	return p.process.Continue(ctx, req)
}

// Validate refuses what cannot work.
func (p *Plugin) Validate() error {
	err := errors.Join(checkName(p.Name), checkShare(p.Share), checkRedirects(p.Redirects), checkAMR(p.AMR), checkTimeout(time.Duration(p.Timeout)), checkMTLS(p.MTLS))
	if p.Reattach == "" {
		err = errors.Join(err, checkCommand(p.Command), checkDigest(p.SHA256))
	}
	for name := range p.Env {
		err = errors.Join(err, checkEnv(name))
	}
	if err != nil {
		return fmt.Errorf("sign_in plugin %s: %v", p.Name, err)
	}
	return nil
}

// lateLog is the server's log as it is when something is written: a program
// outlives the configuration that it was started with.
func lateLog(path string) *zap.Logger {
	return zap.New(lateCore{}).Named("portalgate.plugin").With(zap.String("command", path))
}

// Interface guards
var (
	_ caddy.Provisioner       = (*Plugin)(nil)
	_ caddy.Validator         = (*Plugin)(nil)
	_ caddy.CleanerUpper      = (*Plugin)(nil)
	_ providers.Authenticator = (*Plugin)(nil)
)
