// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// scraped returns the gate's part of what Prometheus gets from a site.
func (b *browser) scraped(origin string) []string {
	b.t.Helper()
	p := b.get(origin + "/metrics")
	if p.status != 200 {
		b.t.Fatalf("scraping: %d %s", p.status, p.body)
	}
	var lines []string
	for line := range strings.Lines(p.body) {
		if name := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE "); strings.HasPrefix(name, "portalgate_") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

var labelValue = regexp.MustCompile(`="[^"]*"`)

// TestMetricsGolden holds the names, types, labels and help of the metrics, on
// which people's dashboards and alarms rest, to testdata/metrics.golden. Of
// the histogram, which has hundreds of series, there are the label names.
func TestMetricsGolden(t *testing.T) {
	l := newLive(t)
	origin := "http://localhost:" + freePort(t)
	site := fmt.Sprintf("http://%s {\n\tbind 127.0.0.1\n\tmetrics /metrics\n}\n", strings.TrimPrefix(origin, "http://localhost"))
	l.mustLoad(l.caddyfile("", "metrics") + site)
	b := l.browser()
	link := b.ask(ada)
	b.send(b.get(link), "/sign-in/link")
	b.isSignedIn()
	other := l.browser()
	other.send(other.get("/sign-in/magic-link"), "/sign-in/magic-link", "email", "nobody@example.com")

	var lines []string
	for _, line := range b.scraped(origin) {
		if !strings.HasPrefix(line, "#") {
			line = line[:strings.LastIndexByte(line, ' ')]
			if strings.HasPrefix(line, "portalgate_store_seconds") {
				line = labelValue.ReplaceAllString(line, "")
			}
		}
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	got := strings.Join(lines, "\n") + "\n"
	const golden = "testdata/metrics.golden"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the metrics are\n%s\nwant\n%s", got, want)
	}

	// The registry is new with every configuration; what was counted is not.
	const signedIn = `portalgate_sign_ins_total{gate="main",method="magic_link",outcome="signed_in"} 1`
	for range 3 {
		l.mustLoad(l.caddyfile("session {\n\tidle 45m\n}", "metrics") + site)
		l.mustLoad(l.caddyfile("", "metrics") + site)
		if got := b.scraped(origin); !slices.Contains(got, signedIn) {
			t.Errorf("after a reload: %s", strings.Join(got, "\n"))
		}
	}
	// And nobody gets them who did not ask Caddy for metrics.
	l.mustLoad(l.caddyfile("", "") + site)
	if got := b.scraped(origin); len(got) != 0 {
		t.Errorf("without the option there are %d lines", len(got))
	}
}
