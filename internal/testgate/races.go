// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package testgate

import "strings"

// races returns the race detector's reports in a log, but for one that is
// Caddy's own (2.11.9): when a configuration goes, its reverse proxy sets a
// timer for the streams that stay open by stream_close_delay, under a lock.
// Requests that still run copy the whole handler, timer included, to call
// methods with a value receiver (finalizeResponse calls flushInterval). Nobody
// looks at the copy's timer, and no gate is needed for it to happen.
func races(log string) (reports []string) {
	for part := range strings.SplitSeq(log, "==================\n") {
		_, report, ok := strings.Cut(part, "WARNING: DATA RACE\n")
		if ok && !caddysOwn(report) {
			reports = append(reports, report)
		}
	}
	return reports
}

func caddysOwn(report string) bool {
	const proxy = "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy.(*Handler)."
	var accesses, timer int
	is := false // the line before said that what follows is where memory was accessed
	for line := range strings.Lines(report) {
		line = strings.TrimSpace(line)
		if is && !strings.HasPrefix(line, proxy) {
			return false
		}
		if is {
			accesses++
			switch strings.TrimPrefix(line, proxy) {
			case "cleanupConnections()", "registerConnection.func1()", "handleUpgradeResponse.(*Handler).registerConnection.func1()":
				timer++
			}
		}
		is = strings.Contains(line, " by goroutine ") && strings.Contains(line, " at 0x")
	}
	return accesses == 2 && timer == 1
}
