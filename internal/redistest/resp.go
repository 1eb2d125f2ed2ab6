// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Do sends one command and returns what the server answered, an array as lines.
// An error of the server's fails the test.
func (s *Server) Do(args ...string) string {
	s.t.Helper()
	v, err := s.Try(args...)
	if err != nil {
		s.t.Fatalf("%s: %v", strings.Join(args[:min(2, len(args))], " "), err)
	}
	return v
}

func (s *Server) try(args ...string) string {
	v, _ := s.Try(args...)
	return v
}

// Try is Do for a server that may not answer, or not like it.
func (s *Server) Try(args ...string) (string, error) {
	replies, err := s.exchange(args)
	if err != nil {
		return "", err
	}
	return replies[0], nil
}

// exchange sends commands on one connection of their own.
func (s *Server) exchange(commands ...[]string) (replies []string, err error) {
	c, err := net.DialTimeout("tcp", s.Addr(), 2*time.Second)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(c)
	for _, args := range commands {
		var b strings.Builder
		fmt.Fprintf(&b, "*%d\r\n", len(args))
		for _, a := range args {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
		}
		if _, err := io.WriteString(c, b.String()); err != nil {
			return nil, err
		}
		reply, err := readReply(r)
		if err != nil {
			return nil, err
		}
		replies = append(replies, reply)
	}
	return replies, nil
}

// readReply reads one reply of the Redis protocol, version 2.
func readReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil || len(line) < 3 {
		return "", errors.Join(io.ErrUnexpectedEOF, err)
	}
	kind, text := line[0], strings.TrimRight(line[1:], "\r\n")
	switch kind {
	case '-':
		return "", errors.New(text)
	case '$', '*':
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return "", err
		}
		if kind == '$' {
			b := make([]byte, n+2)
			_, err := io.ReadFull(r, b)
			return string(b[:n]), err
		}
		var lines []string
		for range n {
			v, err := readReply(r)
			if err != nil {
				return "", err
			}
			lines = append(lines, v)
		}
		return strings.Join(lines, "\n"), nil
	}
	return text, nil
}

// acknowledged reports whether n replicas have what is written to the server.
func (s *Server) acknowledged(n int) bool {
	r, err := s.exchange([]string{"PUBLISH", "redistest", ""}, []string{"WAIT", strconv.Itoa(n), "100"})
	return err == nil && r[1] == strconv.Itoa(n)
}

// Info returns a field of INFO, empty if there is none or nobody answers.
func (s *Server) Info(section, field string) string {
	for line := range strings.Lines(s.try("INFO", section)) {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// Monitor records the commands that the server runs from now on, each as MONITOR
// has it: time, the client's address, the command. What scripts call is left
// out. The function ends it and returns them.
func (s *Server) Monitor() (end func() []string) {
	s.t.Helper()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		s.t.Fatal(err)
	}
	r := bufio.NewReader(c)
	io.WriteString(c, "MONITOR\r\n")
	if _, err := readReply(r); err != nil {
		s.t.Fatal(err)
	}
	const last = "end of monitor"
	lines := make(chan []string)
	go func() {
		defer c.Close()
		var all []string
		for {
			line, err := readReply(r)
			if err != nil || strings.Contains(line, last) {
				break
			}
			if !strings.Contains(line, " lua] ") {
				all = append(all, line)
			}
		}
		lines <- all
	}()
	return func() []string {
		s.Do("ECHO", last)
		return <-lines
	}
}
