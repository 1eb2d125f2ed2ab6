// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/plugins"
	"github.com/portalgate/portalgate/plugins/plugintest"
	"github.com/portalgate/portalgate/providers"
)

// TestPlugin builds the program and signs in through it, as the gate does, with
// a gateway that keeps what it was to send.
func TestPlugin(t *testing.T) {
	messages := make(chan map[string]string, 100)
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m map[string]string
		if r.Header.Get("Authorization") != "Bearer t0ken" || json.NewDecoder(r.Body).Decode(&m) != nil {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		select {
		case messages <- m:
		default:
		}
	}))
	defer gateway.Close()

	program := filepath.Join(t.TempDir(), "plugin-go")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	digest, err := plugins.Digest(program)
	if err != nil {
		t.Fatal(err)
	}
	config, _ := json.Marshal(map[string]string{"gateway": gateway.URL, "token": "t0ken"})
	c := plugins.Command{Path: program, Digest: digest, Config: config, AMR: []string{"sms"}}

	p := plugins.New(c, zap.NewNop())
	defer func() { p.Close(); <-p.Done() }()
	ctx := t.Context()
	step, _, err := p.Continue(ctx, providers.Request{Fields: map[string]string{"email": "ada@example.com"}, Phone: "+15550100"})
	if err != nil {
		t.Fatal(err)
	}
	m := <-messages
	if m["to"] != "+15550100" {
		t.Errorf("the message went to %q", m["to"])
	}
	var denial *providers.Denial
	if _, _, err := p.Continue(ctx, providers.Request{Fields: map[string]string{"code": "x"}, State: step.State}); !errors.As(err, &denial) {
		t.Errorf("a wrong code: %v", err)
	}
	_, claim, err := p.Continue(ctx, providers.Request{Fields: map[string]string{"code": m["text"][:6]}, State: step.State})
	if err != nil || claim.Email != "ada@example.com" || len(claim.AMR) != 1 {
		t.Errorf("the right code: %+v, %v", claim, err)
	}

	// Without a phone on file: the same form, no message, and no right code.
	step, _, err = p.Continue(ctx, providers.Request{Fields: map[string]string{"email": "bob@example.com"}})
	if err != nil || step.Ask.Title != askCode.Title || len(messages) != 0 {
		t.Errorf("without a phone: %+v, %v, %d messages", step.Ask, err, len(messages))
	}
	if _, _, err = p.Continue(ctx, providers.Request{Fields: map[string]string{"code": ""}, State: step.State}); !errors.As(err, &denial) {
		t.Errorf("without a phone, the empty code: %v", err)
	}

	plugintest.Run(t, c, "ada@example.com")
}
