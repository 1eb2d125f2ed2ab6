// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package portalgate_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var declared = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// testsInTree returns the names of all tests there are.
func testsInTree(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(text, -1) {
			names[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestTableOfStandards holds the table in SECURITY.md to what there is: each test
// that it names is in the tree, and each setting in the README's reference. A
// row that says the gate does something has a test to show it.
func TestTableOfStandards(t *testing.T) {
	security, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(security), "\n## From HIPAA and ASVS\n")
	table, _, _ = strings.Cut(table, "\n## ")
	names := testsInTree(t)
	quoted := regexp.MustCompile("`([^`]+)`")
	rows := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " |")
		if len(cells) != 4 || strings.Contains(line, "---") || strings.HasPrefix(line, "| row ") {
			continue
		}
		rows++
		tests := quoted.FindAllStringSubmatch(cells[3], -1)
		if len(tests) == 0 && !strings.Contains(cells[1], "**not met") {
			t.Errorf("nothing shows%s", cells[0])
		}
		for _, m := range tests {
			if !names[m[1]] {
				t.Errorf("%s: there is no test %s", strings.TrimSpace(cells[0]), m[1])
			}
		}
		for _, m := range quoted.FindAllStringSubmatch(cells[2], -1) {
			if !strings.Contains(string(readme), "`"+m[1]) {
				t.Errorf("%s: the README does not know the setting %q", strings.TrimSpace(cells[0]), m[1])
			}
		}
	}
	if !found || rows < 30 {
		t.Fatalf("%d rows", rows)
	}
	for _, all := range []string{"164.312(a)(1)", "164.312(b)", "164.312(c)(1)", "164.312(d)", "164.312(e)(1)", "164.308(a)(5)(ii)(C)", "164.514(h)", "ASVS"} {
		if !strings.Contains(table, all) {
			t.Errorf("the table has no %s", all)
		}
	}
}

// TestCommandsOfFigures: each command that stands beside a figure runs a test, in
// each package that it names.
func TestCommandsOfFigures(t *testing.T) {
	command := regexp.MustCompile("`[^`]*go test [^`]*-run ('[^']+'|\"[^\"]+\"|\\S+) [^`]*`")
	seen := 0
	for _, file := range []string{"README.md", "SECURITY.md", "plugins/README.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range command.FindAllStringSubmatch(strings.ReplaceAll(string(text), `\|`, "|"), -1) {
			which, err := regexp.Compile(strings.Trim(m[1], `'"`))
			if err != nil {
				t.Errorf("%s: %s: %v", file, m[0], err)
				continue
			}
			for _, dir := range regexp.MustCompile(`\./[\w/-]+`).FindAllString(m[0], -1) {
				seen++
				found := false
				tests, _ := filepath.Glob(filepath.Join(dir, "*_test.go"))
				for _, test := range tests {
					source, err := os.ReadFile(test)
					if err != nil {
						t.Fatal(err)
					}
					for _, name := range declared.FindAllSubmatch(source, -1) {
						found = found || which.Match(name[1])
					}
				}
				if !found {
					t.Errorf("%s: %s runs nothing in %s", file, m[0], dir)
				}
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d commands were looked at", seen)
	}
}
