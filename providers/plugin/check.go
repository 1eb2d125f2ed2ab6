// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/portalgate/portalgate/plugins"
)

const digestExample = "9f86d081884c7d65…, as `caddy portalgate plugin digest <file>` prints it"

var (
	goodName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
	goodEnv  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	goodAMR  = regexp.MustCompile(`^[a-z0-9_-]{1,16}$`)
)

func checkName(name string) error {
	if !goodName.MatchString(name) {
		return fmt.Errorf("the name is %q; write small letters, digits and \"-\", at most 32, such as: sign_in plugin text-message { ... }", name)
	}
	return nil
}

func checkCommand(path string) error {
	if path == "" {
		return errors.New("command is missing; write the program's file: command /usr/local/lib/portalgate/text-message")
	}
	return nil
}

func checkDigest(s string) error {
	b, err := hex.DecodeString(s)
	switch {
	case s == "":
		return errors.New("sha256 is missing; write: sha256 " + digestExample)
	case err != nil || len(b) != 32:
		return fmt.Errorf("sha256 is %q, which is no SHA-256 in hex; write: sha256 %s", s, digestExample)
	}
	return nil
}

// checkFile looks at the program's file as it is now. It is looked at again
// when it is run.
func (p *Plugin) checkFile() error {
	if p.Reattach != "" {
		return nil
	}
	got, err := plugins.Digest(p.Command)
	switch {
	case err != nil && !exists(p.Command):
		return fmt.Errorf("command: there is no file %s; write the path of the plugin's program: command /usr/local/lib/portalgate/text-message", p.Command)
	case err != nil:
		return err
	}
	if !strings.EqualFold(hex.EncodeToString(got), p.SHA256) {
		return fmt.Errorf("plugin %s has the checksum %x; if this is the program that you mean, write: sha256 %x", p.Command, got, got)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func checkEnv(name string) error {
	if !goodEnv.MatchString(name) {
		return fmt.Errorf("env has the name %q; write a name and a value: env TZ America/Chicago", name)
	}
	return nil
}

func checkUser(s string) error {
	_, err := plugins.ParseUser(s)
	return err
}

func checkShare(what []string) error {
	for _, s := range what {
		if s != "phone" {
			return fmt.Errorf("a plugin cannot be told %q of a client; there is: share phone", s)
		}
	}
	return nil
}

func checkRedirects(origins []string) error {
	for _, s := range origins {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != s || strings.Contains(s, "*") ||
			u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
			return fmt.Errorf("redirects has %q; write an origin, https and nothing after the host: redirects https://accounts.example.com", s)
		}
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func checkAMR(names []string) error {
	for _, s := range names {
		if !goodAMR.MatchString(s) {
			return fmt.Errorf("amr has %q; write names of RFC 8176: amr sms otp", s)
		}
	}
	if n := len(strings.Join(names, " ")); n > 40 { // so much is kept with a session
		return fmt.Errorf("amr has %d characters in all; at most 40 are kept: amr sms otp", n)
	}
	return nil
}

func checkTimeout(d time.Duration) error {
	if d != 0 && (d < 100*time.Millisecond || d > 30*time.Second) {
		return fmt.Errorf("timeout is %v; write 100ms to 30s: timeout 2s", d)
	}
	return nil
}

func checkMTLS(s string) error {
	if s != "" && s != "off" {
		return fmt.Errorf("mtls is %q; leave the line out, or write: mtls off", s)
	}
	return nil
}
