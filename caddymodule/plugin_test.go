// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPluginCommand looks at a program that is no plugin. Those that are have
// their tests in plugins/plugintest.
func TestPluginCommand(t *testing.T) {
	program := filepath.Join(t.TempDir(), "plugin")
	text := "#!/bin/sh\necho \"$GREETING\"\necho \"$HOME\" >&2\n"
	if err := os.WriteFile(program, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (out, said string, err error) {
		var stdout, stderr bytes.Buffer
		cmd := pluginCommand()
		cmd.SetOut(&stdout)
		cmd.SetErr(&stderr)
		cmd.SetArgs(args)
		err = cmd.ExecuteContext(context.Background())
		return stdout.String(), stderr.String(), err
	}
	out, _, err := run("digest", program)
	if want := fmt.Sprintf("%x\n", sha256.Sum256([]byte(text))); err != nil || out != want {
		t.Errorf("digest = %q, %v, want %q", out, err, want)
	}
	out, _, err = run("test", program, "--env", "GREETING=good day")
	if err == nil || !strings.Contains(out, "It does not start: ") || !strings.Contains(out, "good day") {
		t.Errorf("test of what is no plugin: %q, %v", out, err)
	}
	if _, _, err := run("test", program, "--config", "[1]"); err == nil || !strings.Contains(err.Error(), "not a JSON object") {
		t.Errorf("settings that are no object: %v", err)
	}
	if _, _, err := run("test", program, "--user", "root"); err == nil || !strings.Contains(err.Error(), "is root: a plugin is a stranger's program") {
		t.Errorf("a plugin as root: %v", err)
	}
	if err := os.Chmod(program, 0o722); err != nil {
		t.Fatal(err)
	}
	if _, _, err := run("digest", program); err == nil || !strings.Contains(err.Error(), "chmod go-w") {
		t.Errorf("a file that others may write: %v", err)
	}
}
