// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/staff"
)

// listed is a configuration with another list of clients.
func listed(config, clients string) string {
	at := strings.Index(config, "clients file ")
	end := at + strings.IndexByte(config[at:], '\n')
	return string(caddyfile.Format([]byte(config[:at] + clients + config[end:])))
}

// TestClientsCommand keeps a list of clients from the command line: somebody who
// is added can sign in, and is out when a list that is imported says so.
func TestClientsCommand(t *testing.T) {
	address := "localhost:" + freePort(t)
	l, config := withAdmin(t, address)
	logFile := l.dir + "/caddy.log"
	l.mustLoad(listed(config("", "log {\noutput file "+logFile+"\nlevel DEBUG\n"+filtered+"\n}"), "clients managed"))
	run := func(wantOK bool, args ...string) (out, said string) {
		t.Helper()
		out, said, ok := printed(t, append([]string{"clients"}, append(args, "--address", address)...)...)
		if ok != wantOK {
			t.Fatalf("clients %q: %t, %q, %q", args, ok, out, said)
		}
		return out, said
	}
	if out, said := run(true, "list"); out != "" || said != "" {
		t.Errorf("an empty list: %q, %q", out, said)
	}
	if out, said := run(true, "add", "--email", "ada@example.com", "--name", "Ada Lovelace", "--id", "c-ada", "--phone", "+1 555 0100"); out != "c-ada\n" || said != "" {
		t.Errorf("add: %q, %q", out, said)
	}
	out, _ := run(true, "add", "--email", "zoe@example.com", "--name", "Zoë Müller", "--no-email", "--json")
	var zoe staff.Client
	if err := json.Unmarshal([]byte(out), &zoe); err != nil || len(zoe.ID) < 20 || !zoe.Access || zoe.EmailOK || zoe.Version != 1 {
		t.Errorf("add --json: %q", out)
	}
	for _, tc := range []struct{ says, args string }{
		{"the address is on file for c-ada", "add --email ADA@example.com"},
		{"id: is somebody's already", "add --email new@example.com --id c-ada"},
		{"email: does not look like an address", "add --email nonsense"},
		{"say whom to put on file", "add"},
		{"no such file", "import nowhere.csv"},
	} {
		if _, said := run(false, strings.Fields(tc.args)...); !strings.Contains(said, tc.says) {
			t.Errorf("clients %s: %q, want %q", tc.args, said, tc.says)
		}
	}
	if out, _ := run(true, "list", "MULL"); !strings.HasPrefix(out, zoe.ID+"  Zoë Müller  zoe@example.com  may sign in, gets no mail") {
		t.Errorf("list: %q", out)
	}
	b := l.browser()
	b.signIn("ada@example.com")

	out, _ = run(true, "export")
	if want := "\ufeffid,email,name,phone,language,portal_access,email_ok\n"; !strings.HasPrefix(out, want) || !strings.Contains(out, "c-ada,ada@example.com,Ada Lovelace,'+1 555 0100,,yes,yes\n") {
		t.Errorf("export: %q", out)
	}
	before := out
	l.write("list.csv", strings.Replace(before, ",yes,yes", ",no,yes", 1)+",new@example.com,New,,,yes,yes\n")
	file := l.dir + "/list.csv"
	if _, said := run(false, "import", file); !strings.Contains(said, "it would be: 1 new, 1 changed, 1 as before; 1 signed out") {
		t.Errorf("import: %q", said)
	}
	if _, said := run(true, "import", file, "--dry-run"); said != "it would be: 1 new, 1 changed, 1 as before; 1 signed out\n" {
		t.Errorf("import --dry-run: %q", said)
	}
	b.isSignedIn()
	out, _ = run(true, "import", file, "--yes", "--json")
	var report gate.ImportReport
	if err := json.Unmarshal([]byte(out), &report); err != nil || !report.Done || report.Added != 1 || report.Ended != 1 {
		t.Errorf("import --json: %q", out)
	}
	if p := b.get("/files"); strings.HasPrefix(p.body, "portal ") {
		t.Error("still signed in after the access was withdrawn")
	}
	l.write("list.csv", "id,email,name\nc-ada,nonsense,Ada\nc-x,zoe@example.com,X\n")
	if _, said := run(false, "import", file, "--yes"); !strings.HasPrefix(said, "line 2: email: does not look like an address\n") ||
		!strings.Contains(said, "nothing was changed; mend the list") {
		t.Errorf("a bad list: %q", said)
	}
	if out, _ := run(true, "export", "--json"); strings.Count(out, `"id":`) != 3 {
		t.Errorf("export --json: %q", out)
	}
	log, err := os.ReadFile(logFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"zoe@", "Lovelace", "Müller"} {
		if strings.Contains(string(log), name) {
			t.Errorf("%q stands in the log", name)
		}
	}
	for _, want := range []string{`"msg":"clients_imported"`, `"msg":"clients_exported"`, `"msg":"client_added"`, `"by":"operator"`} {
		if !strings.Contains(string(log), want) {
			t.Errorf("the log has no %s", want)
		}
	}

	tail, said, ok := printed(t, "audit", "tail", "-n", "100", "--address", address)
	for _, want := range []string{
		`"client_add_asked" client="` + zoe.ID + `"`, `"clients_import_try_asked"`, `"clients_import_tried"`,
		`"clients_import_asked"`, `"client_change_asked" client="c-ada"`, `"clients_imported"`,
	} {
		if !ok || !strings.Contains(tail, want) {
			t.Errorf("the audit log has no %q: %s\n%s", want, said, tail)
		}
	}

	// Where the list is a file it is only looked at.
	l.mustLoad(config("", ""))
	if _, said := run(false, "add", "--email", "x@example.com"); !strings.Contains(said, gate.ErrElsewhere.Error()) {
		t.Errorf("add to a file: %q", said)
	}
	if out, _ := run(true, "list", "hopper"); !strings.HasPrefix(out, "c-grace  ") {
		t.Errorf("list of a file: %q", out)
	}
	if out, _ := run(true, "export"); !strings.Contains(out, "c-grace,grace+clinic@gmail.com") {
		t.Errorf("export of a file: %q", out)
	}
}

// TestClientsHTTP asks a practice's own system, with a token from a file.
func TestClientsHTTP(t *testing.T) {
	l := newLive(t)
	var down atomic.Bool
	office := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case down.Load() || r.Header.Get("Authorization") != "Bearer office-1":
			w.WriteHeader(http.StatusForbidden)
		case strings.Contains(string(body), `"ada@example.com"`), strings.Contains(string(body), `"c-ada"`):
			io.WriteString(w, `{"client":{"id":"c-ada","email":"ada@example.com","name":"Ada","portal_access":true,"email_ok":true}}`)
		default:
			io.WriteString(w, `{"client":null}`)
		}
	}))
	defer office.Close()
	l.write("token", "office-1\n")
	l.mustLoad(listed(l.caddyfile("", ""), "clients http "+office.URL+"/portalgate {\ntoken {file."+l.dir+"/token}\n}"))
	b := l.browser()
	b.signIn("ada@example.com")
	b.isSignedIn()
	down.Store(true)
	b.isSignedIn() // for five minutes
	other := l.browser()
	p := other.send(other.get("/sign-in/magic-link"), "/sign-in/magic-link", "email", "eve@example.com")
	if p.status != http.StatusServiceUnavailable {
		t.Errorf("asked for a link while nobody can tell: %d", p.status)
	}
	for name, clients := range map[string]string{
		"no token": "clients http " + office.URL + " {\ntoken {file." + l.dir + "/none}\n}",
		"no URL":   "clients http {file." + l.dir + "/token} {\ntoken x\n}",
	} {
		err := l.load(listed(l.caddyfile("", ""), clients))
		if err == nil || !strings.Contains(err.Error(), "portalgate main: clients http: ") || strings.Contains(err.Error(), "office-1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
