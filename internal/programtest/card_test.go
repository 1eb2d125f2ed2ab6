// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package programtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/testgate"
	"github.com/portalgate/portalgate/plugins"
	"github.com/portalgate/portalgate/providers"
)

// The test's own binary is the program, so that nothing has to be built
// beforehand: card behaves as its settings say.

const asProgram = "portalgate-test-program"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == asProgram {
		plugins.Serve(plugins.Info{Name: "card", Version: "1"}, func(_ context.Context, c card) (providers.Authenticator, error) {
			return &c, nil
		})
	}
	os.Exit(testgate.Main(m))
}

// card is a method that believes everybody who has a number. Do says what else
// it does when it is asked: "hang", "crash", "flood" or "stop".
type card struct{ Do string }

func (*card) Describe() providers.Description {
	return providers.Description{Text: "plugin", Label: "your card"}
}

func (c *card) Start(context.Context, providers.Request) (providers.Step, error) {
	c.misbehave()
	return providers.Step{Ask: &providers.Ask{Title: "Your card", Button: "Sign in", Fields: []providers.Field{
		{Name: "card", Kind: providers.Digits, Label: "Card number"},
	}}}, nil
}

func (c *card) Continue(_ context.Context, r providers.Request) (providers.Step, *providers.Claim, error) {
	n := r.Fields["card"]
	return providers.Step{}, &providers.Claim{Subject: n, Email: "c" + n + "@example.com", EmailVerified: true, Authoritative: true}, nil
}

func (c *card) misbehave() {
	switch c.Do {
	case "hang":
		select {}
	case "crash":
		panic("on purpose")
	case "flood":
		for range 10_000 {
			fmt.Fprintln(os.Stderr, strings.Repeat("x", 1000))
		}
	case "stop":
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		time.Sleep(time.Second)
	}
}

// program is a file that is the program card, in one version or another.
type program struct {
	t       testing.TB
	path    string
	name    string // that nobody else's has
	version int
}

func newProgram(t testing.TB) *program {
	t.Helper()
	p := &program{t: t, path: filepath.Join(t.TempDir(), "card"), name: rand.Text()}
	p.replace()
	return p
}

// replace puts another file in its place that does the same: what stands behind
// a program's end is not looked at when it runs.
func (p *program) replace() {
	p.t.Helper()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	content, err := os.ReadFile(self)
	if err != nil {
		p.t.Fatal(err)
	}
	p.version++
	p.put(fmt.Appendf(content, "version %d", p.version))
}

// spoil puts a file in its place that ends at once.
func (p *program) spoil() { p.put([]byte("#!/bin/sh\nexit 1\n")) }

func (p *program) put(content []byte) {
	p.t.Helper()
	if err := os.WriteFile(p.path+".new", content, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(p.path+".new", 0o755), os.Rename(p.path+".new", p.path)); err != nil {
		p.t.Fatal(err)
	}
}

// method is the way in by it, as a Caddyfile has it.
func (p *program) method(do string) string {
	p.t.Helper()
	digest, err := plugins.Digest(p.path)
	if err != nil {
		p.t.Fatal(err)
	}
	if do != "" {
		do = "config {\ndo " + do + "\n}"
	}
	return fmt.Sprintf("sign_in plugin card {\ncommand %s\nargs %s %s\nsha256 %x\n%s\n}\n", p.path, asProgram, p.name, digest, do)
}

// running returns the processes that it is, by their ids.
func (p *program) running() (pids []string) {
	p.t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(all) == 0 {
		p.t.Fatal("there is no /proc here, where this test looks")
	}
	for _, file := range all {
		if line, _ := os.ReadFile(file); strings.Contains(string(line), p.name) {
			pids = append(pids, filepath.Base(filepath.Dir(file)))
		}
	}
	return pids
}

// starts is how often a gate has started a program.
func starts(g *testgate.Gate) int { return strings.Count(g.Log(), "a plugin runs") }

const lots = `limits {
	requests 1000000 1m
	unknown 1000000 1m
	mails 1000000 1m
}
`

// options are a gate with two ways in, and so many clients.
func options(p *program, do string, clients int) testgate.Options {
	list := "id,email,name\n"
	for i := range clients {
		list += fmt.Sprintf("client-%d,c%d@example.com,Client %d\n", i, i, i)
	}
	return testgate.Options{Global: "metrics", Clients: list, Gate: lots + "sign_in magic_link\n" + p.method(do)}
}
