// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package plugintest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/plugins"
	"github.com/portalgate/portalgate/providers"
)

// The test's own binary is the plugins: one that is right and those that are
// wrong, each in its own way.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "be-a-plugin" {
		serve(os.Args[2])
	}
	os.Exit(m.Run())
}

func serve(how string) {
	switch how {
	case "no handshake":
		fmt.Println("listening on port 4000")
		time.Sleep(time.Hour)
	case "network":
		fmt.Println("1|1|tcp|127.0.0.1:4000|grpc")
		time.Sleep(time.Hour)
	}
	plugins.Serve(plugins.Info{Name: how}, func(context.Context, struct{}) (providers.Authenticator, error) {
		if how == "refuses" {
			return nil, errors.New("config: gateway is missing")
		}
		return wrong(how), nil
	})
}

type wrong string

var next = &providers.Ask{
	Title: "The code", Button: "Sign in", Fields: []providers.Field{{Name: "code", Kind: providers.Digits, Label: "Code"}},
}

func (w wrong) Describe() providers.Description {
	d := providers.Description{Label: "test", AfterAddress: next}
	switch w {
	case "no label":
		d.Label = ""
	case "undeclared":
		d.AfterAddress = nil
	}
	return d
}

func (w wrong) Start(context.Context, providers.Request) (providers.Step, error) {
	a := &providers.Ask{Title: "Address", Button: "Go on", Fields: []providers.Field{{Name: "email", Kind: providers.Email, Label: "Email"}}}
	if w == "long text" {
		a.Lead = strings.Repeat("x", 201)
	}
	return providers.Step{Ask: a}, nil
}

func (w wrong) Continue(ctx context.Context, req providers.Request) (providers.Step, *providers.Claim, error) {
	if len(req.State) == 0 && strings.HasSuffix(req.Fields["email"], "@example.com") {
		step := providers.Step{Ask: next, State: []byte("1")}
		switch w {
		case "another form":
			other := *next
			other.Title = "We have sent you a code"
			step.Ask = &other
		case "large state":
			step.State = make([]byte, 2000)
		case "hangs":
			<-make(chan struct{})
		}
		return step, nil, nil
	}
	if w == "asks again" && string(req.State) == "1" {
		return providers.Step{Ask: next, State: req.State}, nil, nil
	}
	if w == "error for denial" {
		return providers.Step{}, nil, errors.New("wrong code")
	}
	if w == "key for text" {
		return providers.Step{}, nil, &providers.Denial{Reason: "sms.code"}
	}
	return providers.Step{}, nil, &providers.Denial{Text: "That is not right."}
}

func TestProblems(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	os.Chmod(exe, 0o755)
	digest, err := plugins.Digest(exe)
	if err != nil {
		t.Fatal(err)
	}
	for how, want := range map[string]string{
		"right":            "",
		"no handshake":     "It does not start: the plugin is down: starting the plugin: Unrecognized remote plugin message: listening on port 4000",
		"network":          "the plugin does not listen in the folder of PLUGIN_UNIX_SOCKET_DIR",
		"refuses":          "the plugin refuses its config: config: gateway is missing",
		"no label":         "what the plugin says of itself: it has no label",
		"undeclared":       "does not declare the form that follows (after_address)",
		"another form":     "The form after an address is not the one that it declares",
		"asks again":       "A wrong answer beside an address gets another form",
		"long text":        "It does not begin a sign-in: the plugin's answer: the lead has 201 characters; at most 200 are shown",
		"large state":      "a state of 2000 bytes; at most 1024 are kept",
		"hangs":            "It does not go on after the address name@example.com: the plugin: DeadlineExceeded",
		"error for denial": "wrong code; what a browser sends must never break a method, use a *Denial",
		"key for text":     "a denial without a text; nobody could be told what is wrong",
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel() // most of the time is waiting for a program's end
			c := plugins.Command{Path: exe, Digest: digest, Args: []string{"be-a-plugin", how}}
			found := Problems(t.Context(), c, "name@example.com", zap.NewNop())
			switch {
			case want == "" && len(found) != 0:
				t.Errorf("a good plugin: %q", found)
			case !strings.Contains(strings.Join(found, "\n"), want):
				t.Errorf("found %q, want %q among it", found, want)
			}
		})
	}
}
