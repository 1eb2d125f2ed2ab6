// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package portalgate_test holds the house to its plan: who may import whom,
// and the few calls that only one room may make.
package portalgate_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	ours  = "github.com/portalgate/portalgate/"
	caddy = "github.com/caddyserver/caddy/v2"
)

// pkg is what `go list` says of a package, tests left out.
type pkg struct {
	ImportPath, Dir string
	GoFiles         []string
	Imports         []string // its own
	Deps            []string // and theirs, all the way down
	Standard        bool
}

// name is the path inside our module; empty if it is not ours.
func (p pkg) name() string {
	if s, ok := strings.CutPrefix(p.ImportPath, ours); ok {
		return s
	}
	return ""
}

// list returns every package that ours consist of, by import path.
func list(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-tags", "nobadger,nomysql,nopgx",
		"-json=ImportPath,Dir,GoFiles,Imports,Deps,Standard", "./...")
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]pkg)
	for d := json.NewDecoder(out); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("go list: %v\n%s", err, problems.String())
	}
	return all
}

// rule is about the packages whose name matches of.
type rule struct {
	of  string // see matches
	why string
	// only lists what may be imported beside the standard library; deep makes
	// it hold for everything below as well. Nil allows everything.
	only []string
	deep bool
	// never lists what may not be among the dependencies, however deep; not,
	// what may not be imported by the package itself.
	never, not []string
}

var rules = []rule{
	{of: "providers", why: "the contract is for everybody", only: []string{}, deep: true},
	{of: "providers/providertest", why: "a method's tests need no server", only: []string{ours + "providers"}, deep: true},
	{of: "providers/*", why: "a method proves who somebody is and sees nothing else",
		never: []string{caddy + "/modules/...", ours + "internal/...", ours + "caddymodule/...", ours + "identity"}},
	{of: "providers/internal/...", why: "what several methods share sees no more than they do",
		only: []string{ours + "providers", "github.com/coreos/go-oidc/v3/oidc", "golang.org/x/oauth2"}},
	{of: "plugins/...", why: "a plugin's author needs no Caddy, and what runs a stranger's program sees nothing of ours",
		only: []string{
			ours + "providers", ours + "providers/providertest", ours + "plugins/...", "github.com/hashicorp/go-plugin/...",
			"github.com/hashicorp/go-hclog", "google.golang.org/grpc/...", "google.golang.org/protobuf/...", "go.uber.org/zap/...",
		},
		never: []string{caddy + "/...", ours + "internal/...", ours + "caddymodule/...", ours + "identity"}},
	{of: "identity", why: "an upstream imports it", only: []string{"github.com/go-jose/go-jose/v4/..."}, deep: true},
	{of: "internal/...", why: "what a request means does not depend on the server in front",
		never: []string{caddy + "/...", ours + "caddymodule/...", ours + "providers/*"}},
	{of: "internal/directory/...", why: "who is on file is no matter of who is signed in, or of where that is kept",
		never: []string{ours + "internal/access", ours + "internal/session", ours + "internal/gate", ours + "internal/store/*"}},
	{of: "internal/access", why: "the rules are pure", only: []string{}, deep: true,
		not: []string{"os", "net", "net/http", "crypto/rand", "math/rand", "math/rand/v2"}},
}

func TestImports(t *testing.T) {
	all := list(t)
	for _, r := range rules {
		found := false
		for _, p := range all {
			if p.name() == "" || !matches(r.of, p.name()) {
				continue
			}
			found = true
			r.check(t, all, p)
		}
		if !found {
			t.Errorf("no package is %s: mend the rule", r.of)
		}
	}
}

func (r rule) check(t *testing.T, all map[string]pkg, p pkg) {
	t.Helper()
	imports := p.Imports
	if r.deep {
		imports = p.Deps
	}
	for _, path := range imports {
		if r.only != nil && !all[path].Standard && !slices.ContainsFunc(r.only, func(o string) bool { return matches(o, path) }) {
			t.Errorf("%s imports %s: %s", p.name(), path, r.why)
		}
	}
	for _, path := range p.Imports {
		if slices.Contains(r.not, path) {
			t.Errorf("%s imports %s: %s", p.name(), path, r.why)
		}
	}
	for _, path := range p.Deps {
		if slices.ContainsFunc(r.never, func(n string) bool { return matches(n, path) }) {
			t.Errorf("%s depends on %s: %s", p.name(), path, r.why)
		}
	}
}

// TestImportersOf checks packages that only a few may import directly.
func TestImportersOf(t *testing.T) {
	all := list(t)
	for path, only := range map[string][]string{
		"go.etcd.io/bbolt":                  {"internal/store/bolt"},
		"github.com/wneessen/go-mail":       {"internal/mail/smtp"},
		"github.com/mailgun/mailgun-go/v4":  {"internal/mail/mailgun"},
		ours + "caddymodule":                {"caddymodule/portalgate"},
		caddy + "/modules/caddyhttp":        {"caddymodule"},
		"github.com/go-jose/go-jose/v4":     {"internal/assertion", "identity", "internal/oidctest"},
		"github.com/coreos/go-oidc/v3/oidc": {"providers/internal/relyingparty"},
		"golang.org/x/oauth2":               {"providers/internal/relyingparty"},
		ours + "internal/oidctest":          {}, // tests
		"github.com/hashicorp/go-plugin":    {"plugins"},
	} {
		for _, p := range all {
			if p.name() != "" && slices.Contains(p.Imports, path) && !slices.Contains(only, p.name()) {
				t.Errorf("%s imports %s, which is for %s alone", p.name(), path, strings.Join(only, " and "))
			}
		}
	}
	for _, p := range all {
		for _, path := range p.Imports {
			other, ok := strings.CutPrefix(path, ours+"providers/")
			if ok && strings.HasPrefix(p.name(), "providers/") && !strings.HasPrefix(other, "internal/") { // that is no method
				t.Errorf("%s imports %s: a method knows no other", p.name(), other)
			}
		}
	}
}

// TestMethodsAreSmall: a method is one file of less than 250 lines. Package plugin
// is none: it is whatever program the operator names.
func TestMethodsAreSmall(t *testing.T) {
	for _, p := range list(t) {
		if !matches("providers/*", p.name()) || p.name() == "providers/providertest" || p.name() == "providers/plugin" {
			continue
		}
		if len(p.GoFiles) != 1 {
			t.Errorf("%s is %d files: %q", p.name(), len(p.GoFiles), p.GoFiles)
			continue
		}
		text, err := os.ReadFile(filepath.Join(p.Dir, p.GoFiles[0]))
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(string(text), "\n"); lines >= 250 {
			t.Errorf("%s has %d lines", p.name(), lines)
		}
	}
}

// TestOneRoomOnly checks for what is named in a few packages only: one place
// to read to know how cookies are set, and one for identity headers.
func TestOneRoomOnly(t *testing.T) {
	allowed := map[string][]string{
		"http.SetCookie":           {"internal/gate", "internal/session"},
		"identity.HeaderAssertion": {"internal/assertion"},
		"identity.HeaderUser":      {"internal/assertion"},
		"identity.HeaderEmail":     {"internal/assertion"},
		"identity.HeaderName":      {"internal/assertion"},
		`"Remote-User"`:            {"internal/assertion", "identity"},
		`"Remote-Email"`:           {"internal/assertion", "identity"},
		`"Remote-Name"`:            {"internal/assertion", "identity"},
		`"Portalgate-Assertion"`:   {"internal/assertion", "identity"},
		"time.Now in the rules":    nil,
		"time.Since in the rules":  nil,
		"time.Until in the rules":  nil,
	}
	for _, p := range list(t) {
		if p.name() == "" || strings.HasPrefix(p.name(), "examples/") { // those are upstreams
			continue
		}
		for _, file := range p.GoFiles {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, file), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				name := named(n)
				if strings.HasPrefix(name, "time.") && p.name() == "internal/access" {
					name += " in the rules"
				}
				if rooms, watched := allowed[name]; watched && !slices.Contains(rooms, p.name()) {
					t.Errorf("%s: %s is not for %s; rooms that may: %q", fset.Position(n.Pos()), name, p.name(), rooms)
				}
				return true
			})
		}
	}
}

// named returns a node as it is written, if it is a name in a package or a
// string.
func named(n ast.Node) string {
	switch n := n.(type) {
	case *ast.SelectorExpr:
		if x, ok := n.X.(*ast.Ident); ok {
			return x.Name + "." + n.Sel.Name
		}
	case *ast.BasicLit:
		if n.Kind == token.STRING {
			return n.Value
		}
	}
	return ""
}

// matches reports whether path is what pattern names: itself, all below it
// ("/..."), or its children ("/*").
func matches(pattern, path string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == base || strings.HasPrefix(path, base+"/")
	}
	if base, ok := strings.CutSuffix(pattern, "/*"); ok {
		rest, ok := strings.CutPrefix(path, base+"/")
		return ok && !strings.Contains(rest, "/")
	}
	return path == pattern
}
