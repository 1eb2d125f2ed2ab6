// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
)

// upstreamEnv tells this program that it is to be the upstream.
const upstreamEnv = "PORTALGATE_BENCH_UPSTREAM"

// answer is the upstream's, to every request: about 1 KB of a page.
var answer = func() []byte {
	body := strings.Repeat("All appointments of the week, on a page. ", 25)
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"+
		"Cache-Control: private\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}()

// serveIfUpstream is the upstream, in a process that was started as one. It
// never returns there, and ends with its parent: that holds the other end of
// its standard input.
func serveIfUpstream() {
	if os.Getenv(upstreamEnv) == "" {
		return
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "upstream:", err)
		os.Exit(1)
	}
	fmt.Println(ln.Addr())
	go serve(ln)
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func serve(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go answerAll(conn)
	}
}

// answerAll answers requests without a body, which is all that come, as
// cheaply as can be: the machine is there for the servers that are measured.
func answerAll(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, 16<<10)
	for n := 0; ; {
		m, err := conn.Read(buf[n:])
		if err != nil {
			return
		}
		if n += m; !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
			continue
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
		n = 0
	}
}

// startUpstream starts this program once more, as the upstream.
func startUpstream(ctx context.Context) (addr string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), upstreamEnv+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("starting the upstream: %v", err)
	}
	stop = func() {
		in.Close()
		_ = cmd.Wait() // it has nothing to say
	}
	if _, err := fmt.Fscanln(out, &addr); err != nil {
		stop()
		return "", nil, fmt.Errorf("starting the upstream: %v", err)
	}
	return addr, stop, nil
}
