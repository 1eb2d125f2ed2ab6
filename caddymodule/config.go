// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
)

// Gate is one sign-in gate: one practice, one public address, one store.
type Gate struct {
	// The one origin that clients know, such as https://portal.example.com:
	// scheme and host, and a port if it is not the usual one. Plain http is
	// for loopback names only. Required.
	PublicURL string `json:"public_url,omitempty"`

	// The root secret that every key is derived from: 32 bytes in hex or
	// base64, as `caddy portalgate secret` prints them. Meant to be a
	// placeholder, {env.NAME} or {file./path}. If empty, a secret is made in
	// Caddy's storage, and it serves this one gate.
	Secret string `json:"secret,omitempty"`

	// The path under which the gate's own pages live. Default: /sign-in.
	Path string `json:"path,omitempty"`

	// Who runs the portal. Required.
	Practice Practice `json:"practice"`

	// Where the gate keeps its records.
	Store Store `json:"store,omitzero"`

	// Who is on file.
	Clients Clients `json:"clients,omitzero"`

	// How mail leaves. Required.
	Mail Mail `json:"mail,omitzero"`

	// A folder with the practice's own words for the mails with a link: sign-in.txt
	// and sign-in.html, and sign-in.subject if that is to be another; so for
	// invitation and for link, which staff send. Default: the usual words.
	Templates string `json:"templates,omitempty"`

	// The ways to sign in, in the order they are offered; the method's name
	// stands under "method". Default: magic_link alone.
	SignInRaw []json.RawMessage `json:"sign_in,omitempty" caddy:"namespace=portalgate.sign_in inline_key=method"`

	// What a visitor learns about an address that is not on file: "conceal"
	// answers as for any other, "reveal" says so, and thereby tells anybody
	// who asks whether a person is a client. Default: conceal.
	UnknownEmail string `json:"unknown_email,omitempty"`

	// "off" leaves the plain headers (Remote-User, Remote-Email, Remote-Name)
	// out of what the upstream gets; the assertion always comes.
	// Default: all of them.
	Headers string `json:"headers,omitempty"`

	// Answer at <path>/health whether the gate can reach its store: 200, or
	// 503. For load balancers, so on any host and over plain http as well.
	// Default: there is no such address.
	Health bool `json:"health,omitempty"`

	// How long sessions last.
	Session Session `json:"session,omitzero"`

	// How often things may be done.
	Limits Limits `json:"limits,omitzero"`

	// Where the audit log is kept on disk.
	Audit Audit `json:"audit,omitzero"`
}

// Practice is who runs the portal, as the pages and mails present it. It must
// have a phone number or an email address, because every page says where to
// turn to.
type Practice struct {
	// The name that clients know. Required.
	Name string `json:"name,omitempty"`

	// The phone number to call, as people write it.
	Phone string `json:"phone,omitempty"`

	// The email address to write to.
	Email string `json:"email,omitempty"`

	// A page for people who are not clients yet. If empty, there is no such
	// choice.
	NewClients string `json:"new_clients,omitempty"`

	// The file of the logo (SVG, PNG, JPEG or WebP, at most 100 KB).
	Logo string `json:"logo,omitempty"`

	// The colour of buttons and links, as #rrggbb. It must stand out on white.
	Accent string `json:"accent,omitempty"`

	// The time zone of the times that clients read, such as America/Chicago.
	// Default: the server's.
	TimeZone string `json:"time_zone,omitempty"`
}

// Store is where a gate keeps its records: in a file of its own, or in a Redis
// that it shares with other gates.
type Store struct {
	// The file of the embedded store, used by one gate of one server.
	// Default: portalgate/<gate>.db in Caddy's data directory.
	File string `json:"file,omitempty"`

	// A Redis in place of the file.
	Redis *Redis `json:"redis,omitempty"`
}

// Session is how long sessions last, and what keeps them going.
type Session struct {
	// Without activity. Default: 30m.
	Idle caddy.Duration `json:"idle,omitempty"`

	// At most. Default: 12h.
	Absolute caddy.Duration `json:"absolute,omitempty"`

	// Without activity, on a shared computer. Default: 10m, or idle if that
	// is shorter.
	SharedIdle caddy.Duration `json:"shared_idle,omitempty"`

	// At most, on a shared computer. Default: 1h, or absolute if that is
	// shorter.
	SharedAbsolute caddy.Duration `json:"shared_absolute,omitempty"`

	// Paths that a page asks for by itself, such as /poll/*. What is asked for
	// there is no activity, so that a page left open keeps nobody signed in.
	Passive []string `json:"passive,omitempty"`
}

// Limits is how often things may be done.
type Limits struct {
	// Sign-in requests per network (an IPv4 address or an IPv6 /64).
	// Default: 60 in 10m.
	Requests *Rate `json:"requests,omitempty"`

	// Addresses that are not on file, per browser. Default: 5 in 15m.
	Unknown *Rate `json:"unknown,omitempty"`

	// Mails per client. Default: 10 in 24h.
	Mails *Rate `json:"mails,omitempty"`
}

// Rate is a number of events in a time.
type Rate struct {
	// How many.
	Count int `json:"count"`

	// In how long.
	Per caddy.Duration `json:"per"`
}
