// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package redistest starts real Redis servers for tests: one, a primary with
// replicas and sentinels, or a cluster, each on free loopback ports, with files
// in a directory of the test's. It can kill, halt and cut them, and takes away
// everything when the test ends. It knows nothing of the store, and touches no
// server that it did not start.
package redistest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Server is one process. Its methods fail the test if they cannot do what
// they say.
type Server struct {
	Port string
	Dir  string

	t    testing.TB
	prog string
	args []string

	mu   sync.Mutex
	proc *os.Process
	done chan struct{} // closed when the process has ended
}

// Standalone starts one server. The arguments are added to its command line:
// "--appendonly", "yes".
func Standalone(t testing.TB, args ...string) *Server {
	t.Helper()
	s := prepare(t, "redis-server", args...)
	s.start()
	s.Await("answers", func() bool { return s.try("PING") == "PONG" })
	return s
}

// prepare makes a server that is not started yet.
func prepare(t testing.TB, prog string, args ...string) *Server {
	t.Helper()
	path, err := exec.LookPath(prog)
	if err != nil {
		t.Fatalf("%s is not installed: on Debian, apt-get install redis-server redis-sentinel", prog)
	}
	s := &Server{Port: FreePort(t), Dir: t.TempDir(), t: t, prog: path}
	if prog == "redis-server" {
		args = append([]string{"--port", s.Port, "--dir", s.Dir, "--save", "", "--enable-debug-command", "yes"}, args...)
	}
	s.args = args
	t.Cleanup(s.Kill)
	return s
}

// Addr is the server's host and port, URL the address of its database 0.
func (s *Server) Addr() string { return "127.0.0.1:" + s.Port }
func (s *Server) URL() string  { return "redis://" + s.Addr() + "/0" }

// start starts the process and waits until it listens.
func (s *Server) start() {
	s.t.Helper()
	log, err := os.OpenFile(filepath.Join(s.Dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(s.prog, append(s.args, "--bind", "127.0.0.1")...)
	if strings.HasSuffix(s.prog, "sentinel") {
		cmd = exec.Command(s.prog, s.args...)
	}
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.Dir, log, log
	cmd.SysProcAttr = dieWithParent()
	done, started := make(chan struct{}), make(chan error)
	go func() {
		// The kernel ends a process with the thread that started it: this
		// one lives for as long as it does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer log.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
		close(done)
	}()
	if err := <-started; err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.proc, s.done = cmd.Process, done
	s.mu.Unlock()
	s.Await("listens", func() bool {
		select {
		case <-done:
			b, _ := os.ReadFile(log.Name())
			s.t.Fatalf("%s ended:\n%s", s.prog, b[max(0, len(b)-2000):])
		default:
		}
		c, err := net.Dial("tcp", s.Addr())
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// Kill ends the process as a power cut would. Killing a dead one does nothing.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return
	}
	s.proc.Signal(syscall.SIGKILL)
	<-s.done
	s.proc = nil
}

// Halt stops the process (SIGSTOP): its connections stay and nobody answers.
func (s *Server) Halt() { s.signal(syscall.SIGSTOP) }

// Cont lets a halted process go on.
func (s *Server) Cont() { s.signal(syscall.SIGCONT) }

// Abandon halts replicas and closes the server's connections to them: of what it
// is told from now on they never hear, not even from the kernel's buffers.
func (s *Server) Abandon(replicas ...*Server) {
	s.t.Helper()
	for _, r := range replicas {
		r.Halt()
	}
	s.Do("CLIENT", "KILL", "TYPE", "replica")
}

func (s *Server) signal(sig os.Signal) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		s.t.Fatal("the server is not running")
	}
	if err := s.proc.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// Start starts a server that was killed, with the files it left.
func (s *Server) Start() {
	s.t.Helper()
	s.start()
}

// Restart kills the server and starts it again.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	s.start()
}

// Await waits until ok, and fails the test if that takes too long.
func (s *Server) Await(what string, ok func() bool) {
	s.t.Helper()
	Await(s.t, fmt.Sprintf("%s %s: %s", filepath.Base(s.prog), s.Port, what), ok)
}

// Await waits until ok, for what servers and other goroutines do, and fails the
// test if that takes too long.
func Await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited too long until %s", what)
		}
	}
}

// FreePort is a port that was free a moment ago.
func FreePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// Add adds to the command line of the next start.
func (s *Server) Add(args ...string) { s.args = append(s.args, args...) }
