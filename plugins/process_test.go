// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package plugins

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/providers"
	"github.com/portalgate/portalgate/providers/providertest"
)

// running returns a Process of the test plugin that ends with the test.
func running(t testing.TB, c Command) *Process {
	t.Helper()
	p := New(c, zap.NewNop())
	p.delays, p.linger = [2]time.Duration{time.Millisecond, 10 * time.Millisecond}, 0
	t.Cleanup(func() { stop(t, p) })
	return p
}

func stop(t testing.TB, p *Process) {
	t.Helper()
	p.Close()
	select {
	case <-p.Done():
	case <-time.After(15 * time.Second):
		t.Error("a closed plugin still runs after 15 s")
	}
}

func config(in ...string) string {
	b := behaviour{In: map[string]string{}}
	for i := 0; i < len(in); i += 2 {
		b.In[in[i]] = in[i+1]
	}
	raw, _ := json.Marshal(b)
	return string(raw)
}

// signIn goes the whole way through the plugin.
func signIn(p *Process) (*providers.Claim, error) {
	ctx := context.Background()
	if _, err := p.Start(ctx, providers.Request{}); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	step, _, err := p.Continue(ctx, providers.Request{Fields: map[string]string{"email": "ada@example.com"}})
	if err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	_, claim, err := p.Continue(ctx, providers.Request{Fields: map[string]string{"code": "123456"}, State: step.State})
	return claim, err
}

func TestPluginIsAMethod(t *testing.T) {
	c := command(t, "well", "{}")
	c.AMR = []string{"otp"}
	for _, c.NoTLS = range []bool{false, true} {
		t.Run(fmt.Sprintf("without TLS %t", c.NoTLS), func(t *testing.T) {
			p := running(t, c)
			providertest.Run(t, p)
			claim, err := signIn(p)
			if err != nil || claim.Email != "ada@example.com" {
				t.Fatalf("signing in = %v, %v", claim, err)
			}
			// What it says of the proof is cut to what the operator allows.
			if g, w := strings.Join(claim.AMR, " "), "otp"; g != w {
				t.Errorf("amr = %q, want %q", g, w)
			}
			if d := p.Describe(); d.Label != "test" || d.AfterAddress == nil || d.AfterAddress.Fields[0].Name != "code" {
				t.Errorf("Describe() = %+v", d)
			}
		})
	}
}

// A plugin that ends in any phase: the call says so, nothing hangs, and the next
// life serves.
func TestG01_CrashInEachPhase(t *testing.T) {
	for _, phase := range []string{"configure", "describe", "start", "continue"} {
		for _, how := range []string{"panic", "kill"} {
			t.Run(phase+" "+how, func(t *testing.T) {
				b := behaviour{In: map[string]string{phase: how}, Once: filepath.Join(theirs(t), "done")}
				raw, _ := json.Marshal(b)
				p := running(t, command(t, "well", string(raw)))
				// One crash while serving costs nobody anything: the call is made
				// again. A crash at the start costs the calls that wait for it.
				if phase == "configure" || phase == "describe" {
					settleUp(t, p)
				}
				if _, err := signIn(p); err != nil {
					t.Errorf("signing in after a crash in %s: %v", phase, err)
				}
			})
		}
	}
}

// A plugin that always crashes: every call is answered with an error, and soon.
func TestG01_CrashLoop(t *testing.T) {
	p := running(t, command(t, "end at once", "{}"))
	for range 20 {
		began := time.Now()
		if _, err := p.Start(context.Background(), providers.Request{}); err == nil {
			t.Fatal("a plugin that cannot start has answered")
		}
		if took := time.Since(began); took > p.cmd.Timeout+time.Second {
			t.Fatalf("a call took %v", took)
		}
	}
	if p.Available() == nil {
		t.Error("a plugin that cannot start is said to be available")
	}
}

// A plugin that never answers costs its callers the deadline, and is then
// replaced; SIGSTOP is the same.
func TestG02_Hang(t *testing.T) {
	for _, how := range []string{"hang", "stop"} {
		t.Run(how, func(t *testing.T) {
			b := behaviour{In: map[string]string{"continue": how}, Once: filepath.Join(theirs(t), "done")}
			raw, _ := json.Marshal(b)
			c := command(t, "well", string(raw))
			c.Timeout = 500 * time.Millisecond
			p := running(t, c)
			settleUp(t, p)
			failed := 0
			for range 50 {
				began := time.Now()
				_, err := signIn(p)
				if took := time.Since(began); took > 3*c.Timeout+time.Second {
					t.Fatalf("a sign-in took %v", took)
				}
				if err == nil {
					if failed == 0 {
						t.Error("nothing hung")
					}
					return
				}
				failed++
			}
			t.Error("a plugin that hangs is never replaced")
		})
	}
}

// settleUp waits for the plugin's next life, however often it does not start.
func settleUp(t *testing.T, p *Process) *run {
	t.Helper()
	p.Warm()
	for {
		p.mu.Lock()
		r, changed := p.run, p.changed
		p.mu.Unlock()
		if r != nil {
			return r
		}
		select {
		case <-changed:
		case <-time.After(20 * time.Second):
			t.Fatalf("the plugin does not start: %v", p.Available())
		}
	}
}

// A plugin that takes its time to start holds nobody past their deadline, and
// Close does not wait for it.
func TestG03_SlowStart(t *testing.T) {
	for _, how := range []string{"say nothing", "talk nonsense", "flood"} {
		t.Run(how, func(t *testing.T) {
			c := command(t, how, "{}")
			c.Timeout = 200 * time.Millisecond
			p := running(t, c)
			began := time.Now()
			if _, err := p.Start(context.Background(), providers.Request{}); err == nil {
				t.Error("it has answered")
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("the call took %v", took)
			}
		})
	}
}
