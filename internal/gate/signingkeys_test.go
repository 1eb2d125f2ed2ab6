// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/assertion"
	"github.com/portalgate/portalgate/internal/store"
)

// A rotation that is asked for, and the replacing of keys in wrong hands: each
// is told to the audit log by the names of the keys, sessions go on, and the
// next request comes with an assertion by the new key.
func TestSigningKeys(t *testing.T) {
	w := newWorld(t)
	b := w.signIn("ada@example.com")
	current := func() string {
		t.Helper()
		keys, err := w.rt.SigningKeys(t.Context())
		if err != nil || len(keys) < 2 || keys[1].Role != "current" {
			t.Fatalf("SigningKeys = %+v, %v", keys, err)
		}
		return keys[1].ID
	}
	first := current()
	if _, err := w.rt.RotateSigningKeys(t.Context(), false); err == nil {
		t.Error("rotated to a key that upstreams may not know")
	} else if _, ok := errors.AsType[*assertion.TooSoonError](err); !ok {
		t.Errorf("RotateSigningKeys = %v, want when it is possible", err)
	}
	if strings.Contains(w.logs.String(), "signing_keys_") {
		t.Error("the audit log tells of a rotation that was refused")
	}
	w.clock.advance(10 * time.Minute)
	for _, tc := range []struct {
		compromised bool
		event       string
		keys        int
	}{
		{false, "signing_keys_rotated", 3},
		{true, "signing_keys_replaced", 2},
	} {
		keys, err := w.rt.RotateSigningKeys(t.Context(), tc.compromised)
		if err != nil || len(keys) != tc.keys || keys[1].ID == first || keys[1].ID != current() {
			t.Fatalf("RotateSigningKeys(%t) = %+v, %v", tc.compromised, keys, err)
		}
		first = keys[1].ID
		var line string
		for l := range strings.Lines(w.logs.String()) {
			if strings.Contains(l, tc.event) {
				line = l
			}
		}
		if !strings.Contains(line, `"logger":"audit"`) || !strings.Contains(line, `"current":"`+first+`"`) {
			t.Errorf("the audit log says %q", line)
		}
		if p := b.get("/files"); !strings.HasPrefix(p.body, "portal ") {
			t.Errorf("signed out by %s: %d", tc.event, p.status)
		}
	}
}

// What cannot be known is an error that says so, and changes nothing.
func TestSigningKeysUnknown(t *testing.T) {
	w := newWorld(t)
	before, err := w.rt.SigningKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.db.fail.Store(true)
	if keys, err := w.rt.SigningKeys(t.Context()); !errors.Is(err, store.ErrUnknown) || keys != nil {
		t.Errorf("SigningKeys = %v, %v", keys, err)
	}
	if keys, err := w.rt.RotateSigningKeys(t.Context(), true); !errors.Is(err, store.ErrUnknown) || keys != nil {
		t.Errorf("RotateSigningKeys = %v, %v", keys, err)
	}
	w.db.fail.Store(false)
	if after, err := w.rt.SigningKeys(t.Context()); err != nil || after[1] != before[1] {
		t.Errorf("afterwards: %+v, %v", after, err)
	}
	w.rt.Close()
	if _, err := w.rt.RotateSigningKeys(t.Context(), true); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("closed: %v", err)
	}
}
