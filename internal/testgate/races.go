// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package testgate

import (
	"slices"
	"strings"
)

// races returns the race detector's reports in a log, but for two that are
// Caddy's own (2.11.9), for which no gate is needed:
//
//   - When a configuration goes, its reverse proxy sets a timer for the streams
//     that stay open by stream_close_delay, under a lock. Requests that still run
//     copy the whole handler, timer included, to call methods with a value
//     receiver (finalizeResponse calls flushInterval). Nobody looks at the copy's
//     timer.
//   - Apps start in any order: where a browser shakes hands before the app tls has
//     started, telling of it copies that app while it starts.
func races(log string) (reports []string) {
	for part := range strings.SplitSeq(log, "==================\n") {
		_, report, ok := strings.Cut(part, "WARNING: DATA RACE\n")
		if ok && !caddysOwn(accesses(report)) {
			reports = append(reports, report)
		}
	}
	return reports
}

// accesses are the functions that accessed the memory that a report is about.
func accesses(report string) (all []string) {
	is := false // the line before said that what follows is where memory was accessed
	for line := range strings.Lines(report) {
		line = strings.TrimSpace(line)
		if is {
			all = append(all, strings.TrimPrefix(line, "github.com/caddyserver/caddy/v2/modules/"))
		}
		is = strings.Contains(line, " at 0x") && strings.Contains(line, " by ")
	}
	return all
}

func caddysOwn(accesses []string) bool {
	if slices.Equal(accesses, []string{"caddytls.(*TLS).CaddyModule()", "caddytls.(*TLS).Start()"}) {
		return true
	}
	timer := 0
	for _, access := range accesses {
		method, ok := strings.CutPrefix(access, "caddyhttp/reverseproxy.(*Handler).")
		if !ok {
			return false
		}
		switch method {
		case "cleanupConnections()", "registerConnection.func1()", "handleUpgradeResponse.(*Handler).registerConnection.func1()":
			timer++
		}
	}
	return len(accesses) == 2 && timer == 1
}
