// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"bytes"
	"strings"
	"sync"
	"time"
	"unicode"

	"go.uber.org/zap"
	"google.golang.org/grpc/status"
)

const (
	maxLine       = 500 // bytes of a line of a plugin's that are kept
	linesPerCount = 20
	countEvery    = 10 * time.Second
)

// voice puts what a plugin writes to its standard error into the gate's log:
// as the plugin's, line by line, cut, and not more than so many lines.
type voice struct {
	log *zap.Logger

	mu      sync.Mutex
	line    []byte
	since   time.Time
	lines   int
	dropped int
}

// Write takes any piece of output and never fails: a plugin's output is no
// reason to stop it.
func (v *voice) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for rest := p; len(rest) > 0; {
		piece, after, ended := bytes.Cut(rest, []byte{'\n'})
		v.line = append(v.line, piece[:min(len(piece), maxLine-len(v.line))]...)
		if ended {
			v.endLineLocked(time.Now())
		}
		rest = after
	}
	return len(p), nil
}

func (v *voice) endLineLocked(now time.Time) {
	defer func() { v.line = v.line[:0] }()
	if now.Sub(v.since) >= countEvery {
		if v.dropped > 0 {
			v.log.Warn("a plugin says too much", zap.Int("lines_dropped", v.dropped))
		}
		v.since, v.lines, v.dropped = now, 0, 0
	}
	switch {
	case len(v.line) == 0:
	case v.lines < linesPerCount:
		v.lines++
		v.log.Info("a plugin says", zap.String("plugin_said", printable(string(v.line))))
	default:
		v.dropped++
	}
}

// printable puts a space for each character that cannot be seen.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, s)
}

// cut shortens a text of the plugin's for the log or a terminal, which what
// cannot be seen would command.
func cut(s string) string {
	r := []rune(printable(s))
	if len(r) > maxText {
		return string(r[:maxText]) + "…"
	}
	return string(r)
}

// shortened is an error in which the plugin had a say.
func shortened(err error) string {
	if s, ok := status.FromError(err); ok {
		return cut(s.Message())
	}
	return cut(err.Error())
}
