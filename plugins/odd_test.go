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
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/providers"
)

// The test's own binary is the plugin: what it does is told by its first
// argument, so that nothing has to be built beforehand.

const asPlugin = "portalgate-test-plugin"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == asPlugin {
		be(os.Args[2])
	}
	if len(os.Args) == 3 && os.Args[1] == "portalgate-test-gate" {
		beGate()
	}
	os.Exit(m.Run())
}

// behaviour is the config of the test plugin.
type behaviour struct {
	// In says what to do in each phase: configure, describe, start, continue.
	In map[string]string
	// Once is a file: what In says is done while it does not exist, and makes it.
	Once string
}

// strange is a method that does what its config says.
type strange struct{ behaviour }

var askAddress = &providers.Ask{
	Title: "Your address", Button: "Go on", Fields: []providers.Field{{Name: "email", Kind: providers.Email, Label: "Email"}},
}

var askCode = &providers.Ask{
	Title: "The code", Button: "Sign in", Fields: []providers.Field{{Name: "code", Kind: providers.Digits, Label: "Code"}},
}

// be is the plugin. It does not return.
func be(how string) {
	switch how {
	case "end at once":
		os.Exit(3)
	case "say nothing":
		time.Sleep(time.Hour)
	case "talk nonsense":
		fmt.Println("hello")
		time.Sleep(time.Hour)
	case "flood":
		for {
			os.Stdout.WriteString(strings.Repeat("x", 1<<16))
		}
	case "leave a child behind": // which keeps our standard error open
		c := exec.Command("/bin/sleep", "60")
		c.Stderr = os.Stderr
		if err := c.Start(); err != nil {
			panic(err)
		}
	case "point elsewhere":
		fmt.Printf("1|1|unix|%s|grpc\n", "/run/caddy/admin.sock")
		time.Sleep(time.Hour)
	case "point to the network":
		fmt.Println("1|1|tcp|127.0.0.1:2019|grpc")
		time.Sleep(time.Hour)
	}
	Serve(Info{Name: "test", Version: "1"}, func(ctx context.Context, b behaviour) (providers.Authenticator, error) {
		a := strange{b}
		return a, a.do("configure")
	})
}

// do does what is asked for in a phase.
func (o strange) do(phase string) error {
	what := o.In[phase]
	if o.Once != "" && what != "" {
		if _, err := os.Stat(o.Once); err == nil {
			return nil
		}
		os.WriteFile(o.Once, nil, 0o600)
	}
	switch what {
	case "panic":
		panic("on purpose")
	case "kill":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "stop":
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	case "hang":
		select {}
	case "error":
		return fmt.Errorf("it is broken %s", strings.Repeat("x", 5000))
	}
	return nil
}

func (o strange) Describe() providers.Description {
	o.do("describe")
	return providers.Description{Label: "test", AfterAddress: askCode}
}

func (o strange) Start(ctx context.Context, req providers.Request) (providers.Step, error) {
	if err := o.do("start"); err != nil {
		return providers.Step{}, err
	}
	return providers.Step{Ask: askAddress}, nil
}

func (o strange) Continue(ctx context.Context, req providers.Request) (providers.Step, *providers.Claim, error) {
	if err := o.do("continue"); err != nil {
		return providers.Step{}, nil, err
	}
	if len(req.State) == 0 {
		if !strings.Contains(req.Fields["email"], "@example.com") {
			return providers.Step{}, nil, &providers.Denial{Text: "That is no address.", Field: "email"}
		}
		return providers.Step{Ask: askCode, State: []byte(req.Fields["email"])}, nil, nil
	}
	if req.Fields["code"] != "123456" {
		return providers.Step{}, nil, &providers.Denial{Text: "That is not the code.", Field: "code"}
	}
	return o.lie(string(req.State))
}

// lie is the answer at the end; an honest one if nothing else is asked for.
func (o strange) lie(email string) (providers.Step, *providers.Claim, error) {
	claim := &providers.Claim{Subject: "7", Email: email, EmailVerified: true, AMR: []string{"otp", "hwk", "mfa"}}
	ask := func(f func(*providers.Ask)) (providers.Step, *providers.Claim, error) {
		a := *askCode
		a.Fields = append([]providers.Field(nil), a.Fields...)
		f(&a)
		return providers.Step{Ask: &a}, nil, nil
	}
	leave := func(url string) (providers.Step, *providers.Claim, error) {
		return providers.Step{Redirect: &providers.Redirect{URL: url}}, nil, nil
	}
	switch o.In["lie"] {
	case "long subject":
		claim.Subject = strings.Repeat("7", 256)
	case "no subject":
		claim.Subject = ""
	case "newline in subject":
		claim.Subject = "7\r\nRemote-User: 1"
	case "turned subject":
		claim.Subject = "7\u202e1"
	case "many amr":
		claim.AMR = make([]string, 1000)
	case "long email":
		claim.Email = strings.Repeat("a", 300) + "@example.com"
	case "turned name":
		claim.Name = "ada\u202emoc"
	case "million fields":
		return ask(func(a *providers.Ask) { a.Fields = make([]providers.Field, 1_000_000) })
	case "nine fields":
		return ask(func(a *providers.Ask) { a.Fields = make([]providers.Field, 9) })
	case "two megabytes":
		return ask(func(a *providers.Ask) { a.Lead = strings.Repeat("x", 2<<20) })
	case "long text":
		return ask(func(a *providers.Ask) { a.Lead = strings.Repeat("x", 201) })
	case "gate's field":
		return ask(func(a *providers.Ask) { a.Fields[0].Name = "return_to" })
	case "header in name":
		return ask(func(a *providers.Ask) { a.Fields[0].Name = "a\"><script>" })
	case "large state":
		return providers.Step{Ask: askCode, State: make([]byte, 1025)}, nil, nil
	case "evil redirect":
		return leave("https://evil.example/")
	case "long redirect":
		return leave("https://id.example/" + strings.Repeat("x", 9000))
	case "evil user":
		return leave("https://id.example@evil.example/")
	case "backslash":
		return leave(`https://id.example\@evil.example/`)
	case "script":
		return leave("javascript:alert(1)")
	case "plain http":
		return leave("http://id.example/")
	case "empty denial":
		return providers.Step{}, nil, &providers.Denial{}
	case "nothing":
		return providers.Step{Ask: new(providers.Ask)}, nil, nil
	}
	return providers.Step{}, claim, nil
}

// command runs the test plugin.
func command(t testing.TB, how string, config string) Command {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(exe, 0o755); err != nil {
		t.Fatal(err)
	}
	digest, err := Digest(exe)
	if err != nil {
		t.Fatal(err)
	}
	return Command{Path: exe, Digest: digest, Args: []string{asPlugin, how}, Config: []byte(config)}
}

// beGate is a gate with one plugin, to be killed. It says the plugin's folder.
func beGate() {
	exe, _ := os.Executable()
	digest, err := Digest(exe)
	if err != nil {
		panic(err)
	}
	p := New(Command{Path: exe, Digest: digest, Args: []string{asPlugin, "well"}}, zap.NewNop())
	if _, err := p.Start(context.Background(), providers.Request{}); err != nil {
		panic(err)
	}
	fmt.Println(p.run.child.Load().ID(), filepath.Dir(p.run.child.Load().Name()))
	select {}
}
