// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/internal/testgate"
)

// TestWalkByPIN is a client on the phone with the practice: staff make a PIN, on
// the command line or through the API, and read it out; the client types it as
// it was read, or in one piece.
func TestWalkByPIN(t *testing.T) {
	t.Parallel()
	g := testgate.Start(t, testgate.Options{Clients: person, Gate: "sign_in magic_link\n\t\tsign_in pin", Desk: true})
	for name, tc := range map[string]struct {
		email, greeting string
		issue           func(t *testing.T, g *testgate.Gate, email string) string
		typed           func(pin string) string
	}{
		"by the command line, with a space": {"ada@example.com", "Hello Ada Lovelace", issueByCommand, func(p string) string { return p[:3] + " " + p[3:] }},
		"by the API, in one piece":          {"bob@example.com", "Hello Bob Stone", issueByDesk, func(p string) string { return p }},
	} {
		t.Run(name, func(t *testing.T) {
			pin := tc.issue(t, g, tc.email)
			b := newProfile(t).first
			b.visit(g.URL + "/")
			b.sees("How would you like to sign in?")
			b.press("I have a PIN")
			b.sees("Sign in via PIN")
			b.fill("email", tc.email)
			b.fill("pin", tc.typed(pin))
			b.press("Sign in")
			b.sees(tc.greeting)
			if said := b.complaints(); len(said) > 0 {
				t.Errorf("the browser complains: %q", said)
			}
			if strings.Contains(g.Log(), pin) {
				t.Error("the gate's log holds the PIN")
			}
		})
	}
}

func issueByCommand(t *testing.T, g *testgate.Gate, email string) string {
	t.Helper()
	cmd := g.Command("portalgate", "pin", "--email", email, "--verified-by", "called back", "--json",
		"--address", strings.TrimPrefix(g.Admin, "http://"))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return pinOf(t, out)
}

func issueByDesk(t *testing.T, g *testgate.Gate, email string) string {
	t.Helper()
	req, err := http.NewRequest("POST", g.Desk+"/api/v1/pins", strings.NewReader(`{"email":"`+email+`","verified_by":"called back"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("desk", "desk")
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var told json.RawMessage
	if err := json.NewDecoder(res.Body).Decode(&told); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("the desk answers %d, %v", res.StatusCode, err)
	}
	return pinOf(t, told)
}

func pinOf(t *testing.T, told []byte) string {
	t.Helper()
	var answer struct {
		PIN string `json:"pin"`
	}
	if err := json.Unmarshal(told, &answer); err != nil || len(answer.PIN) != 6 {
		t.Fatalf("no PIN was told: %v", err)
	}
	return answer.PIN
}
