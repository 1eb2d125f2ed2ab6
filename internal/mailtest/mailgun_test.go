// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mailtest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/testgate"
)

// TestMailgun signs a client in through Mailgun's API, and lets Mailgun report
// that the mail bounced, once, and others that it did.
func TestMailgun(t *testing.T) {
	const key, signing = "key-for-sending", "key-for-signing"
	var mu sync.Mutex
	var sent []url.Values
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); r.URL.Path != "/v3/mg.willow.example/messages" || password != key || r.ParseMultipartForm(1<<20) != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, r.Form)
		fmt.Fprint(w, `{"id":"<1@mg.willow.example>","message":"Queued. Thank you."}`)
	}))
	t.Cleanup(api.Close)
	t.Setenv("MAILGUN_API_KEY", key)
	t.Setenv("MAILGUN_WEBHOOK_KEY", signing)
	g := testgate.Start(t, testgate.Options{Gate: "unknown_email reveal", Mail: `mail mailgun {
	domain mg.willow.example
	api_key {env.MAILGUN_API_KEY}
	from portal@mg.willow.example
	api_base ` + api.URL + `/v3
	webhook_key {env.MAILGUN_WEBHOOK_KEY}
}`})
	v := g.Visitor()
	ask(v, "ada@example.com")
	mails := func() []url.Values {
		mu.Lock()
		defer mu.Unlock()
		return sent
	}
	testgate.Wait(t, "the mail", func() bool { return len(mails()) > 0 })
	m := mails()[0]
	testgate.Wait(t, "that it was sent", func() bool {
		return strings.Contains(v.Get("/sign-in/code").Body, "Sent less than a minute ago.")
	})

	report := func(at time.Time, token, key string) int {
		h := hmac.New(sha256.New, []byte(key))
		fmt.Fprintf(h, "%d%s", at.Unix(), token)
		body := fmt.Sprintf(`{"signature":{"timestamp":"%d","token":"%s","signature":"%s"},"event-data":{"event":"failed","severity":"permanent",
			"recipient":"ada@example.com","delivery-status":{"code":550,"enhanced-code":"5.1.1"},"user-variables":{"portalgate":"%s"}}}`,
			at.Unix(), token, hex.EncodeToString(h.Sum(nil)), m.Get("v:portalgate"))
		res, err := http.Post(g.URL+"/sign-in/mailgun", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	now := time.Now()
	for name, got := range map[string]int{
		"forged": report(now, "1", "another key"),
		"old":    report(now.Add(-6*time.Minute), "2", signing),
	} {
		if got != http.StatusUnauthorized {
			t.Errorf("a report that is %s: %d, want 401", name, got)
		}
	}
	if strings.Contains(v.Get("/sign-in/code").Body, "did not take it") {
		t.Error("a refused report was believed")
	}
	if got := report(now, "3", signing); got != http.StatusOK {
		t.Errorf("a report: %d", got)
	}
	if got := report(now, "3", signing); got != http.StatusUnauthorized {
		t.Errorf("the same report again: %d, want 401", got)
	}
	if !strings.Contains(v.Get("/sign-in/code").Body, "Your mail service did not take it.") {
		t.Error("the page does not tell that the mail bounced")
	}
	log := g.Log()
	if !strings.Contains(log, "mail_bounced") {
		t.Error("the log does not tell that a mail bounced")
	}
	for name, secret := range map[string]string{"key": key, "signing key": signing, "address": "ada@example.com", "reference": m.Get("v:portalgate")} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds the %s", name)
		}
	}
	text := linkInMail.FindStringSubmatch(m.Get("text"))
	if text == nil {
		t.Fatalf("no link in %q", m.Get("text"))
	}
	v.Submit(v.Get(text[1]), "/sign-in/link")
	if !v.SignedIn() {
		t.Error("the link did not sign in")
	}
}
