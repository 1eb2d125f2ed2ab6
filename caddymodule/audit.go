// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/portalgate/portalgate/internal/audit"
)

// Audit is where the audit log is kept on disk, as JSON lines, a file a month. The
// store keeps the newest 90 days of it as well.
type Audit struct {
	// The folder. Each server, and each gate of it, needs one of its own.
	// Default: beside the store's file, or with a Redis in Caddy's data
	// directory: portalgate/<gate>-audit.
	Dir string `json:"dir,omitempty"`

	// How long a month is kept after its end, 90 days at least.
	// Default: 6 years, which is 2190d.
	Keep caddy.Duration `json:"keep,omitempty"`
}

// unmarshal reads: audit <dir> [<keep>].
func (a *Audit) unmarshal(d *caddyfile.Dispenser) error {
	const example = "audit /var/lib/portalgate/audit 6y"
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 || args[0] == "" {
		return d.Errf("audit takes a folder, and how long a month is kept: %s", example)
	}
	a.Dir = args[0]
	if len(args) == 1 {
		return nil
	}
	keep, err := parseKeep(args[1])
	if err != nil {
		return d.Errf("%q is no duration; write: %s", args[1], example)
	}
	a.Keep = caddy.Duration(keep)
	return at(d, a.check())
}

// parseKeep reads a duration, which may also be in years of 365 days.
func parseKeep(s string) (time.Duration, error) {
	if years, ok := strings.CutSuffix(s, "y"); ok {
		n, err := strconv.ParseUint(years, 10, 8)
		return time.Duration(n) * 365 * 24 * time.Hour, err
	}
	return caddy.ParseDuration(s)
}

func (a Audit) check() error {
	if a.Keep != 0 && time.Duration(a.Keep) < audit.StoreLife {
		return fmt.Errorf("audit: %s is shorter than the store keeps it, which is 90 days; write 90d or more", short(time.Duration(a.Keep)))
	}
	return nil
}

// auditDir is where a gate's audit log goes.
func (g *Gate) auditDir(name string) (string, error) {
	if g.Audit.Dir != "" {
		return filepath.Abs(g.Audit.Dir)
	}
	if g.Store.Redis != nil {
		return filepath.Abs(filepath.Join(caddy.AppDataDir(), "portalgate", name+"-audit"))
	}
	f, err := g.storeFile(name)
	return strings.TrimSuffix(f, ".db") + "-audit", err
}

// checkAudits refuses two gates with one folder: it would hold two logs.
func (a *App) checkAudits() error {
	users := make(map[string]string)
	for name, g := range a.Gates {
		if g == nil {
			continue
		}
		dir, err := g.auditDir(name)
		if err != nil {
			return fmt.Errorf("audit: %v", err)
		}
		if other, taken := users[dir]; taken {
			return fmt.Errorf("audit: gates %q and %q have the same folder %s; give each one of its own", min(name, other), max(name, other), dir)
		}
		users[dir] = name
	}
	return nil
}

func (g *Gate) auditFiles(name string) (*audit.Files, error) {
	if err := g.Audit.check(); err != nil {
		return nil, err
	}
	dir, err := g.auditDir(name)
	if err != nil {
		return nil, fmt.Errorf("audit: %v", err)
	}
	keep := time.Duration(g.Audit.Keep)
	if keep == 0 {
		keep = audit.UsualKeep
	}
	return audit.NewFiles(dir, keep), nil
}

// auditPage is what GET audit answers.
type auditPage struct {
	Events []audit.Event `json:"events"`
	// Next is the cursor of the page with older ones; empty after the last.
	Next string `json:"next,omitempty"`
}

// auditReport is what GET audit/verify answers: one of the two.
type auditReport struct {
	audit.Report
	Broken *audit.Broken `json:"broken,omitempty"`
	// Text says it to people.
	Text string `json:"text"`
}

func listAudit(g *liveGate, r *http.Request) (any, error) {
	q := r.URL.Query()
	f := audit.Filter{Client: q.Get("client"), By: q.Get("by"), What: q.Get("what"), Cursor: q.Get("cursor")}
	for name, into := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		if s := q.Get(name); s != "" {
			var err error
			if *into, err = time.Parse(time.RFC3339, s); err != nil {
				return nil, apiError(http.StatusUnprocessableEntity, fmt.Errorf("%s is no time like 2026-01-31T00:00:00Z", name))
			}
		}
	}
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, apiError(http.StatusUnprocessableEntity, fmt.Errorf("limit is no number from 1 on"))
		}
		f.Limit = n
	}
	if err := g.runtime.Note(r.Context(), audit.Event{What: "events_read", By: operator, Client: f.Client}); err != nil {
		return nil, err
	}
	events, next, err := g.runtime.Events(r.Context(), f)
	if err == audit.ErrCursor {
		return nil, apiError(http.StatusUnprocessableEntity, err)
	}
	return auditPage{append([]audit.Event{}, events...), next}, err
}

func verifyAudit(g *liveGate, r *http.Request) (any, error) {
	return reportOf(g.runtime.VerifyEvents(r.Context(), r.URL.Query().Get("head")))
}
