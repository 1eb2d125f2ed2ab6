// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestGeneratedCode compares what is committed with what the generator makes of
// the protocol.
func TestGeneratedCode(t *testing.T) {
	const folder = "authenticator/v1"
	fresh := t.TempDir()
	if err := os.MkdirAll(filepath.Join(fresh, folder), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "run", "-C", "proto/generate", ".", fresh).CombinedOutput(); err != nil {
		t.Fatalf("the generator: %v\n%s", err, out)
	}
	for _, dir := range []string{"proto", fresh} { // neither has a file that the other lacks
		files, err := filepath.Glob(filepath.Join(dir, folder, "*.go"))
		if err != nil || len(files) != 2 {
			t.Errorf("%s holds %q, %v; want two files", dir, files, err)
		}
		for _, f := range files {
			name := filepath.Join(folder, filepath.Base(f))
			want, err := os.ReadFile(filepath.Join(fresh, name))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(filepath.Join("proto", name)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s is not what the generator makes of the protocol (%v): go generate ./plugins", name, err)
			}
		}
	}
}
