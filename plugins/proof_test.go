// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package plugins

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/providers"
)

// Sign-ins go on while a program is replaced by another: the new one starts
// beside the old, which still serves those who began with it.
func TestX4_ReplacedUnderLoad(t *testing.T) {
	c := command(t, "well", "{}")
	rounds := 2
	if os.Getenv("PORTALGATE_PROOF") != "" {
		rounds = 10
	}
	now := New(c, zap.NewNop())
	settleUp(t, now)
	n := rounds * 100
	results := make(chan error, n)
	ask := func(p *Process) {
		_, err := signIn(p)
		results <- err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var begun []*Process // requests that have begun, and ask five ticks later
	for i := range n {
		<-tick.C
		if begun = append(begun, now); len(begun) > 5 {
			go ask(begun[0])
			begun = begun[1:]
		}
		if i%100 == 50 {
			c.Env = []string{fmt.Sprint("ROUND=", i)}
			next := New(c, zap.NewNop())
			next.Warm()
			now.Close()
			defer stop(t, now)
			now = next
		}
	}
	for _, p := range begun {
		go ask(p)
	}
	for range n {
		if err := <-results; err != nil {
			t.Errorf("a sign-in failed: %v", err)
		}
	}
	lateRequest(t, now)
	if t.Failed() {
		return
	}
	t.Logf("proof: plugins: %d sign-ins at 100 a second, %d replacements, none failed", n, rounds)
}

// lateRequest closes a program while a request is under way that has found it ready
// and asks it late, because the machine is busy. It is answered, and when the
// request is over, so is the program.
func lateRequest(t *testing.T, p *Process) {
	t.Helper()
	waits, at := make(chan struct{}), make(chan time.Time)
	close(at)
	p.after = func(d time.Duration) <-chan time.Time {
		if d == patience {
			close(waits)
			return nil
		}
		return at
	}
	ctx, over := context.WithCancel(t.Context())
	if err := p.Ready(ctx, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	p.Close()
	<-waits // for nobody else any more
	if _, err := signIn(p); err != nil {
		t.Errorf("the request is refused: %v", err)
	}
	over()
	<-p.Done()
	if _, err := p.Start(t.Context(), providers.Request{}); !errors.Is(err, ErrDown) {
		t.Errorf("after that: %v", err)
	}
}

// TestFigures measures, and fails if memory grows with the sign-ins.
func TestFigures(t *testing.T) {
	warm, n := 100, 300
	if os.Getenv("PORTALGATE_PROOF") != "" {
		warm, n = 2000, 10000 // warm until its heap has the size it needs
	}
	c := command(t, "well", "{}")
	for _, c.NoTLS = range []bool{false, true} {
		p := running(t, c)
		began := time.Now()
		r := settleUp(t, p)
		started := time.Since(began)
		plugin := int(r.child.Load().pid.Load())
		for range warm {
			signIn(p)
		}
		host, before := resident(t, os.Getpid()), resident(t, plugin)
		began = time.Now()
		for range n {
			if _, err := signIn(p); err != nil {
				t.Fatal(err)
			}
		}
		call := time.Since(began) / time.Duration(3*n)
		hostAfter, after := resident(t, os.Getpid()), resident(t, plugin)
		t.Logf("proof: plugins: TLS %t: start %v, a call %v; %d sign-ins: the gate %d -> %d KB, the plugin %d -> %d KB",
			!c.NoTLS, started.Round(time.Millisecond), call.Round(time.Microsecond), n, host, hostAfter, before, after)
		const most = 4096 // a sign-in that kept a KB would be seen at 10 000
		if n == 10000 && (hostAfter-host > most || after-before > most) {
			t.Error("memory grows with the sign-ins")
		}
	}
}

// resident is a process's memory in KB.
func resident(t *testing.T, pid int) (kb int) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal("there is no /proc here, where this test looks")
	}
	_, rest, _ := strings.Cut(string(raw), "VmRSS:")
	fmt.Sscan(rest, &kb)
	return kb
}
