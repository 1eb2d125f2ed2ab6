// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package portalgate_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// TestNoModuleNewerThanCaddys: whoever builds a Caddy with this module gets the
// newer of what both ask for. Asking for more than Caddy's own go.mod would
// drag everybody's Caddy along to versions that it was not tested with.
func TestNoModuleNewerThanCaddys(t *testing.T) {
	path := command(t, "list", "-m", "-f", "{{.GoMod}}", caddy)
	theirs, mine := required(t, strings.TrimSpace(path)), required(t, "go.mod")
	shared := 0
	for module, version := range mine {
		if has, ok := theirs[module]; ok {
			shared++
			if has != version {
				t.Errorf("%s is required at %s, by Caddy at %s", module, version, has)
			}
		}
	}
	if shared < 20 {
		t.Errorf("only %d modules in common: were the right files compared?", shared)
	}
}

// required returns the versions that a go.mod asks for, by module.
func required(t *testing.T, file string) map[string]string {
	t.Helper()
	var mod struct {
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal([]byte(command(t, "mod", "edit", "-json", file)), &mod); err != nil {
		t.Fatal(err)
	}
	versions := make(map[string]string)
	for _, r := range mod.Require {
		versions[r.Path] = r.Version
	}
	return versions
}

func command(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("go", args...).Output()
	if err != nil {
		t.Fatalf("go %s: %v", args[0], err)
	}
	return string(out)
}
