// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/address"
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

// The keys for an upstream that cannot reach the public URL are those that
// stand there, headers and all, whatever else the request says; and while
// nobody can tell what they are, that is what it says.
func TestJ08_ServeKeys(t *testing.T) {
	w := newWorld(t)
	ask := func(method, to string, header ...string) *http.Response {
		r := httptest.NewRequest(method, to, nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		rec := httptest.NewRecorder()
		w.rt.ServeKeys(rec, r)
		return rec.Result()
	}
	public := w.browser().get("/.well-known/portalgate/jwks.json").is(200)
	etag := public.header.Get("Etag")
	if etag == "" || public.header.Get("Cache-Control") != "public, max-age=300" {
		t.Fatalf("the public ones: %v", public.header)
	}
	for _, to := range []string{"http://keys.internal:8026/", "http://10.0.0.1/.well-known/portalgate/jwks.json", "/sign-in?x=1"} {
		got := ask("GET", to)
		body, _ := io.ReadAll(got.Body)
		if got.StatusCode != 200 || string(body) != public.body {
			t.Errorf("%s: %d, %q", to, got.StatusCode, body)
		}
		for _, name := range []string{"Content-Type", "Cache-Control", "X-Content-Type-Options", "Etag", "Set-Cookie"} {
			if got, want := got.Header.Values(name), public.header.Values(name); !slices.Equal(got, want) {
				t.Errorf("%s: %s = %q, at the public address %q", to, name, got, want)
			}
		}
	}
	if head := ask("HEAD", "/"); head.StatusCode != 200 || head.Header.Get("Etag") != etag {
		t.Errorf("HEAD: %d, %v", head.StatusCode, head.Header)
	}
	if same := ask("GET", "/", "If-None-Match", etag); same.StatusCode != http.StatusNotModified {
		t.Errorf("asked whether they are still the same: %d", same.StatusCode)
	}
	if post := ask("POST", "/"); post.StatusCode != http.StatusMethodNotAllowed || post.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, %v", post.StatusCode, post.Header)
	}

	w.rt.Close()
	down := ask("GET", "/")
	if down.StatusCode != 503 || down.Header.Get("Retry-After") == "" || down.Header.Get("Cache-Control") != "no-store" || down.Header.Get("Etag") != "" {
		t.Errorf("the store closed: %d, %v", down.StatusCode, down.Header)
	}
	if !strings.Contains(w.logs.String(), "cannot publish the signing keys") {
		t.Error("the log does not say why")
	}
}

// A server answers before the gate has begun, which is the case for a moment where
// the keys are all that it serves of it. A worker without a configuration would
// end the process with the first mail.
func TestServeKeysBeforeTheBeginning(t *testing.T) {
	w := newWorld(t)
	w.rt.Close()
	w.rt = NewRuntime(Options{
		Gate: "main", Now: w.clock.now, Open: func(context.Context) (store.Backend, error) { return w.bolt() },
		Secret: func(context.Context) ([]byte, error) { return []byte(worldSecret), nil },
	})
	ask := func() int {
		rec := httptest.NewRecorder()
		w.rt.ServeKeys(rec, httptest.NewRequest("GET", "/", nil))
		return rec.Code
	}
	if got := ask(); got != 503 || w.rt.eng.Load() != nil {
		t.Errorf("before: %d, and workers run: %t", got, w.rt.eng.Load() != nil)
	}
	if _, _, err := w.rt.TryMail(t.Context(), address.Address{}); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("trying the mail: %v", err)
	}
	if _, err := w.rt.Use(w.conf); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != 200 {
		t.Errorf("after: %d", got)
	}
}
