// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// preamble says what is measured, on what, and how to read it.
func preamble(w io.Writer, o options) error {
	info, err := buildinfo.ReadFile(o.binary)
	if err != nil {
		return fmt.Errorf("%s is no Go program: %v", o.binary, err)
	}
	fmt.Fprintf(w, "commit %s, %s, %s/%s, %s, %d processors, load at the start %s\n\n",
		commit(), info.GoVersion, runtime.GOOS, runtime.GOARCH, processor(), runtime.NumCPU(), load())
	fmt.Fprintf(w, `bare is Caddy with reverse_proxy, gate the same with portalgate in front of it:
one binary, one upstream (a process of its own, 1 KB an answer), the same
requests, all on loopback. Each connection sends its next request when it has
its answer; all compete for this machine's processors, so requests per second
and latency are for comparing only. CPU is the server's own, user and kernel.
%d rounds of %s for each, in turn, in legs of %s, each time the other first.
Under bare and gate is the mean of the rounds, ± half the width of its 95 %%
confidence interval. The difference is gate to bare within the pairs, with the
bounds of its 95 %% confidence interval (Student's t of the log-ratios): if they
have 0 between them, there may be no difference.
`, o.rounds, o.span, o.span/legs)
	return nil
}

// commit returns what the binary was just built from.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// processor returns the processor's name, or the next best.
func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// load returns how many processes wanted a processor in the last minute: those
// of somebody else make every interval wider.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}

// rows are the lines of a table.
var rows = []struct {
	name, format string
	scale        float64
	of           func(figures) float64
}{
	{"requests per second", "%.0f ± %.0f", 1, func(f figures) float64 { return f.perSecond }},
	{"latency p50, us", "%.0f ± %.0f", 1e6, func(f figures) float64 { return f.p50 }},
	{"latency p99, us", "%.0f ± %.0f", 1e6, func(f figures) float64 { return f.p99 }},
	{"CPU per request, us", "%.1f ± %.1f", 1e6, cpu},
}

func cpu(f figures) float64 { return f.cpu }

func (t table) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", t.name)
	if t.again > 0 {
		fmt.Fprintf(w, "(each comes round every %s; a signature serves for 20s)\n", t.again.Round(10*time.Millisecond))
	}
	fmt.Fprintf(w, "  %-20s %16s %16s   %s\n", "", "bare", "gate", "difference")
	for _, r := range rows {
		cell := func(fs []figures) string {
			m := mean(pick(fs, func(f figures) float64 { return r.scale * r.of(f) }))
			return fmt.Sprintf(r.format, m.mean, m.high-m.mean)
		}
		d := paired(pick(t.bare, r.of), pick(t.gate, r.of))
		fmt.Fprintf(w, "  %-20s %16s %16s   %+.1f %% (%+.1f to %+.1f)\n", r.name, cell(t.bare), cell(t.gate), d.mean, d.low, d.high)
	}
}

// line is the figure that matters.
func (t table) line() string {
	d := paired(pick(t.bare, cpu), pick(t.gate, cpu))
	return fmt.Sprintf("CPU per request, %s: %+.1f %% (95 %% CI %+.1f to %+.1f)", t.name, d.mean, d.low, d.high)
}

func pick(fs []figures, of func(figures) float64) []float64 {
	xs := make([]float64, len(fs))
	for i, f := range fs {
		xs[i] = of(f)
	}
	return xs
}

// thousands writes a number as 100 000.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}
