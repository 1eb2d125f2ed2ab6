// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package plugins

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	authv1 "github.com/portalgate/portalgate/plugins/proto/authenticator/v1"
	"github.com/portalgate/portalgate/providers"
)

// A plugin's field with the name of one of the gate's own would answer the
// gate's question: "switch" that another client's session may end, "return_to"
// where to go. The gate's names are read from its source, as nothing here may
// import it.
func TestG04_GatesFieldNames(t *testing.T) {
	// These two are what a method's form asks for, in our own methods too.
	methods := []string{"code", "email"}
	gates := formNames(t, "../internal/gate")
	for _, known := range []string{"flow", "nonce", "once", "switch", "return_to", "shared", "t", "email"} {
		if !slices.Contains(gates, known) {
			t.Errorf("the gate's field %s is not found in its source: this test no longer reads what it should", known)
		}
	}
	for _, name := range gates {
		if !slices.Contains(methods, name) && !slices.Contains(reserved, name) {
			t.Errorf("a plugin may name a field %s, which is the gate's own", name)
		}
	}
	for _, name := range reserved {
		if !slices.Contains(gates, name) {
			t.Errorf("%s is refused, and no field of the gate's", name)
		}
		a := *askCode
		a.Fields = []providers.Field{{Name: name, Kind: providers.Text, Label: "Label"}}
		if err := checkAsk(&a); err == nil || !strings.Contains(err.Error(), "the gate's own") {
			t.Errorf("a field named %s: %v", name, err)
		}
	}
}

// formNames returns the names of the form fields and query parameters that a
// package reads, v.Get("name"), or puts into a form, ui.Hidden{Name: "name"}.
func formNames(t *testing.T, dir string) []string {
	t.Helper()
	found := map[string]bool{}
	add := func(e ast.Expr) {
		if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if name, _ := strconv.Unquote(l.Value); fieldName.MatchString(name) {
				found[name] = true
			}
		}
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		hidden := map[ast.Node]bool{} // ui.Hidden, and what stands in a []ui.Hidden
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Get" && len(n.Args) == 1 {
					add(n.Args[0])
				}
			case *ast.CompositeLit:
				typ := n.Type
				if list, ok := typ.(*ast.ArrayType); ok {
					for _, e := range n.Elts {
						hidden[e] = isHidden(list.Elt)
					}
				}
				if !isHidden(typ) && !hidden[n] {
					break
				}
				for _, e := range n.Elts {
					if kv, ok := e.(*ast.KeyValueExpr); ok && kv.Key.(*ast.Ident).Name == "Name" {
						add(kv.Value)
					}
				}
			}
			return true
		})
	}
	return slices.Sorted(maps.Keys(found))
}

// isHidden reports whether a type is one of package ui's with a name that is sent.
func isHidden(e ast.Expr) bool {
	s, ok := e.(*ast.SelectorExpr)
	return ok && (s.Sel.Name == "Hidden" || s.Sel.Name == "Button" || s.Sel.Name == "Field")
}

// A text of spaces, of letters that look like one, or of marks says nothing: a
// button without words, a form that nobody can be told of.
func TestG04_BlankTexts(t *testing.T) {
	for s, want := range map[string]bool{
		"": true, "   ": true, "\u00a0": true, "\u3164": true, "...": true, "\u0301": true,
		"Go on": false, "7": false, "氏名": false, "Ж": false,
	} {
		if blank(s) != want {
			t.Errorf("blank(%q) = %t", s, !want)
		}
		ask := *askCode
		ask.Button = s
		if err := checkAsk(&ask); (err != nil) != want {
			t.Errorf("a button %q: %v", s, err)
		}
	}
}

// A life that does not fit into a duration would come out as any other.
func TestG04_LifeOverflow(t *testing.T) {
	for n, want := range map[int64]bool{
		0: true, 600: true, 86400: true, 86401: false, -1: false, math.MaxInt64: false, math.MinInt64: false,
		math.MaxInt64/int64(time.Second) + 1: false, 1 << 62: false, 18446744074: false, // 2^64 ns and 0.3 s
	} {
		d := describeFromWire(&authv1.DescribeResponse{Label: "test", LifeSeconds: n})
		if err := checkDescription(d); (err == nil) != want {
			t.Errorf("%d seconds: %v, %v", n, d.Life, err)
		}
	}
}
