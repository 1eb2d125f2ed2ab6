// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package upstreamtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/identity"
)

const vectorsPath = "../../identity/testdata/vectors.json"

// vectors is the published file; see the README beside it.
type vectors struct {
	Issuer, Audience string
	Now              int64
	JWKS             json.RawMessage
	Vectors          []struct {
		Name, Token string
		Valid       bool
	}
}

func readVectors(t *testing.T) vectors {
	t.Helper()
	data, err := os.ReadFile(vectorsPath)
	if err != nil {
		t.Fatal(err)
	}
	var f vectors
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// lines is what a verifier says that makes no mistake.
func (f vectors) lines() string {
	var b strings.Builder
	for _, v := range f.Vectors {
		b.WriteString(v.Name + verdict(v.Valid))
	}
	return b.String()
}

func verdict(ok bool) string {
	if ok {
		return " ok\n"
	}
	return " refused\n"
}

// RoundTrip is the gate that publishes the file's keys.
func (f vectors) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(f.JWKS)), Request: r}, nil
}

// Four verifiers that have no line in common are of one opinion on every
// assertion: the good ones pass, and none of the bad.
func TestVectors(t *testing.T) {
	f := readVectors(t)
	want := f.lines()
	t.Run("Go", func(t *testing.T) {
		v, err := identity.New(identity.Options{
			Issuer: f.Issuer, Audience: f.Audience,
			Client: &http.Client{Transport: f},
			Now:    func() time.Time { return time.Unix(f.Now, 0) },
		})
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, tc := range f.Vectors {
			_, err := v.Verify(t.Context(), tc.Token)
			got.WriteString(tc.Name + verdict(err == nil))
		}
		same(t, got.String(), want)
	})
	path, err := filepath.Abs(vectorsPath)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			out, err := p.command(t, nil, []string{"--vectors", path}).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			same(t, string(out), want)
		})
	}
}

// same compares line by line.
func same(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	if len(g) != len(w) {
		t.Fatalf("%d lines, want %d:\n%s", len(g), len(w), got)
	}
	for i := range w {
		if g[i] != w[i] {
			t.Errorf("%q, want %q", g[i], w[i])
		}
	}
}

// What somebody copies into an application of their own is short: verify takes
// fewer than 30 lines, comments and empty ones left out.
func TestVerifyIsShort(t *testing.T) {
	for name, ends := range map[string]string{
		"portal-node/portal.js":   "}",
		"portal-python/portal.py": "    return claims",
		"portal-php/portal.php":   "}",
	} {
		data, err := os.ReadFile("../../examples/" + name)
		if err != nil {
			t.Fatal(err)
		}
		lines, in := 0, false
		for line := range strings.Lines(string(data)) {
			line = strings.TrimRight(line, "\n")
			in = in || strings.Contains(line, "function verify(") || strings.HasPrefix(line, "def verify(")
			text := strings.TrimSpace(line)
			if !in || text == "" || strings.HasPrefix(text, "//") || strings.HasPrefix(text, "#") {
				continue
			}
			if lines++; line == ends {
				break
			}
		}
		t.Logf("%s: %d lines", name, lines)
		if lines < 10 || lines >= 30 {
			t.Errorf("%s: verify has %d lines, want fewer than 30", name, lines)
		}
	}
}
