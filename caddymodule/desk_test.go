// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/staff"
)

// TestDesk asks the desk for what it has and has not. The rows C02 are pages of
// other sites: in the browser of one of the staff, who is known by certificate
// or password, they must not be able to make a PIN, and by a name that was made
// to point here they must not be able to read one.
func TestDesk(t *testing.T) {
	o := newOffice(t)
	b := o.visitor("")
	desk := "http://basic.localhost:" + o.desks
	const pins, good = "/api/v1/pins", `{"email":"ada@example.com","verified_by":"called back"}`
	for _, tc := range []struct {
		name, path, body string
		more             []string
		status           int
		says             string
	}{
		{"not on file", pins, `{"email":"eve@example.com","verified_by":"x"}`, nil, 404, "not-on-file"},
		{"no address", pins, `{"email":"ada","verified_by":"x"}`, nil, 404, "not-on-file"},
		{"nobody named", pins, `{"verified_by":"x"}`, nil, 422, `"field":"email"`},
		{"not verified", pins, `{"email":"ada@example.com"}`, nil, 422, "First make sure who is calling"},
		{"nothing", pins, ``, nil, 422, `"field":"email"`},
		{"somebody else's name (mass assignment)", pins, `{"email":"ada@example.com","verified_by":"x","by":"boss"}`, nil, 400, "unknown field"},
		{"a PIN of their choosing (A07)", pins, `{"email":"ada@example.com","verified_by":"x","pin":"123456"}`, nil, 400, "unknown field"},
		{"many at once", pins, "[" + good + "]", nil, 400, "cannot be read"},
		{"two", pins, good + good, nil, 400, "more than one value"},
		{"too much", pins, `{"email":"` + strings.Repeat("a", 17<<10) + `"}`, nil, 413, "too-large"},
		{"no such client", "/api/v1/clients/c-eve/pin", `{"verified_by":"x"}`, nil, 404, "not-on-file"},
		{"no id", "/api/v1/clients/..%2f..%2fpins/pin", `{"verified_by":"x"}`, nil, 404, ""},
		{"nothing there", "/api/v1/other", good, nil, 404, "problem:address"},
		{"a crooked path", "/api//v1/pins", good, nil, 404, "problem:address"},
		{"a method not taken", "/api/v1/pins", good, []string{"method", "PUT"}, 405, "problem:method"},
		{"C02 a form", pins, "email=ada@example.com&verified_by=x", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "application/json"},
		{"C02 text that is JSON", pins, good, []string{"Content-Type", "text/plain"}, 415, "application/json"},
		{"C02 parts", pins, good, []string{"Content-Type", "multipart/form-data; boundary=x"}, 415, "application/json"},
		{"C02 another site", pins, good, []string{"Origin", "https://evil.example"}, 403, "problem:origin"},
		{"C02 another site, by Sec-Fetch-Site", pins, good, []string{"Sec-Fetch-Site", "cross-site"}, 403, "problem:origin"},
		{"C02 a sibling", pins, good, []string{"Sec-Fetch-Site", "same-site"}, 403, "problem:origin"},
		{"C02 null", pins, good, []string{"Origin", "null"}, 403, "problem:origin"},
		{"unlocking by a form", "/api/v1/clients/c-ada/unlock", "", []string{"Content-Type", "text/plain"}, 415, "application/json"},
		{"another method in a header", "/api/v1/clients/c-ada/unlock", "{}", []string{"X-HTTP-Method-Override", "DELETE"}, 204, ""},
		{"a PIN", pins, good, nil, 200, `"pin":"`},
		{"a PIN by id", "/api/v1/clients/c-grace/pin", `{"verified_by":"x"}`, nil, 200, `"client":"c-grace"`},
	} {
		status, body := b.post(desk+tc.path, tc.body, append([]string{"basic", "desk"}, tc.more...)...)
		if status != tc.status || !strings.Contains(body, tc.says) {
			t.Errorf("%s: %d %s, want %d with %q", tc.name, status, body, tc.status, tc.says)
		}
	}
	// What the desk told is typed.
	_, body := b.post(desk+pins, good, "basic", "desk")
	var told staff.Told
	if err := json.Unmarshal([]byte(body), &told); err != nil {
		t.Fatal(err)
	}
	client := o.browser()
	client.send(client.get(told.Page), "/sign-in/pin", "email", told.Email, "pin", told.PIN)
	client.isSignedIn()

	// A site without a name answers to every name.
	nameless := "http://127.0.0.1:" + o.nameless()
	for host, want := range map[string]int{
		"127.0.0.1": 200, "localhost": 200, "evil.example": 421, "192.0.2.7": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example:80": 421,
	} {
		if status, body := b.at(nameless, "basic", "desk", "Host", host, "Origin", "http://"+host); status != want {
			t.Errorf("C02 rebinding, Host %s: %d %s, want %d", host, status, body, want)
		}
	}
}

// TestWhatStaffSearchForIsInNoLog: the console asks for names and addresses in the
// query, as every search form does, and the site has an access log.
func TestWhatStaffSearchForIsInNoLog(t *testing.T) {
	o := newOffice(t)
	desk := "http://basic.localhost:" + o.desks
	for _, path := range []string{"/?q=zelda@example.com", "/api/v1/clients?email=zelda@example.com", "/card"} {
		if status, body := o.visitor("").post(desk+path, "", "basic", "desk", "method", "GET"); status != 200 {
			t.Fatalf("%s: %d %s", path, status, body)
		}
	}
	// The access log has a request once its answer has left, a moment later.
	var log []byte
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n := 0; !strings.Contains(string(log), "/card\",") || !strings.Contains(string(log), "http.log.access"); n++ {
		var err error
		if log, err = os.ReadFile(o.log); err != nil || n > 2000 {
			t.Fatalf("%v: the log is %s", err, log)
		}
		<-tick.C
	}
	if strings.Count(string(log), "staff_request") != 3 {
		t.Fatalf("the log is %s", log)
	}
	if strings.Contains(string(log), "zelda") {
		t.Errorf("the log has what was searched for: %s", log)
	}
}

// TestC01_TenPINsAMinute: whoever gets hold of the desk does not make a PIN for
// every client; and each request is written down, with who and from where.
func TestC01_TenPINsAMinute(t *testing.T) {
	o := newOffice(t)
	desk := "http://basic.localhost:" + o.desks
	var pins []string
	for i := range 12 {
		status, body := o.visitor("").at(desk, "basic", "desk")
		want := 200
		if i >= 10 {
			want = 429
		}
		if status != want {
			t.Fatalf("PIN %d: %d %s, want %d", i+1, status, body, want)
		}
		var told staff.Told
		if json.Unmarshal([]byte(body), &told) == nil && told.PIN != "" {
			pins = append(pins, told.PIN, strings.Split(told.Text, "\n")[2])
		}
	}
	if status, _ := o.visitor("desk").at("https://desk.localhost:" + o.tls); status != 200 {
		t.Errorf("another of the staff: %d", status)
	}
	o.visitor("").at(desk, "basic", "cook")
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(o.log)
	if err != nil {
		t.Fatal(err)
	}
	for _, pin := range pins {
		if strings.Contains(string(log), `"`+pin+`"`) || len(pin) > 6 && strings.Contains(string(log), pin) {
			t.Error("a PIN stands in the log (P10)")
		}
	}
	for _, want := range []string{
		`"msg":"pin_issued"`, `"by":"desk"`, `"verified_by":"called back"`, `"status":429`,
		`"msg":"staff_request"`, `"route":"POST /api/v1/pins","client":"c-ada","status":200,"from":"127.0.0.1"`,
		`"msg":"staff_refused"`, `"because":"not_allowed","claims":"cook"`,
	} {
		if !strings.Contains(string(log), want) {
			t.Errorf("the log has no %s", want)
		}
	}
}

// TestC08_OperatorIsWrittenDown: whoever has the server can do at the command line
// what staff do at the desk, when their own sign-in is down or taken over. It is in
// the audit log before it is done.
func TestC08_OperatorIsWrittenDown(t *testing.T) {
	address := "localhost:" + freePort(t)
	l, config := withAdmin(t, address)
	l.mustLoad(config("sign_in magic_link\nsign_in pin", ""))
	for _, args := range [][]string{
		{"pin", "--email", ada, "--verified-by", "called back", "--address", address},
		{"unlock", "--id", "c-ada", "--address", address},
		{"pin", "--email", "eve@example.com", "--verified-by", "x", "--address", address}, // nobody on file
		{"keys", "rotate", "--address", address},
	} {
		printed(t, args...)
	}
	out, said, ok := printed(t, "audit", "export", "--json", "--address", address)
	if !ok {
		t.Fatalf("%q %q", out, said)
	}
	var what []string
	for line := range strings.Lines(out) {
		var e audit.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		if e.By == "operator" && strings.HasSuffix(e.What, "_asked") {
			what = append(what, e.What)
		}
	}
	if !slices.Equal(what, []string{"keys_rotate_asked", "pin_asked", "unlock_asked", "pin_asked"}) {
		t.Errorf("the operator has done %q", what)
	}
}

// TestPINCommand: a PIN is made on the command line and typed; without
// knowing who calls there is none; and Caddy logs nothing of it.
func TestPINCommand(t *testing.T) {
	address := "localhost:" + freePort(t)
	l, config := withAdmin(t, address)
	logFile := l.dir + "/caddy.log"
	l.mustLoad(config("sign_in magic_link\nsign_in pin", "log {\noutput file "+logFile+"\nlevel DEBUG\n"+filtered+"\n}"))
	for _, tc := range []struct {
		name string
		args []string
		says string
	}{
		{"nobody named", []string{"pin", "--address", address}, "say whose PIN it is"},
		{"nobody to ask", []string{"pin", "--email", ada, "--address", address}, "say how you made sure who is calling"},
		{"not on file", []string{"pin", "--email", "eve@example.com", "--verified-by", "x", "--address", address}, "not on file"},
		{"too long", []string{"pin", "--email", ada, "--verified-by", strings.Repeat("x", 201), "--address", address}, "at most 200 characters"},
		{"unlock nobody", []string{"unlock", "--address", address}, "say whom: "},
		{"unlock two", []string{"unlock", "--email", ada, "--id", "c-ada", "--address", address}, "say whom: "},
		{"unlock a stranger", []string{"unlock", "--id", "c-eve", "--address", address}, "not on file"},
	} {
		out, said, ok := printed(t, tc.args...)
		if ok || out != "" || !strings.Contains(said, tc.says) {
			t.Errorf("%s: %t %q %q, want %q", tc.name, ok, out, said, tc.says)
		}
	}
	out, said, ok := printed(t, "pin", "--email", ada, "--verified-by", "called back", "--address", address, "--json")
	var told staff.Told
	if err := json.Unmarshal([]byte(out), &told); !ok || said != "" || err != nil || len(told.PIN) != 6 {
		t.Fatalf("pin --json: %t %q %q %v", ok, out, said, err)
	}
	out, said, ok = printed(t, "pin", "--email", ada, "--verified-by", "called back", "--address", address)
	lines := strings.Split(out, "\n")
	if !ok || len(lines) != 7 || len(lines[0]) != 7 || !strings.HasPrefix(lines[4], "Type the PIN: ") || strings.Contains(said, lines[0]) {
		t.Fatalf("pin: %t %q %q", ok, out, said)
	}
	b := l.browser()
	p := b.send(b.get("/sign-in/pin"), "/sign-in/pin", "email", ada, "pin", told.PIN)
	if p.status != 422 {
		t.Errorf("the PIN that another has replaced: %d", p.status)
	}
	b.send(p, "/sign-in/pin", "email", ada, "pin", lines[0]) // with the space
	b.isSignedIn()
	if out, said, ok := printed(t, "unlock", "--email", ada, "--address", address); !ok || out != "" || said != "client c-ada can use PINs and mail codes, ask for links, and is sent mail\n" {
		t.Errorf("unlock: %t %q %q", ok, out, said)
	}

	// On a terminal it asks.
	if script, err := exec.LookPath("script"); err == nil {
		cmd := exec.CommandContext(t.Context(), script, "-qec", os.Args[0]+" portalgate pin --email "+ada+" --address "+address, "/dev/null")
		cmd.Env = append(os.Environ(), "PORTALGATE_TEST_AS_COMMAND=1", "HOME="+t.TempDir())
		cmd.Stdin = strings.NewReader("knew the voice\n")
		got, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(got), "do you know who is calling?") || !strings.Contains(string(got), "Type the PIN: ") {
			t.Errorf("on a terminal: %v %s", err, got)
		}
	} else {
		t.Error("no script(1), which has every Debian")
	}
	log, err := os.ReadFile(logFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{`"` + told.PIN + `"`, lines[0], lines[4], ada} {
		if strings.Contains(string(log), secret) {
			t.Errorf("%.3s... stands in the log (P10)", secret)
		}
	}
	for _, want := range []string{`"by":"operator"`, `"verified_by":"knew the voice"`, `/portalgate/main/pins`} {
		if !strings.Contains(string(log), want) {
			t.Errorf("the log has no %s", want)
		}
	}
}
