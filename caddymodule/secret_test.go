// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

func TestParseSecret(t *testing.T) {
	want := bytes.Repeat([]byte{0xfb, 0xff, 0x3e, 0x01}, 8)
	for _, good := range []string{
		strings.Repeat("fbff3e01", 8),
		strings.ToUpper(strings.Repeat("fbff3e01", 8)),
		base64.StdEncoding.EncodeToString(want),
		base64.RawStdEncoding.EncodeToString(want),
		base64.URLEncoding.EncodeToString(want),
		base64.RawURLEncoding.EncodeToString(want),
		" " + base64.StdEncoding.EncodeToString(want) + "\r\n",
	} {
		if got, err := parseSecret(good); err != nil || !bytes.Equal(got, want) {
			t.Errorf("parseSecret of %d characters: %v", len(good), err)
		}
	}
	for _, bad := range []string{
		"", "hunter2", strings.Repeat("a", 63), strings.Repeat("a", 65), strings.Repeat("g", 64),
		base64.StdEncoding.EncodeToString(want[:31]), base64.StdEncoding.EncodeToString(append(want, 1)),
		base64.StdEncoding.EncodeToString(want) + "=", strings.Repeat("/", 43), // the last has bits left over
	} {
		_, err := parseSecret(bad)
		if err == nil {
			t.Errorf("parseSecret took %d characters that are no secret", len(bad))
		} else if bad != "" && strings.Contains(err.Error(), bad) {
			t.Error("parseSecret repeats the secret in its error")
		}
	}
}

func FuzzParseSecret(f *testing.F) {
	f.Add("")
	f.Add(strings.Repeat("0a", 32))
	f.Add(strings.Repeat("A", 42) + "8=")
	f.Fuzz(func(t *testing.T, s string) {
		if b, err := parseSecret(s); err == nil && len(b) != 32 {
			t.Errorf("a secret of %d bytes", len(b))
		}
	})
}

func TestConfiguredSecret(t *testing.T) {
	good := newSecret()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(good+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PORTALGATE_TEST_SECRET", good)
	t.Setenv("PORTALGATE_TEST_EMPTY", "")
	for _, tc := range []struct {
		raw     string
		literal bool
		err     string
	}{
		{raw: "{file." + file + "}"},
		{raw: "{env.PORTALGATE_TEST_SECRET}"},
		{raw: "{file." + filepath.Dir(file) + "}", err: "let the user that the server runs as read it"},
		{raw: good, literal: true},
		{raw: "{env.PORTALGATE_TEST_EMPTY}", err: "portalgate secret"},
		{raw: "{env.PORTALGATE_TEST_UNSET}", err: "portalgate secret"},
		{raw: "{file." + file + ".none}", err: "`caddy portalgate secret` makes one"},
		{raw: "{vault.secret}", err: "unrecognized"},
		{raw: strings.Repeat("00", 32), err: "one byte repeated"},
		{raw: "hunter2", err: "7 characters"},
	} {
		s, err := configuredSecret(tc.raw, "main")
		switch {
		case tc.err != "":
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("configuredSecret(%q) = %v, want %q", tc.raw, err, tc.err)
			}
		case err != nil:
			t.Errorf("configuredSecret: %v", err)
		case s.literal != tc.literal:
			t.Errorf("configuredSecret: literal is %t, want %t", s.literal, tc.literal)
		}
	}
}

func TestLiteralPassword(t *testing.T) {
	for at, want := range map[string]bool{
		"redis://:hunter2@127.0.0.1:6379": true, "redis://gate:hunter2@{env.HOST}:6379/1": true, "rediss://gate:hunter2@r": true,
		"redis://127.0.0.1:6379": false, "redis://gate:{env.PASSWORD}@127.0.0.1:6379": false, "{env.REDIS_URL}": false,
		"redis://gate:{file./etc/portalgate/redis-password}@r:6379": false, "redis://gate@r": false, "unix:///run/redis.sock": false,
	} {
		if got := (&Redis{URL: at}).literalPassword(); got != want {
			t.Errorf("%s: %t", at, got)
		}
	}
}

// memory is a storage that can fail.
type memory struct {
	locks sync.Mutex // the storage's lock, held between Lock and Unlock

	mu     sync.Mutex
	values map[string][]byte // guarded by mu
	broken error
	stores int // guarded by mu
}

func (m *memory) Lock(context.Context, string) error   { m.locks.Lock(); return nil }
func (m *memory) Unlock(context.Context, string) error { m.locks.Unlock(); return nil }

func (m *memory) Load(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return nil, m.broken
	}
	if v, ok := m.values[key]; ok {
		return v, nil
	}
	return nil, fs.ErrNotExist
}

func (m *memory) Store(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stores++
	m.values[key] = value
	return nil
}

func TestStoredSecret(t *testing.T) {
	m := &memory{values: make(map[string][]byte)}
	var all [8][]byte
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			b, err := storedSecret(m, "main").source(context.Background())
			if err != nil {
				t.Error(err)
			}
			all[i] = b
		})
	}
	wg.Wait()
	for _, b := range all {
		if !bytes.Equal(b, all[0]) || len(b) != 32 {
			t.Fatal("several starts at once made several secrets")
		}
	}
	if m.stores != 1 {
		t.Errorf("%d writes, want 1", m.stores)
	}
	if b, err := storedSecret(m, "other").source(context.Background()); err != nil || bytes.Equal(b, all[0]) {
		t.Errorf("another gate has the same secret, or none (%v)", err)
	}
}

// TestStoredSecretKept: a storage that cannot be read is not one that is
// empty. A new secret in the old one's place would sign everybody out and make
// the store unreadable, for good.
func TestStoredSecretKept(t *testing.T) {
	m := &memory{values: map[string][]byte{"portalgate/main/secret": []byte(newSecret())}, broken: errors.New("timeout")}
	if _, err := storedSecret(m, "main").source(context.Background()); err == nil {
		t.Error("a secret although storage cannot be read")
	}
	m.broken = nil
	m.values["portalgate/main/secret"] = []byte("damaged")
	if _, err := storedSecret(m, "main").source(context.Background()); err == nil {
		t.Error("a damaged secret was taken")
	}
	if m.stores != 0 {
		t.Error("the secret was replaced")
	}
}

func TestSecretCommand(t *testing.T) {
	seen := make(map[string]bool)
	for range 3 {
		out, err := command(t, "portalgate", "secret")
		if err != nil || !regexp.MustCompile(`^[0-9a-f]{64}\n$`).MatchString(out) {
			t.Fatalf("portalgate secret: %v, %d characters", err, len(out))
		}
		seen[out] = true
	}
	if len(seen) != 3 {
		t.Error("the same secret twice")
	}
	if out, err := command(t, "portalgate", "secret", "more"); err == nil {
		t.Errorf("an argument too many was taken: %d characters", len(out))
	}
}
