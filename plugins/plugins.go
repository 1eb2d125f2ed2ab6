// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package plugins runs sign-in methods as separate programs, and is what such
// a program is written with: in Go, [Serve] is all that it takes.
//
// On the gate's side a [Process] is a [providers.Authenticator] like any other.
// It supervises the program and is between it and everything else: what the
// program may see is a [providers.Request] and its own settings, and what it
// answers is checked before anybody acts on it. A plugin that hangs, crashes
// or lies costs its own method only.
//
// A plugin never sees a cookie, a session, a key, a link, the store or another
// client, and nothing of the gate's environment. The package refuses programs
// that others could change, and runs a private copy of what it has checked.
package plugins

import (
	goplugin "github.com/hashicorp/go-plugin"
)

//go:generate go run -C proto/generate .

// Handshake tells a plugin that it was not started by hand. It is not a secret.
var Handshake = goplugin.HandshakeConfig{
	MagicCookieKey:   "PORTALGATE_PLUGIN",
	MagicCookieValue: "authenticator",
}

// kind is the name under which go-plugin hands out what we serve.
const kind = "authenticator"

// protocolVersion is that of the folder under proto/authenticator.
const protocolVersion = 1

// Info says what a plugin is, for the operator's log.
type Info struct {
	Name, Version string
}
