// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package testgate

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

const module = "github.com/portalgate/portalgate"

// bin is where this process puts what it builds.
var bin = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "portalgate-test-") })

var (
	gateBinary   = sync.OnceValues(func() (string, error) { return build("portalgate", "caddymodule/portalgate") })
	portalBinary = sync.OnceValues(func() (string, error) { return build("portal-go", "examples/portal-go") })
)

// Main runs a package's tests and removes what was built for them. Call it
// from TestMain.
func Main(m *testing.M) int {
	code := m.Run()
	if dir, err := bin(); err == nil {
		os.RemoveAll(dir)
	}
	return code
}

// Build builds the portalgate binary, once per test process, with the race
// detector if the test has it, and returns its path.
func Build(t testing.TB) string {
	t.Helper()
	return must(t)(gateBinary())
}

// BuildPortal builds the sample portal like Build.
func BuildPortal(t testing.TB) string {
	t.Helper()
	return must(t)(portalBinary())
}

func build(name, pkg string) (string, error) {
	dir, err := bin()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	args := []string{"build", "-tags", "nobadger,nomysql,nopgx", "-ldflags", "-s -w", "-o", path} // without debug information it links twice as fast
	if race {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, module+"/"+pkg)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building %s: %v\n%s", name, err, out)
	}
	return path, nil
}

func must(t testing.TB) func(string, error) string {
	return func(s string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}
