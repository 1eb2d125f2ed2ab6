// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"slices"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap/zapcore"
)

// lateCore writes to whatever is the server's log at the time.
type lateCore struct{ fields []zapcore.Field }

func (c lateCore) now() zapcore.Core { return caddy.Log().Core().With(c.fields) }

func (c lateCore) Enabled(l zapcore.Level) bool { return caddy.Log().Core().Enabled(l) }

func (c lateCore) With(fields []zapcore.Field) zapcore.Core {
	return lateCore{slices.Concat(c.fields, fields)}
}

func (c lateCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return c.now().Check(e, ce)
}

func (c lateCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	return c.now().Write(e, fields)
}

func (c lateCore) Sync() error { return nil }

// Interface guards
var _ zapcore.Core = lateCore{}
