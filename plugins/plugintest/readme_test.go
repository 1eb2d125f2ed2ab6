// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package plugintest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/plugins"
	"github.com/portalgate/portalgate/providers"
)

// TestReadme does what "One in ten minutes" says: its program compiles, the
// gate finds nothing wrong with it, and the card that its settings name gets in.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile("(?s)```go\n(.*?)```").FindSubmatch(readme)
	config := regexp.MustCompile(`plugin test ./card --config '(.*)'`).FindSubmatch(readme)
	if code == nil || config == nil {
		t.Fatal("the README holds no program, or no settings to test it with")
	}
	dir := t.TempDir()
	source, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "card")
	if err := os.WriteFile(source, code[1], 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("it does not compile: %v\n%s", err, out)
	}
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	digest, err := plugins.Digest(program)
	if err != nil {
		t.Fatal(err)
	}
	c := plugins.Command{Path: program, Digest: digest, Config: config[1]}
	Run(t, c, "")
	p := plugins.New(c, zap.NewNop())
	defer func() { p.Close(); <-p.Done() }()
	if err := started(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	_, claim, err := p.Continue(t.Context(), providers.Request{Fields: map[string]string{"card": "1"}})
	if err != nil || claim.Email != "ada@example.com" {
		t.Errorf("card 1 = %+v, %v", claim, err)
	}
}
