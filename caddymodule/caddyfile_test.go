// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

var update = flag.Bool("update", false, "write what the Caddyfiles in caddyfile_adapt become, or why they are refused")

// TestAdapt holds the grammar to the files in caddyfile_adapt: a Caddyfile, a
// line of dashes, and the JSON it becomes or the error that refuses it.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("caddyfile_adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	// What a checkout makes of the modes of files is not what is tested.
	for program, mode := range map[string]os.FileMode{"program": 0o755, "program_shared": 0o775} {
		if err := os.Chmod(filepath.Join("caddyfile_adapt", program), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in, want, _ := strings.Cut(string(data), "\n----------\n")
			got := adapt(t, in+"\n")
			if *update {
				if err := os.WriteFile(file, []byte(in+"\n----------\n"+got+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := strings.TrimSpace(want); got != want {
				t.Errorf("adapted, it is\n%s\nwant\n%s", got, want)
			}
			if isError := strings.HasPrefix(filepath.Base(file), "error_"); isError == json.Valid([]byte(got)) {
				t.Errorf("named error_: %t, but it is\n%s", isError, got)
			}
		})
	}
}

// TestAdaptShipped adapts the Caddyfile that `make -f xcaddy.mk run` uses, the
// one that the README shows, and the examples.
func TestAdaptShipped(t *testing.T) {
	shipped, err := os.ReadFile("../Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(readme), "```caddyfile\n")
	shown, _, _ = strings.Cut(shown, "```")
	all := []string{string(shipped), shown}
	examples, err := filepath.Glob("../examples/*/*.Caddyfile")
	if err != nil || len(examples) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range examples {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(file) == "front.Caddyfile" {
			adapt(t, string(text))
			continue
		}
		all = append(all, string(text))
	}
	for _, in := range all {
		got := adapt(t, in)
		if !strings.Contains(got, `"handler": "portalgate"`) {
			t.Error(got)
		}
	}
}

// adapt returns the JSON that a Caddyfile becomes, or the error. A warning is
// an error here: what we show people is as `caddy fmt` would have it.
func adapt(t *testing.T, in string) string {
	t.Helper()
	out, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(in), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err.Error()
	}
	for _, w := range warnings {
		t.Errorf("warning: %s", w)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, out, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return indented.String()
}
