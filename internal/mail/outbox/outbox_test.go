// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/mail"
)

var _ mail.Sender = (*Box)(nil)

func message(subject string) mail.Message {
	return mail.Message{
		ID: "m1@willow.example", FromName: "Willow Creek", From: "portal@willow.example", To: "ada@example.com",
		Subject: subject, Text: "the text of " + subject, HTML: "<!doctype html><html><head><title>x</title></head><body><p>the page of " + subject + "</p></body></html>",
	}
}

func send(t *testing.T, b *Box, m mail.Message) Entry {
	t.Helper()
	if _, err := b.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return b.Messages()[0]
}

func get(b *Box, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func TestNewestAreKept(t *testing.T) {
	b := New(3)
	if got := b.Messages(); got == nil || len(got) != 0 {
		t.Errorf("Messages() of an empty box = %v, want an empty list", got)
	}
	for i := range 5 {
		send(t, b, message(fmt.Sprint(i)))
	}
	var got string
	for _, e := range b.Messages() {
		got += e.Subject
	}
	if got != "432" {
		t.Errorf("subjects = %q, want the newest three, newest first", got)
	}
}

func TestSendAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := New(0)
	if _, err := b.Send(ctx, message("x")); err == nil || len(b.Messages()) != 0 {
		t.Errorf("Send = %v with %d mails in the box, want an error and none", err, len(b.Messages()))
	}
}

func TestConcurrentUse(t *testing.T) {
	b := New(10)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if _, err := b.Send(context.Background(), message("x")); err != nil {
					t.Error(err)
				}
				get(b, "/")
			}
		})
	}
	wg.Wait()
	if got := len(b.Messages()); got != 10 {
		t.Errorf("%d mails, want 10", got)
	}
}

func TestMessagesJSON(t *testing.T) {
	b := New(0)
	if body := strings.TrimSpace(get(b, "/messages.json").Body.String()); body != "[]" {
		t.Errorf("an empty box says %s, want []", body)
	}
	b.now = func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600)) }
	send(t, b, message("first"))
	e := send(t, b, message("second"))

	w := get(b, "/messages.json")
	var got []map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"id": e.ID, "at": "2026-03-01T11:00:00Z", "from": "Willow Creek <portal@willow.example>", "to": "ada@example.com",
		"subject": "second", "text": "the text of second", "html": message("second").HTML,
	}
	if len(got) != 2 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
		t.Errorf("messages.json = %v, want %v first of two", got, want)
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/json" {
		t.Errorf("Content-Type = %q", ct)
	}
}

func TestPages(t *testing.T) {
	b := New(0)
	empty := get(b, "/").Body.String()
	if !strings.Contains(empty, "No mail yet") || strings.Contains(empty, "refresh") {
		t.Errorf("an empty mailbox does not say so, or reloads by itself:\n%s", empty)
	}
	old := send(t, b, message("old"))
	e := send(t, b, message("new"))
	for _, tc := range []struct {
		path   string
		status int
		has    []string
		hasNot string
	}{
		{"/", 200, []string{"ada@example.com", `href="./m/` + old.ID, `<iframe src="./m/` + e.ID + `/html"`, "Check for new mail"}, "refresh"},
		{"/m/" + old.ID, 200, []string{`<iframe src="../m/` + old.ID + `/html"`, "Willow Creek &lt;portal@willow.example&gt;"}, "the text of"},
		{"/m/" + old.ID + "?plain", 200, []string{"<pre tabindex=\"0\">the text of old</pre>"}, "<iframe"},
		{"/m/" + old.ID + "/html", 200, []string{`<head><base target="_blank">`, "the page of old"}, ""},
		{"/m/none", 404, []string{"not here any more", `href="../m/` + e.ID}, "<iframe"},
		{"/m/none/html", 404, nil, ""},
		{"/other", 404, nil, ""},
	} {
		w := get(b, tc.path)
		body := w.Body.String()
		if w.Code != tc.status {
			t.Errorf("GET %s = %d, want %d", tc.path, w.Code, tc.status)
		}
		for _, s := range tc.has {
			if !strings.Contains(body, s) {
				t.Errorf("GET %s has no %q:\n%s", tc.path, s, body)
			}
		}
		if tc.hasNot != "" && strings.Contains(body, tc.hasNot) {
			t.Errorf("GET %s has %q", tc.path, tc.hasNot)
		}
	}
}

func TestHeaders(t *testing.T) {
	b := New(0)
	e := send(t, b, message("x"))
	for _, tc := range []struct{ path, policy string }{
		{"/", pagePolicy},
		{"/m/" + e.ID, pagePolicy},
		{"/m/" + e.ID + "/html", mailPolicy},
		{"/m/none", pagePolicy},
		{"/messages.json", pagePolicy},
		{"/other", pagePolicy},
	} {
		h := get(b, tc.path).Header()
		for name, want := range map[string]string{
			"Content-Security-Policy":      tc.policy,
			"Cache-Control":                "no-store",
			"Referrer-Policy":              "no-referrer",
			"X-Content-Type-Options":       "nosniff",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("GET %s: %s = %q, want %q", tc.path, name, got, want)
			}
		}
	}
	for _, policy := range []string{pagePolicy, mailPolicy} {
		if strings.Contains(policy, "script") || !strings.Contains(policy, "default-src 'none'") {
			t.Errorf("the policy %q lets scripts run", policy)
		}
	}
	if !strings.Contains(get(b, "/").Body.String(), "<style>"+pageCSS+"</style>") {
		t.Error("the page's style is not the one its policy names")
	}
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST / = %d, want 405", w.Code)
	}
}

// A mail is other people's text, and the mailbox is full of live links: what
// one mail says must not act in the page that shows them all.
func TestE14_InboxEscapes(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=//evil>`
	m := message(evil)
	m.FromName, m.To, m.Text = evil, evil, "</pre>"+evil
	b := New(0)
	e := send(t, b, m)
	for _, path := range []string{"/", "/m/" + e.ID, "/m/" + e.ID + "?plain", "/m/" + evil} {
		body := get(b, strings.NewReplacer("<", "%3C", ">", "%3E", `"`, "%22", " ", "%20", "/img", "img").Replace(path)).Body.String()
		if strings.Contains(body, "<script") || strings.Contains(body, "<img") || strings.Count(body, "</pre>") > 1 {
			t.Errorf("GET %s shows markup of the mail:\n%s", path, body)
		}
	}
}
