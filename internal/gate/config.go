// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/ui"
	"github.com/portalgate/portalgate/providers"
)

// Config is one gate as its operator wrote it, checked and resolved. It is
// one configuration generation: immutable, and owning nothing that has to be
// closed.
type Config struct {
	// Name is the gate's name; "main" if the operator gave none.
	Name string
	// PublicURL is the gate's one origin: scheme and host, no path.
	PublicURL *url.URL
	// Path is the prefix of the gate's own routes, "/sign-in" by default.
	Path string
	// UI draws the pages, in the practice's name and colour.
	UI *ui.UI
	// Reveal tells a visitor whether an address is on file (mode "reveal").
	// The default, false, is mode "conceal".
	Reveal bool
	// AssertionOnly leaves the plain headers out of what the upstream gets.
	AssertionOnly bool
	// Session is how long sessions last.
	Session access.Lifetimes
	Limits  Limits
	// Passive are path patterns, as in HandlerOptions.Public, under which
	// requests are no activity: a page that asks by itself keeps nobody signed
	// in.
	Passive []string
	// Health serves a health address for balancers under Path.
	Health bool
	// Circling is told, at most once an hour, of a visit that was ended because
	// it went round in a circle, so that the operator learns why. It may be nil.
	Circling func(*http.Request)
	// Methods are the ways to sign in, in the order they are offered.
	Methods []Method
	// Clients is who is on file.
	Clients directory.Directory
	// Sender takes the mails.
	Sender mail.Sender
	// Templates are the practice's own words for mails; nil is the usual ones.
	Templates *mail.Templates
	// Reports reads what the mail service tells at <path>/mailgun of mails; nil
	// is that there is no such address.
	Reports mail.Reporter
	// Audit is where the audit log goes on disk; nil keeps it in the store only,
	// for 90 days.
	Audit *audit.Files
	Log   *zap.Logger
}

// Limits are the rates that an operator may set (DESIGN section 6).
type Limits struct {
	// Requests is per browser network (IPv4 /32, IPv6 /64): 60 in 10 minutes.
	Requests limit.Rate
	// Unknown is wrong addresses per browser: 5 in 15 minutes.
	Unknown limit.Rate
	// Mails is per client and day: 10 in 24 hours.
	Mails limit.Rate
}

// Method is one way to sign in, under the name its routes carry.
type Method struct {
	// Name is the kind, or "<kind>:<name>" where there may be several of it. It
	// stands in records: whoever was linked under it is linked under it only.
	Name string
	providers.Authenticator
}

// Path is the method's address below the gate's.
func (m Method) Path() string {
	if _, name, several := strings.Cut(m.Name, ":"); several {
		return "m/" + name
	}
	return strings.ReplaceAll(m.Name, "_", "-")
}

// Options is what a Runtime needs to come to life. It lives as long as the
// process keeps the gate, over any number of configurations.
type Options struct {
	// Gate is the gate's name.
	Gate string
	// Secret returns the root secret, 32 bytes. Called when the store is first
	// needed, not before.
	Secret func(context.Context) ([]byte, error)
	// Open opens the store. Called when the store is first needed, and again,
	// at most once a second, while it fails.
	Open func(context.Context) (store.Backend, error)
	// Mark tells an earlier copy of the store from the store; nil if that is
	// the store's own business.
	Mark Mark
	// Pause is how long at most, and at random, the worker lets pass before it
	// begins with a mail. Zero is 400 ms, less is not at all.
	Pause time.Duration
	// Move is how often events are moved from records to the audit log. Zero is a
	// second; less is not until there is no room, or the gate closes.
	Move time.Duration
	// PIN is what it costs to try a PIN.
	PIN Stretch
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Front is what the server in front of the gate knows of a request.
type Front struct {
	// IP is the client's address, proxies the operator trusts taken into account.
	IP netip.Addr
	// Original is the URL as it arrived, before any rewrite.
	Original *url.URL
	// HTTPS reports whether the request came over TLS, or over plain HTTP from
	// a trusted proxy that says that it got it over TLS.
	HTTPS bool
	// SkipLog keeps a request out of the access log.
	SkipLog func(*http.Request)
	// SignedIn is told whose request it is, before the upstream is.
	SignedIn func(*http.Request, *session.Visitor)
}

// Next is what stands behind the gate.
type Next func(http.ResponseWriter, *http.Request) error

// HandlerOptions is what one place in the server's routes says.
type HandlerOptions struct {
	// Public are path patterns that need no sign-in ("/assets/*").
	Public []string
	// Audience is the assertion's "aud"; empty is the public URL.
	Audience string
}
