// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/portalgate/portalgate/plugins"
	"github.com/portalgate/portalgate/plugins/plugintest"
)

// pluginCommand needs no running gate: it is for whoever writes a plugin, or was
// given one.
func pluginCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "Looks at sign-in methods that are separate programs",
	}
	group(cmd, pluginDigestCommand(), pluginTestCommand(), pluginTryCommand())
	return cmd
}

func pluginDigestCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "digest <program>",
		Short: "Prints the SHA-256 of a plugin's file",
		Long: `Prints the SHA-256 of a plugin's file. A file that others than its owner could
change is refused.`,
		Args: takes(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			digest, err := plugins.Digest(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%x\n", digest)
			return err
		},
	}
}

// tried is a program as the flags of a command say, to be run as the gate would.
type tried struct {
	plugins.Command
	config, user string
}

func (p *tried) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.config, "config", "", "the plugin's settings as a JSON object, or @ and a file that holds them")
	f.StringArrayVar(&p.Args, "arg", nil, "an argument for the plugin; may be given again")
	f.StringArrayVar(&p.Env, "env", nil, "NAME=value for its environment, which is empty otherwise; may be given again")
	f.StringVar(&p.user, "user", "", "whom it runs as, a name or numbers; nobody if you are root, and only root may choose")
	f.StringArrayVar(&p.Redirects, "redirects", nil, "an origin to which it may send a browser; may be given again")
	f.DurationVar(&p.Timeout, "timeout", 2*time.Second, "how long a call may take")
	f.BoolVar(&p.NoTLS, "no-mtls", false, "for a plugin that cannot do mutual TLS")
}

// resolve looks at the file and at what was said of it.
func (p *tried) resolve(path string) (err error) {
	if p.Path, err = filepath.Abs(path); err != nil {
		return err
	}
	if p.Digest, err = plugins.Digest(p.Path); err != nil {
		return err
	}
	if p.Config, err = settings(p.config); err != nil {
		return err
	}
	if p.user != "" {
		p.User, err = plugins.ParseUser(p.user)
	}
	return err
}

func pluginTestCommand() *cobra.Command {
	var p tried
	var email string
	cmd := &cobra.Command{
		Use:   "test <program>",
		Short: "Runs a plugin as the gate would, and says what is wrong with it",
		Long: `Runs a plugin as the gate would, and says in words what is wrong with it. It is
given odd input of every kind, so it should not be able to reach real people:
let it speak to a gateway for tests.

	caddy portalgate plugin test ./text-message --config @settings.json

It cannot say whether the plugin lets the right people in.`,
		Args: takes(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := p.resolve(args[0]); err != nil {
				return err
			}
			return testPlugin(cmd, p.Command, email)
		},
	}
	p.flags(cmd)
	cmd.Flags().StringVar(&email, "email", "name@example.com", "an address for a plugin that asks for one first")
	return cmd
}

// testPlugin prints what is wrong, and fails if anything is.
func testPlugin(cmd *cobra.Command, c plugins.Command, email string) error {
	cmd.SilenceUsage = true
	found := plugintest.Problems(cmd.Context(), c, email, plainLog(cmd.ErrOrStderr()))
	for _, problem := range found {
		fmt.Fprintln(cmd.OutOrStdout(), problem)
	}
	if len(found) != 0 {
		return errors.New("the gate would not work with this plugin, or not well")
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "nothing is wrong with it that can be seen from outside")
	return nil
}

// settings reads a JSON object that was given, or is in a file that was.
func settings(s string) (json.RawMessage, error) {
	raw := []byte(s)
	if file, ok := strings.CutPrefix(s, "@"); ok {
		var err error
		if raw, err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("config: %v", err)
		}
	}
	var object map[string]any
	if len(raw) == 0 {
		return json.RawMessage("{}"), nil
	}
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, fmt.Errorf("config: not a JSON object: %v", err)
	}
	return raw, nil
}

// plainLog is what a plugin says, for a terminal.
func plainLog(w io.Writer) *zap.Logger {
	encoder := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{MessageKey: "m"})
	return zap.New(zapcore.NewCore(encoder, zapcore.AddSync(w), zapcore.InfoLevel))
}
