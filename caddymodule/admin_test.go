// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// withAdmin returns a live Caddy whose configurations have an admin endpoint
// at that address.
func withAdmin(t *testing.T, address string) (l *live, caddyfile func(more, global string) string) {
	l = newLive(t)
	off := l.caddyfile("", "")
	t.Cleanup(func() { // stopping Caddy leaves the admin endpoint open
		if err := l.load("{\n\tadmin off\n\tpersist_config off\n}\n"); err != nil {
			t.Error(err)
		}
	})
	if !strings.Contains(off, "admin off") {
		t.Fatal("the configuration does not say what the admin endpoint is")
	}
	return l, func(more, global string) string {
		return strings.Replace(l.caddyfile(more, global), "admin off", "admin "+address, 1)
	}
}

// answer is one of the admin endpoint.
type answer struct {
	status int
	header http.Header
	body   string
	keySet
	Error string
}

// ask makes one request to the admin endpoint, on a connection of its own: one
// that is kept may be to an endpoint that is going away.
func (l *live) ask(address, method, path, body string, header ...string) answer {
	l.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var res *http.Response
	var err error
	for range 5 { // see browser.do
		req, bad := http.NewRequest(method, "http://"+address+path, strings.NewReader(body))
		if bad != nil {
			l.t.Fatal(bad)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
			if header[i] == "Host" {
				req.Host = header[i+1]
			}
		}
		if res, err = client.Do(req); err == nil {
			break
		}
	}
	if err != nil {
		l.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, body: string(text)}
	if err := json.Unmarshal(text, &a); err != nil && res.Header.Get("Content-Type") == "application/json" {
		l.t.Errorf("%s %s: %v in %q", method, path, err, text)
	}
	return a
}

func TestAdminKeys(t *testing.T) {
	address := "localhost:" + freePort(t)
	l, config := withAdmin(t, address)
	l.mustLoad(config("", ""))
	published := func() string { return l.browser().get("/.well-known/portalgate/jwks.json").body }
	const keys, rotate = "/portalgate/main/keys", "/portalgate/main/keys/rotate"

	first := l.ask(address, "GET", keys, "")
	if first.status != 200 || len(first.Keys) != 2 || first.Keys[0].Role != "next" || first.Keys[1].Since.IsZero() || first.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("GET %s = %d %v %s", keys, first.status, first.header, first.body)
	}
	for _, k := range first.Keys {
		if !strings.Contains(published(), k.ID) {
			t.Errorf("key %s is listed and not published", k.ID)
		}
	}
	for _, tc := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		says                     string
	}{
		{"a gate that is not there", "GET", "/portalgate/other/keys", "", nil, 404, `there is no gate "other"; there are: main`},
		{"no gate", "GET", "/portalgate/keys", "", nil, 404, ""},
		{"another thing", "GET", "/portalgate/main/secret", "", nil, 404, ""},
		{"a dotted path", "GET", "/portalgate/../portalgate/main/keys/x", "", nil, 404, ""},
		{"changing what is read", "POST", keys, "", nil, 405, "takes GET only"},
		{"reading what changes", "GET", rotate, "", nil, 405, "takes POST only"},
		{"deleting", "DELETE", rotate, "", nil, 405, "takes POST only"},
		{"too soon", "POST", rotate, "", nil, 409, "a rotation is possible from "},
		{"too soon, said as JSON", "POST", rotate, `{"compromised":false}`, nil, 409, "a rotation is possible from "},
		{"a slip of the pen", "POST", rotate, `{"compromise":true}`, nil, 400, `unknown field "compromise"`},
		{"a word", "POST", rotate, `{"compromised":"yes"}`, nil, 400, "reading the request: "},
		{"no JSON", "POST", rotate, `compromised=true`, nil, 400, "reading the request: "},
		{"half of it", "POST", rotate, `{"compromised":true`, nil, 400, "reading the request: "},
		{"more than one", "POST", rotate, `{"compromised":true} {}`, nil, 400, "more than one value"},
		{"a list", "POST", rotate, `[{"compromised":true}]`, nil, 400, "reading the request: "},
		{"too long", "POST", rotate, `{"compromised":` + strings.Repeat(" ", 8<<10) + `true}`, nil, 413, "too large"},
		// A page in the operator's browser must not reach the endpoint; Caddy
		// sees to it, and ours is no way around.
		{"a page of another site", "POST", rotate, `{"compromised":true}`, []string{"Origin", "https://evil.example"}, 403, "not allowed"},
		{"a page that hides where it is from", "POST", rotate, `{"compromised":true}`, []string{"Origin", "null"}, 400, ""},
		{"a name that points here", "POST", rotate, `{"compromised":true}`, []string{"Host", "evil.example"}, 403, "host not allowed"},
	} {
		a := l.ask(address, tc.method, tc.path, tc.body, tc.header...)
		if a.status != tc.status || !strings.Contains(a.Error, tc.says) {
			t.Errorf("%s: %d %q, want %d %q", tc.name, a.status, a.body, tc.status, tc.says)
		}
		if tc.status == 405 && a.header.Get("Allow") == "" {
			t.Errorf("%s: no Allow", tc.name)
		}
	}
	if now := l.ask(address, "GET", keys, ""); now.body != first.body {
		t.Errorf("a refused request changed the keys: %s, and before %s", now.body, first.body)
	}

	b := l.browser()
	b.signIn(ada)
	a := l.ask(address, "POST", rotate, `{"compromised":true}`)
	if a.status != 200 || len(a.Keys) != 2 {
		t.Fatalf("POST %s = %d %s", rotate, a.status, a.body)
	}
	for i, k := range a.Keys {
		if set := published(); !strings.Contains(set, k.ID) || strings.Contains(set, first.Keys[i].ID) {
			t.Errorf("after it, published is %s", set)
		}
	}
	b.isSignedIn()
}

// The admin endpoint changes hands at every reload: the new configuration's
// takes over before its gates are provisioned, and stays where the load is
// refused, although nothing of that configuration ever runs. Whoever
// asks gets the gate that is running, always.
func TestAdminReachesTheRunningGate(t *testing.T) {
	address := "localhost:" + freePort(t)
	l, config := withAdmin(t, address)
	good := config("", "")
	const keys, rotate = "/portalgate/main/keys", "/portalgate/main/keys/rotate"
	reaches := func(when string) {
		t.Helper()
		a := l.ask(address, "POST", rotate, `{"compromised":true}`)
		set := l.browser().get("/.well-known/portalgate/jwks.json").body
		if a.status != 200 || len(a.Keys) != 2 || !strings.Contains(set, a.Keys[1].ID) {
			t.Errorf("%s: %d %s, published is %s", when, a.status, a.body, set)
		}
		if a := l.ask(address, "GET", "/portalgate/renamed/keys", ""); a.status != 404 || !strings.Contains(a.Error, "there are: main") {
			t.Errorf("%s: a gate that does not run is reached: %d %s", when, a.status, a.body)
		}
	}
	l.mustLoad(good)
	reaches("first")
	for range 2 {
		l.mustLoad(config("session {\n\tidle 45m\n}", ""))
		reaches("after a reload")
		for name, broken := range map[string]string{
			"its gate":       strings.Replace(good, "clients.csv", "none.csv", 1),
			"its gate twice": strings.Replace(renamed(good), "clients.csv", "none.csv", 1),
			"its name":       renamed(good),
			"another app":    config("", "servers {\n\ttrusted_proxies static nonsense\n}"),
		} {
			if err := l.load(broken); err == nil {
				t.Fatalf("loaded, although %s is broken", name)
			}
			reaches("after a load refused for " + name)
		}
		l.mustLoad(good)
		reaches("after a good one")
	}

	// Gone, under a new name, and back.
	l.mustLoad("{\n\tadmin " + address + "\n\tpersist_config off\n}\n")
	if a := l.ask(address, "GET", keys, ""); a.status != 404 || !strings.Contains(a.Error, "there is no gate") {
		t.Errorf("without a gate: %d %s", a.status, a.body)
	}
	l.mustLoad(strings.Replace(renamed(good), "main.db", "renamed.db", 1))
	if a := l.ask(address, "GET", keys, ""); a.status != 404 || !strings.Contains(a.Error, "there are: renamed") {
		t.Errorf("renamed: %d %s", a.status, a.body)
	}
	if a := l.ask(address, "GET", "/portalgate/renamed/keys", ""); a.status != 200 {
		t.Errorf("renamed: %d %s", a.status, a.body)
	}
	l.mustLoad(good)
	reaches("back")
}

// A store that does not answer is no reason to say that nothing was done. What
// is wrong with it is for the log, not for whoever asks.
func TestAdminStoreUnknown(t *testing.T) {
	address := "localhost:" + freePort(t)
	l, config := withAdmin(t, address)
	l.mustLoad(config("", ""))
	if err := l.runtime().Close(); err != nil {
		t.Fatal(err)
	}
	for _, a := range []answer{
		l.ask(address, "GET", "/portalgate/main/keys", ""),
		l.ask(address, "POST", "/portalgate/main/keys/rotate", `{"compromised":true}`),
	} {
		if a.status != http.StatusServiceUnavailable || !strings.Contains(a.Error, "the store does not answer") || strings.Contains(a.body, "closed") {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
}

// printed runs one of our commands and returns what it says where.
func printed(t *testing.T, args ...string) (stdout, stderr string, ok bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"portalgate"}, args...)...)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "PORTALGATE_TEST_AS_COMMAND=1", "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	ok = cmd.Run() == nil
	return out.String(), err.String(), ok
}

func TestKeysCommand(t *testing.T) {
	dir, err := os.MkdirTemp("", "admin") // a socket's path may have 108 characters
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, address := range []string{"localhost:" + freePort(t), "unix/" + filepath.Join(dir, "s")} {
		t.Run(strings.Split(address, "/")[0], func(t *testing.T) {
			l, config := withAdmin(t, address)
			l.mustLoad(config("", ""))
			before := l.runtime()
			keys, said, ok := printed(t, "keys", "--address", address)
			lines := strings.Split(strings.TrimSuffix(keys, "\n"), "\n")
			if !ok || said != "" || len(lines) != 2 || !strings.HasPrefix(lines[0], "next ") || !strings.Contains(lines[1], "signs since 20") {
				t.Fatalf("keys: %t, %q, %q", ok, keys, said)
			}
			keys, said, ok = printed(t, "keys", "rotate", "--address", address)
			if ok || keys != "" || !strings.Contains(said, "a rotation is possible from 20") {
				t.Errorf("keys rotate: %t, %q, %q", ok, keys, said)
			}
			keys, said, ok = printed(t, "keys", "rotate", "--compromised", "--gate", "main", "--address", address)
			if !ok || said != "all keys are new, and the old ones are no longer published\n" || strings.Count(keys, "\n") != 2 {
				t.Errorf("keys rotate --compromised: %t, %q, %q", ok, keys, said)
			}
			list, _, _ := printed(t, "keys", "--address", address)
			if id := strings.Fields(lines[1])[1]; list != keys || strings.Contains(list, id) {
				t.Errorf("keys afterwards: %q, said before %q", list, keys)
			}
			if l.runtime() != before {
				t.Error("a command loaded a configuration")
			}
		})
	}
}

// Whoever mistypes, or has no gate running, learns what to do about it.
func TestKeysCommandErrors(t *testing.T) {
	address := "localhost:" + freePort(t)
	l, config := withAdmin(t, address)
	l.mustLoad(config("", ""))
	nobody := "localhost:" + freePort(t)
	portal := strings.TrimPrefix(l.portal, "http://")
	for _, tc := range []struct {
		name string
		args []string
		says string
	}{
		{"another gate", []string{"keys", "--address", address, "--gate", "other"}, `there is no gate "other"; there are: main`},
		{"no name", []string{"keys", "--address", address, "--gate", ""}, `gate name is ""; write`},
		{"a path for a name", []string{"keys", "--address", address, "--gate", "main/../x"}, `gate name is "main/../x"; write`},
		{"nobody there", []string{"keys", "--address", nobody}, "nothing answers at " + nobody + " ("},
		{"no socket there", []string{"keys", "--address", "unix//nowhere/s"}, "nothing answers at unix//nowhere/s ("},
		{"the portal", []string{"keys", "--address", portal}, "what answers at " + portal + " is not the admin API"},
		{"no address", []string{"keys", "--address", "a:1-2"}, "nothing answers at a:1-2 ("},
		{"a word too many", []string{"keys", "rotate", "now", "--address", address}, "unknown command"},
	} {
		out, said, ok := printed(t, tc.args...)
		if ok || out != "" || !strings.Contains(said, tc.says) || strings.Contains(said, "HTTP ") || strings.Contains(said, "performing") {
			t.Errorf("%s: %t, %q, %q; want %q", tc.name, ok, out, said, tc.says)
		}
	}
}
