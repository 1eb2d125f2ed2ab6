// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/net/idna"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/gate"
)

// Every check here says what to write instead, and does no I/O: the Caddyfile
// asks them with a line number at hand, Provision asks them again for what was
// written as JSON.

// check returns what is wrong with a gate as a whole.
func (g *Gate) check() error {
	if g.PublicURL == "" {
		return errors.New("public_url is missing; write the address that clients know: public_url https://portal.example.com")
	}
	u, err := parsePublicURL(g.PublicURL)
	if err != nil {
		return err
	}
	if g.Path != "" {
		if err := checkPath(g.Path); err != nil {
			return err
		}
	}
	if err := g.Practice.check(); err != nil {
		return err
	}
	if g.Store.File != "" && g.Store.Redis != nil {
		return errors.New("store is in one place: keep one of file and redis")
	}
	if err := g.Clients.check(); err != nil {
		return err
	}
	if err := g.Mail.check(); err != nil {
		return err
	}
	if g.Mail.Outbox && !isLoopback(u.Hostname()) {
		return fmt.Errorf("mail outbox sends nothing and is for trying things out, but %s is not a loopback address; with it goes public_url http://localhost:8080", u)
	}
	if g.UnknownEmail != "" {
		if err := checkUnknownEmail(g.UnknownEmail); err != nil {
			return err
		}
	}
	if g.Headers != "" {
		if err := checkHeaders(g.Headers); err != nil {
			return err
		}
	}
	if _, err := g.Session.lifetimes(); err != nil {
		return err
	}
	if err := g.Session.checkPassive(); err != nil {
		return err
	}
	_, err = g.Limits.rates()
	return err
}

func (p *Practice) check() error {
	switch {
	case p.Name == "":
		return errors.New(`practice is missing; say who runs the portal: practice "Willow Creek Counseling" with a phone or an email in its block`)
	case p.Phone == "" && p.Email == "":
		return errors.New("practice has neither phone nor email, and a client who cannot get in must be able to turn to somebody; add one or both to its block: phone \"+1 555 0100\"")
	}
	for _, f := range []struct {
		value string
		check func(string) error
	}{
		{p.Name, checkName}, {p.Phone, checkPhone}, {p.Email, checkEmail},
		{p.NewClients, checkNewClients}, {p.Accent, checkAccent}, {p.TimeZone, checkTimeZone},
	} {
		if f.value == "" {
			continue
		}
		if err := f.check(f.value); err != nil {
			return err
		}
	}
	return nil
}

// parsePublicURL reads an origin: scheme and host, and nothing that two
// programs could read in two ways.
func parsePublicURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || u.Scheme == "" {
		return nil, fmt.Errorf("public_url is %q; write scheme and host, such as https://portal.example.com", s)
	}
	host := strings.ToLower(u.Host)
	name, port := strings.ToLower(u.Hostname()), u.Port()
	origin := u.Scheme + "://" + host
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("public_url is %q; its scheme must be https (http on loopback only)", s)
	case u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(s, "#"):
		return nil, fmt.Errorf("public_url must be scheme and host only; write %s", origin)
	case strings.HasSuffix(host, ":") || port == "443" && u.Scheme == "https" || port == "80" && u.Scheme == "http":
		return nil, fmt.Errorf("public_url has a port that browsers leave out; write %s://%s", u.Scheme, strings.TrimSuffix(host, ":"+port))
	}
	if err := checkHost(name); err != nil {
		return nil, err
	}
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
		return nil, fmt.Errorf("public_url has port %q; write one from 1 to 65535", port)
	}
	if u.Scheme == "http" && !isLoopback(name) {
		return nil, fmt.Errorf("public_url is plain http, which is for loopback names only (localhost, 127.0.0.1); write https://%s", host)
	}
	return &url.URL{Scheme: u.Scheme, Host: host}, nil
}

var hostName = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)

func checkHost(name string) error {
	if ip, err := netip.ParseAddr(name); err == nil && ip.Zone() == "" {
		return nil
	}
	if hostName.MatchString(name) && len(name) <= 253 {
		return nil
	}
	if ascii, err := idna.Lookup.ToASCII(name); err == nil && ascii != name && hostName.MatchString(ascii) {
		return fmt.Errorf("public_url has host %q; write it as browsers send it: %s", name, ascii)
	}
	return fmt.Errorf("public_url has host %q; write the one host name that clients know, such as portal.example.com", name)
}

// isLoopback reports whether a host name can only ever mean this machine.
func isLoopback(name string) bool {
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.IsLoopback()
	}
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

var pathChars = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$`)

func checkPath(s string) error {
	if !pathChars.MatchString(s) || path.Clean(s) != s {
		return fmt.Errorf("path is %q; write one like /sign-in: a slash first and none last, of letters, digits and -", s)
	}
	return nil
}

// checkName keeps out what would break out of a mail header.
func checkName(s string) error {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return errors.New("practice: the name has a line break or another control character; write it on one line")
	}
	return nil
}

func checkPhone(s string) error {
	if !strings.ContainsFunc(s, unicode.IsDigit) || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Errorf(`practice: phone is %q; write a number that people can call, such as "+1 555 0100"`, s)
	}
	return nil
}

func checkEmail(s string) error {
	if a, err := address.Parse(s); err != nil || a.String() != s {
		return fmt.Errorf("practice: email is %q; write one address, such as hello@willow.example", s)
	}
	return nil
}

func checkNewClients(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return fmt.Errorf("practice: new_clients is %q; write a whole address, such as https://willow.example/welcome", s)
	}
	return nil
}

var hexColour = regexp.MustCompile(`^#[0-9A-Fa-f]{6}$`)

// checkAccent checks the form only; whether the colour can be read is said by
// the pages that use it.
func checkAccent(s string) error {
	if !hexColour.MatchString(s) {
		return fmt.Errorf(`practice: accent is %q; write six hex digits in quotes, such as "#2f6f5e"`, s)
	}
	return nil
}

func checkTimeZone(s string) error {
	if _, err := time.LoadLocation(s); err != nil {
		return fmt.Errorf("practice: time_zone is %q; write a name of the tz database, such as America/Chicago", s)
	}
	return nil
}

func (s *Session) checkPassive() error {
	if err := gate.CheckPassive(s.Passive); err != nil {
		return fmt.Errorf("session: %v; write whole paths or folders: passive /api/unread /poll/*", err)
	}
	return nil
}

func checkUnknownEmail(s string) error {
	if s != "conceal" && s != "reveal" {
		return fmt.Errorf("unknown_email is %q; write conceal (the default), or reveal, which tells anybody whether a person is a client", s)
	}
	return nil
}

func checkHeaders(s string) error {
	if s != "off" {
		return fmt.Errorf("headers is %q; write off, which leaves only the assertion, or leave the line out", s)
	}
	return nil
}

var gateName = regexp.MustCompile(`^[a-z0-9][a-z0-9_]{0,31}$`) // no "-": it ends the name in a cookie's

func checkGateName(s string) error {
	if !gateName.MatchString(s) {
		return fmt.Errorf("gate name is %q; write up to 32 of a-z, 0-9 and _, with a letter or digit first", s)
	}
	return nil
}
