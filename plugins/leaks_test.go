// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package plugins

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/providers"
)

// After many lives nothing is left: no goroutine, descriptor, process, folder.
func TestG01_NothingIsLeft(t *testing.T) {
	cycles := 20
	if os.Getenv("PORTALGATE_PROOF") != "" {
		cycles = 1000
	}
	t.Setenv("TMPDIR", short(t))
	p := New(command(t, "well", "{}"), zap.NewNop())
	p.delays, p.linger = [2]time.Duration{time.Millisecond, time.Millisecond}, 0
	life := func() {
		deadline := time.Now().Add(10 * time.Second)
		for {
			if _, err := p.Start(context.Background(), providers.Request{}); err == nil {
				break
			} else if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
		r := settleUp(t, p)
		r.kill()
		<-r.gone.Done()
	}
	life()
	life()
	goroutines, fds := runtime.NumGoroutine(), descriptors(t)
	began := time.Now()
	for range cycles {
		life()
	}
	t.Logf("proof: plugins: %d lives ended by SIGKILL, %v from kill to the next answer", cycles, (time.Since(began) / time.Duration(cycles)).Round(time.Millisecond))
	settle(t, "goroutines", goroutines+4, runtime.NumGoroutine)
	settle(t, "descriptors", fds+4, func() int { return descriptors(t) })
	// The program, the lock, and the sockets' folder of this life.
	settle(t, "entries of its private folder", 3, func() int {
		f, _ := os.ReadDir(filepath.Dir(settleUp(t, p).child.Load().Name()))
		return len(f)
	})
	stop(t, p)
	settle(t, "folders", 0, func() int { f, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); return len(f) })
	settle(t, "processes", 0, func() int { return children(t) })
}

// short is a temporary folder whose path leaves room for a socket's name, and
// through which other users may pass.
func short(t *testing.T) string {
	dir, err := os.MkdirTemp("/tmp", "pg")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func settle(t *testing.T, what string, most int, count func() int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); count() > most; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("%d %s are left, at most %d were expected", count(), what, most)
			return
		}
	}
}

func descriptors(t *testing.T) int {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal("there is no /proc here, where this test looks")
	}
	return len(fds)
}

// children counts our child processes, zombies included.
func children(t *testing.T) int {
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	n := 0
	for _, f := range tasks {
		raw, _ := os.ReadFile(f)
		n += len(strings.Fields(string(raw)))
	}
	return n
}

// A child of the plugin that keeps its standard error open neither hides the
// plugin's end nor outlives it.
func TestG02_Grandchild(t *testing.T) {
	p := running(t, command(t, "leave a child behind", "{}"))
	r := settleUp(t, p)
	pid := r.child.Load().pid.Load()
	syscall.Kill(int(pid), syscall.SIGKILL) // the plugin alone
	select {
	case <-r.gone.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the plugin's end is not noticed")
	}
	settle(t, "members of its group", 0, func() int {
		if syscall.Kill(-int(pid), 0) == nil {
			return 1
		}
		return 0
	})
}

// systemd ends a service with SIGTERM to everybody in it. The gate still has
// sign-ins to finish then, and the plugin with it.
func TestG01_TermToEverybody(t *testing.T) {
	p := running(t, command(t, "well", "{}"))
	r := settleUp(t, p)
	const n = 20
	results := make(chan error, n)
	for range n {
		go func() {
			_, err := signIn(p)
			results <- err
		}()
		syscall.Kill(-int(r.child.Load().pid.Load()), syscall.SIGTERM)
	}
	for range n {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if settleUp(t, p) != r {
		t.Error("the plugin ended by SIGTERM, with calls under way")
	}
}

// A gate that is killed leaves no plugin behind, and its folder goes with the
// next start of any.
func TestG01_GateIsKilled(t *testing.T) {
	t.Setenv("TMPDIR", short(t))
	c := command(t, "well", "{}")
	gate := exec.Command(c.Path, "portalgate-test-gate", "-")
	out, err := gate.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := gate.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	var dir string
	if _, err := fmt.Fscan(out, &pid, &dir); err != nil {
		t.Fatal(err)
	}
	gate.Process.Kill()
	gate.Wait()
	settle(t, "plugins of a killed gate", 0, func() int {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(raw), ") Z ") {
			return 0 // gone, or waiting for an init that reaps
		}
		return 1
	})
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("the folder to be swept: %v", err)
	}
	settleUp(t, running(t, c))
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder of a killed gate is still there")
	}
}
