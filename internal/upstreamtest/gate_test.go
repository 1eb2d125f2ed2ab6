// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package upstreamtest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/assertion"
	"github.com/portalgate/portalgate/internal/seal"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/bolt"
	"github.com/portalgate/portalgate/internal/testgate"
)

// eve has a name that is also a script.
const eve = `Eve <script>alert("Zoë")</script> O'Hara & Co`

// house is a gate with a program behind it.
type house struct {
	*testgate.Gate
	port string // of the program
}

// newHouse starts a gate, and p behind it. The gate's keys were made a quarter of
// an hour ago, so that they can be rotated now.
func newHouse(t *testing.T, p program) house {
	t.Helper()
	dir := t.TempDir()
	db, secret := filepath.Join(dir, "gate.db"), bytes.Repeat([]byte("s3cret: "), 4)
	makeKeys(t, db, secret, time.Now().Add(-15*time.Minute))
	file := filepath.Join(dir, "secret")
	if err := os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString(secret)), 0o600); err != nil {
		t.Fatal(err)
	}
	h := house{port: testgate.FreePort(t)}
	h.Gate = testgate.Start(t, testgate.Options{
		Upstream: "127.0.0.1:" + h.port,
		Gate:     fmt.Sprintf("store embedded %s\nsecret {file.%s}", db, file),
		Handler:  "public /public/*\naudience portal",
		Clients: "id,email,name\n1001,ada@example.com,Ada Lovelace\n1002,eve@example.com,\"" +
			strings.ReplaceAll(eve, `"`, `""`) + "\"\n",
	})
	p.start(t, h.port, "ISSUER="+h.URL, "AUDIENCE=portal")
	return h
}

// makeKeys is what the gate did when it was first started.
func makeKeys(t *testing.T, db string, secret []byte, at time.Time) {
	t.Helper()
	root, err := seal.New(secret, "main")
	if err != nil {
		t.Fatal(err)
	}
	file, err := bolt.Open(db, bolt.Options{Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	sealed := store.Sealed(file, root.Box("store"))
	if err := store.Claim(t.Context(), sealed, "main"); err != nil {
		t.Fatal(err)
	}
	if _, err := assertion.Open(t.Context(), sealed); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// keys runs the operator's command.
func (h house) keys(t *testing.T, args ...string) string {
	t.Helper()
	out, err := h.Command(append([]string{"portalgate", "keys", "--address", strings.TrimPrefix(h.Admin, "http://")}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("keys %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// current is the key that the gate signs with, of what the command says.
func current(t *testing.T, said string) string {
	t.Helper()
	for line := range strings.Lines(said) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "current" {
			return words[1]
		}
	}
	t.Fatalf("no key is current: %q", said)
	return ""
}

// forgery is what somebody writes who knows the vectors and the address of the
// gate but none of its keys, with the kid of one.
func (h house) forgery(t *testing.T, header string) string {
	t.Helper()
	var set struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal([]byte(h.Visitor().Get("/.well-known/portalgate/jwks.json").Body), &set); err != nil || len(set.Keys) == 0 {
		t.Fatalf("the key set: %v", err)
	}
	now := time.Now().Unix()
	claims := fmt.Sprintf(`{"iss":%q,"aud":"portal","sub":"1001","name":"Ada Lovelace","iat":%d,"nbf":%d,"exp":%d}`, h.URL, now, now, now+60)
	b64 := base64.RawURLEncoding.EncodeToString
	return b64(fmt.Appendf(nil, header, set.Keys[0].Kid)) + "." + b64([]byte(claims)) + "." + b64(bytes.Repeat([]byte{1}, 64))
}

// Each example is what stands behind the real gate. Its client is greeted by
// name, also after the keys were rotated; whoever gets to it without the gate,
// or with the gate but without a sign-in, is not.
func TestJ07_BehindTheGate(t *testing.T) {
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, p)
			visitors := h.SignIn("ada@example.com", "eve@example.com")
			greets := func(when string, v *testgate.Visitor, name string) {
				t.Helper()
				page := v.Get("/")
				if page.Status != http.StatusOK || !strings.Contains(html.UnescapeString(page.Body), "Hello "+name) || strings.Contains(page.Body, "<script") {
					t.Errorf("%s: %d %q", when, page.Status, page.Body)
				}
			}
			greets("signed in", visitors[0], "Ada Lovelace")
			greets("signed in", visitors[1], eve)

			// On a public path the gate says that nobody is signed in, and lets
			// no assertion through that a visitor has made up.
			nobody := h.Visitor().Get("/public/x")
			if nobody.Status != http.StatusUnauthorized || !strings.Contains(nobody.Body, "open this page through the client portal") {
				t.Errorf("anonymous: %d %q", nobody.Status, nobody.Body)
			}
			forged := h.forgery(t, `{"alg":"ES256","kid":%q,"typ":"portalgate-identity+jwt"}`)
			f := readVectors(t)
			for name, assertions := range map[string][]string{
				"none":               nil,
				"empty":              {""},
				"text":               {"Ada Lovelace"},
				"forged":             {forged},
				"forged, unsigned":   {h.forgery(t, `{"alg":"none","kid":%q,"typ":"portalgate-identity+jwt"}`)},
				"forged, alg a list": {h.forgery(t, `{"alg":["ES256"],"kid":%q,"typ":"portalgate-identity+jwt"}`)},
				"forged, kid a list": {h.forgery(t, `{"alg":"ES256","kid":[%q],"typ":"portalgate-identity+jwt"}`)},
				"forged twice":       {forged, forged},
				"of another gate":    {f.Vectors[0].Token},
				"1 KB of characters": {strings.Repeat("a.", 512)},
			} {
				status, header := ask(t, h.port, assertions...)
				if status != http.StatusUnauthorized || header.Get("Www-Authenticate") != "Portalgate" {
					t.Errorf("around the gate, assertion %s: %d, %v", name, status, header)
				}
			}

			before := current(t, h.keys(t))
			if current(t, h.keys(t, "rotate")) == before {
				t.Fatal("keys rotate: the gate signs with the same key")
			}
			greets("after keys rotate", visitors[0], "Ada Lovelace")
			greets("after keys rotate", visitors[1], eve)

			if os.Getenv("PORTALGATE_PROOF") == "" {
				return
			}
			h.keys(t, "rotate", "--compromised")
			replaced := time.Now()
			for visitors[0].Get("/").Status != http.StatusOK {
				if time.Since(replaced) > 32*time.Second {
					t.Fatal("32 s after the keys were replaced the client is still refused")
				}
				time.Sleep(100 * time.Millisecond)
			}
			fmt.Printf("proof: %s greets %.1f s after all keys were replaced\n", p.name, time.Since(replaced).Seconds())
			greets("after all keys were replaced", visitors[0], "Ada Lovelace")
		})
	}
}
