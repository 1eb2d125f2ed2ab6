// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/portalgate/portalgate/internal/limit"
)

// provision provisions an app from JSON, in a folder with a client list, and
// gives it back.
func provision(t *testing.T, config string) (*App, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{
		"clients.csv":            "id,email,name\nc-ada,ada@example.com,Ada Lovelace\n",
		"words/sign-in.txt":      "Hello {{.First}}, {{.Code}} {{.Stop}}",
		"words/sign-in.html":     `<a href="{{.Link}}">{{.Code}}</a> <a href="{{.Stop}}">x</a>`,
		"unsaid/invitation.txt":  "Hello {{.First}}\n{{.Link}}\n",
		"unsaid/invitation.html": `<a href="{{.Link}}">{{.Message}}</a>`,
		"bad.csv":                "id,email,name\nc-ada,ada@example.com,Ada Lovelace\nc-two,ada@example.com,Somebody Else\n",
		"logo.txt":               "not a picture",
		"large.svg":              `<svg xmlns="http://www.w3.org/2000/svg">` + strings.Repeat(" ", 150<<10) + "</svg>",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	ctx, err := caddy.ProvisionContext(&caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true},
		AppsRaw: caddy.ModuleMap{"portalgate": json.RawMessage(config)},
	})
	if err != nil {
		return nil, err
	}
	app, err := ctx.App("portalgate")
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := app.(*App).Cleanup(); err != nil {
			t.Error(err)
		}
	})
	return app.(*App), nil
}

const least = `{"gates": {"main": {
	"public_url": "http://localhost:8080",
	"practice": {"name": "Willow Creek", "phone": "+1 555 0100"},
	"clients": {"file": "clients.csv"},
	"mail": {"outbox": true}
}}}`

func TestDefaults(t *testing.T) {
	app, err := provision(t, least)
	if err != nil {
		t.Fatal(err)
	}
	c := app.live["main"].config
	if c.Name != "main" || c.Path != "/sign-in" || c.Reveal || c.PublicURL.String() != "http://localhost:8080" {
		t.Errorf("defaults: %q %q %t %q", c.Name, c.Path, c.Reveal, c.PublicURL)
	}
	if l := c.Session; l.Idle != 30*time.Minute || l.Absolute != 12*time.Hour || l.SharedIdle != 10*time.Minute || l.SharedAbsolute != time.Hour {
		t.Errorf("session defaults: %+v", l)
	}
	if l := c.Limits; l.Requests != (limit.Rate{Count: 60, Per: 10 * time.Minute}) ||
		l.Unknown != (limit.Rate{Count: 5, Per: 15 * time.Minute}) || l.Mails != (limit.Rate{Count: 10, Per: 24 * time.Hour}) {
		t.Errorf("limit defaults: %+v", l)
	}
	if len(c.Methods) != 1 || c.Methods[0].Name != "magic_link" {
		t.Errorf("method defaults: %+v", c.Methods)
	}
	if c.Sender == nil || c.Clients == nil || c.UI == nil || c.Log == nil {
		t.Error("the configuration has holes")
	}
	file, err := app.Gates["main"].storeFile("main")
	if want := filepath.Join(caddy.AppDataDir(), "portalgate", "main.db"); err != nil || file != want {
		t.Errorf("the store is %s (%v), want %s", file, err, want)
	}
}

// TestShortSessions: the defaults for a shared computer never outlast the
// times that the operator chose for all others.
func TestShortSessions(t *testing.T) {
	l, err := Session{Idle: caddy.Duration(5 * time.Minute), Absolute: caddy.Duration(20 * time.Minute)}.lifetimes()
	if err != nil || l.SharedIdle != 5*time.Minute || l.SharedAbsolute != 20*time.Minute {
		t.Errorf("%+v, %v", l, err)
	}
}

// TestRefused is about what only the machine itself can tell, and about JSON
// that no Caddyfile would give. Each names the setting to mend.
func TestRefused(t *testing.T) {
	for _, tc := range []struct{ name, old, new, err string }{
		{"two stores", `"mail"`, `"store": {"file": "a.db", "redis": {"url": "redis://127.0.0.1:6379"}}, "mail"`, "keep one of file and redis"},
		{"no list", `clients.csv`, `none.csv`, "portalgate main: clients: "},
		{"two clients with one address", `clients.csv`, `bad.csv`, "portalgate main: clients: "},
		{"no logo", `"phone"`, `"logo": "none.svg", "phone"`, "portalgate main: practice: logo: "},
		{"a logo that is none", `"phone"`, `"logo": "logo.txt", "phone"`, "logo"},
		{"a large logo", `"phone"`, `"logo": "large.svg", "phone"`, "logo"},
		{"a colour that cannot be read", `"phone"`, `"accent": "#ffffaa", "phone"`, "accent"},
		{"no secret", `"mail"`, `"secret": "{env.PORTALGATE_TEST_UNSET}", "mail"`, "portalgate main: secret: "},
		{"no public URL", `http://localhost:8080`, ``, "public_url is missing"},
		{"a public URL with a path", `:8080`, `:8080/x`, "write http://localhost:8080"},
		{"an outbox off loopback", `http://localhost:8080`, `https://portal.example.com`, "mail outbox"},
		{"nobody to turn to", `"phone": "+1 555 0100"`, `"accent": "#2f6f5e"`, "neither phone nor email"},
		{"no mail", `"outbox": true`, ``, "mail is missing"},
		{"two ways to mail", `"outbox": true`, `"outbox": true, "smtp": {"host": "smtp.example.com", "from": "a@example.com"}`, "keep one of"},
		{"a password that is not there", `"outbox": true`, `"smtp": {"host": "smtp.example.com", "from": "a@example.com", "user": "u", "password": "{env.PORTALGATE_TEST_UNSET}"}`, "mail smtp: "},
		{"a server that no placeholder names", `"outbox": true`, `"smtp": {"host": "{env.HOME}", "from": "a@example.com"}`, "mail smtp: host is"},
		{"a key that is not there", `"outbox": true`, `"mailgun": {"domain": "mg.example.com", "from": "a@example.com", "api_key": "{file./none}"}`, "mail mailgun: "},
		{"templates that are not there", `"mail"`, `"templates": "none", "mail"`, "portalgate main: templates none: "},
		{"a template without the link", `"mail"`, `"templates": "words", "mail"`, "sign-in.txt lacks the link; write {{.Link}}"},
		{"a template without what staff write", `"mail"`, `"templates": "unsaid", "mail"`, "invitation.txt lacks what staff write to the client; write {{.Message}}"},
		{"a path", `"mail"`, `"path": "/", "mail"`, "path is"},
		{"a mode", `"mail"`, `"unknown_email": "maybe", "mail"`, "unknown_email is"},
		{"a session", `"mail"`, `"session": {"idle": "-1h"}, "mail"`, "session: "},
		{"a limit", `"mail"`, `"limits": {"mails": {"count": 0, "per": "24h"}}, "mail"`, "limits: mails"},
		{"a gate's name", `"main"`, `"../main"`, "gate name is"},
		{"no gate", `{"main": {`, `{"other": null, "main": {`, "portalgate other: public_url is missing"},
		{"a method twice", `"mail"`, `"sign_in": [{"method": "magic_link"}, {"method": "magic_link"}], "mail"`, "magic_link stands twice"},
		{"an unknown method", `"mail"`, `"sign_in": [{"method": "password"}], "mail"`, "password"},
		{"a method's setting", `"mail"`, `"sign_in": [{"method": "magic_link", "expires": "72h"}], "mail"`, "from 5m to 24h"},
		{"an unknown setting", `"mail"`, `"captcha": true, "mail"`, "captcha"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			config := strings.Replace(least, tc.old, tc.new, 1)
			if config == least {
				t.Fatal("nothing was changed")
			}
			if _, err := provision(t, config); err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%v, want %q", err, tc.err)
			}
		})
	}
}

// TestLoopbackNames: what counts as this machine may have an outbox, an inbox
// that shows sign-in links, and plain http.
func TestLoopbackNames(t *testing.T) {
	for name, want := range map[string]bool{
		"localhost": true, "portal.localhost": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true,
		"localhost.example.com": false, "notlocalhost": false, "127.0.0.1.example.com": false,
		"0.0.0.0": false, "10.0.0.1": false, "": false, "::": false,
	} {
		if got := isLoopback(name); got != want {
			t.Errorf("isLoopback(%q) = %t, want %t", name, got, want)
		}
	}
}
