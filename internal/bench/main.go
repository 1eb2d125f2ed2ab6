// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Command bench measures what the gate costs: one Caddy with reverse_proxy
// alone and one with portalgate in front of it, the same binary, before the
// same upstream, given the same requests in turn on this machine's loopback.
//
// A figure by itself says more about the machine than about the gate, so what
// counts is the difference within a pair: in a round the two servers take turns
// in short legs, each time the other one first, so that whatever else the
// machine does meets both alike. The sessions are put into the gate's own
// store beforehand, as signing in would leave them.
//
// It judges nothing: it ends with an error only if something did not work, one
// answer that was not 200 included. Linux only, for its clocks of CPU time.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// options are how much is measured, of which binary.
type options struct {
	binary string
	rounds int
	span   time.Duration // of one side's run in a round
	crowds []crowd
}

// crowd is a number of clients, each with a live session, and what is measured
// with them.
type crowd struct {
	sessions int
	// fresh is a crowd whose activity was noted just now, so that the gate has
	// none to write down while it is measured. Without it the crowd is in the
	// steady state: each session's activity is written down once a minute.
	fresh bool
	views []view
}

// view is one table: how many connections use the crowd's sessions.
type view struct {
	conns int
	// unread uses each session once, the first time that this process hears
	// of it, where all others use them in turn, again and again.
	unread bool
	// same has the bare side send the same headers to the upstream as the gate
	// does, from its configuration: what is left is the gate's own cost.
	same bool
}

var (
	full = options{rounds: 10, span: 1500 * time.Millisecond, crowds: []crowd{
		{sessions: 1, views: []view{{conns: 8}, {conns: 8, same: true}, {conns: 64}}},
		{sessions: 1000, views: []view{{conns: 8}, {conns: 64}}},
		{sessions: 100_000, fresh: true, views: []view{{conns: 64, unread: true}, {conns: 64}}},
		{sessions: 100_000, views: []view{{conns: 64}}},
	}}
	short = options{rounds: 3, span: time.Second / 2, crowds: []crowd{
		{sessions: 1, views: []view{{conns: 8}}},
		{sessions: 1000, views: []view{{conns: 64, unread: true}, {conns: 64}}},
	}}
)

// atMost is when it gives up. It takes half of that where much else is running.
const atMost = 20 * time.Minute

func main() {
	serveIfUpstream()
	binary := flag.String("gate", "bin/portalgate", "the `binary` to measure")
	brief := flag.Bool("short", false, "measure little, to see that it works")
	profile := flag.String("profile", "", "measure nothing; write a CPU profile of the gate with one session to this `file`")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	o := full
	if *brief {
		o = short
	}
	o.binary = *binary
	do := func() error { return run(ctx, o, os.Stdout) }
	if *profile != "" {
		do = func() error { return writeProfile(ctx, o, *profile) }
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// run measures everything and writes the tables to w, each when it is done.
func run(ctx context.Context, o options, w io.Writer) error {
	began := time.Now()
	if err := preamble(w, o); err != nil {
		return err
	}
	var summary []string
	for _, c := range o.crowds {
		err := meet(ctx, o, c, func(v view, t table) {
			t.print(w)
			summary = append(summary, t.line())
		})
		if err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	for _, line := range summary {
		fmt.Fprintln(w, line)
	}
	fmt.Fprintf(w, "\nin %s\n", time.Since(began).Round(time.Second))
	return nil
}

// meet seeds a crowd and measures every view of it.
func meet(ctx context.Context, o options, c crowd, done func(view, table)) (err error) {
	h, err := open(ctx, o.binary, c)
	if err != nil {
		return err
	}
	defer func() {
		if e := h.close(); err == nil {
			err = e
		}
	}()
	for _, v := range c.views {
		h.site = ""
		if v.same {
			h.site = sameHeaders
		}
		t, err := h.measure(ctx, o, c, v)
		if err != nil {
			return fmt.Errorf("%s: %w", v.name(c), err)
		}
		done(v, t)
	}
	return nil
}

// sameHeaders has Caddy take the cookies out and put in what a gate would.
var sameHeaders = fmt.Sprintf(`request_header -Cookie
	request_header Portalgate-Assertion %s
	request_header Remote-User c000000
	request_header Remote-Email client000000@example.com
	request_header Remote-Name "Client 000000"`, strings.Repeat("Aa0", 213))

// name says what a view measures.
func (v view) name(c crowd) string {
	s := fmt.Sprintf("%d connections, ", v.conns)
	switch {
	case v.unread:
		return s + "sessions never seen before by the process"
	case c.sessions == 1 && v.same:
		return s + "1 session, the bare side told to send the same headers"
	case c.sessions == 1:
		return s + "1 session"
	case c.sessions >= 10_000 && c.fresh:
		return s + thousands(c.sessions) + " sessions in turn, activity noted just before"
	}
	return s + thousands(c.sessions) + " sessions in turn"
}
