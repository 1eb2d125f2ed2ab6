// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mailgun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/mail"
)

func message() mail.Message {
	return mail.Message{
		ID: "m1@willow.example", FromName: "Willow Creek, Counseling", From: "portal@willow.example", To: "ada@example.com",
		Subject: "Sign in to your Client Portal", Text: "Sign in:\nhttps://portal.example.com/sign-in/link?t=A.B\n", HTML: "<p>Sign in</p>",
		Kind: "sign-in", Ref: "sealed-reference",
	}
}

// api answers as Mailgun's does.
func apiServer(t *testing.T, answer http.HandlerFunc) *Sender {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	s, err := New(Options{Domain: "mg.willow.example", Key: "key-secret", Base: server.URL + "/v3"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const accepted = `{"id":"<20261126120000.abc@mg.willow.example>","message":"Queued. Thank you."}`

// TestT07_MailProvider: what a mail service is told stays with it for years, and
// a link that it rewrites for counting is known to it before it is to the
// client. So: no tracking at all, TLS to the next server or no mail, and nothing
// beside the mail itself that names anybody.
func TestT07_MailProvider(t *testing.T) {
	var path, user, key string
	var form url.Values
	s := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.String()
		user, key, _ = r.BasicAuth()
		if err := r.ParseMultipartForm(1 << 20); err != nil {
			t.Error(err)
		}
		form = r.Form
		io.WriteString(w, accepted)
	})
	answer, err := s.Send(t.Context(), message())
	if err != nil {
		t.Fatal(err)
	}
	if want := "Queued. Thank you. 20261126120000.abc@mg.willow.example"; answer != want {
		t.Errorf("the answer is %q, want %q", answer, want)
	}
	if path != "/v3/mg.willow.example/messages" || user != "api" || key != "key-secret" {
		t.Errorf("asked %s as %s", path, user)
	}
	want := url.Values{
		"from": {`"Willow Creek, Counseling" <portal@willow.example>`}, "to": {"ada@example.com"},
		"subject": {"Sign in to your Client Portal"}, "text": {message().Text}, "html": {message().HTML},
		"o:tracking": {"no"}, "o:tracking-clicks": {"no"}, "o:tracking-opens": {"no"}, "o:require-tls": {"true"},
		"o:tag": {"sign-in"}, "v:portalgate": {"sealed-reference"},
		"h:Message-Id": {"<m1@willow.example>"}, "h:Auto-Submitted": {"auto-generated"},
		"h:X-Auto-Response-Suppress": {"All"}, "h:References": {"<ref-m1@willow.example>"},
	}
	for name, values := range want {
		if !slices.Equal(form[name], values) {
			t.Errorf("%s is %q, want %q", name, form[name], values)
		}
	}
	for name, values := range form {
		if want[name] == nil {
			t.Errorf("%s: %q is more than is needed", name, values)
		}
		if name != "to" && strings.Contains(strings.Join(values, " "), "ada@") {
			t.Errorf("the address stands in %s as well", name)
		}
	}
}

// The answers that Mailgun documents, and what it does not answer.
func TestAnswers(t *testing.T) {
	for _, tc := range []struct {
		name    string
		status  int
		body    string
		refusal bool
		want    string // in the error
	}{
		{"taken", 200, accepted, false, ""},
		{"an address that is none", 400, `{"message":"'to' parameter is not a valid address. please check documentation"}`, true, "refused for good"},
		{"a sender that is none", 400, `{"message":"'from' parameter is not a valid address. please check documentation"}`, false, "answers 400"},
		{"a test account", 400, `{"message":"Sandbox subdomains are for test purposes only. Please add your own domain or add the address ada@example.com to authorized recipients."}`, false, "(an address)"},
		{"a wrong key", 401, `Forbidden`, false, "check api_key"},
		{"not paid", 402, `{"message":"Payment required"}`, false, "has to be paid"},
		{"the other region", 404, `{"message":"Mailgun Magnificent API"}`, false, "check domain mg.willow.example and region"},
		{"too many", 429, `{"message":"Too many requests"}`, false, "sends more than it may"},
		{"broken", 500, `{"message":"Internal Server Error"}`, false, "answers 500"},
		{"somebody else's page", 502, "<html>\r\nbad gateway for ada@example.com" + strings.Repeat("x", 1<<20), false, "answers 502"},
		{"not JSON", 200, "OK", false, "mailgun:"},
		{"no id", 200, `{"message":"Queued."}`, false, "names no mail"},
		{"sent elsewhere", 302, "", false, "answers 302"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "https://evil.example/")
				w.WriteHeader(tc.status)
				io.WriteString(w, tc.body)
			})
			_, err := s.Send(t.Context(), message())
			var refusal *mail.Refusal
			switch {
			case tc.want == "" && err != nil, tc.want != "" && err == nil:
				t.Fatalf("Send: %v", err)
			case err == nil:
			case errors.As(err, &refusal) != tc.refusal || !strings.Contains(err.Error(), tc.want):
				t.Errorf("Send: %v, want %q", err, tc.want)
			case strings.Contains(err.Error(), "ada@"), strings.Contains(err.Error(), "key-secret"), len(err.Error()) > 500:
				t.Errorf("the error holds too much: %v", err)
			}
		})
	}
}

// TestLostAnswer: Mailgun may have the mail, so it is no refusal.
func TestLostAnswer(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"cut":      func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"too late": func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			s := apiServer(t, answer)
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			_, err := s.Send(ctx, message())
			var refusal *mail.Refusal
			if err == nil || errors.As(err, &refusal) || strings.Contains(err.Error(), "ada@") {
				t.Errorf("Send: %v", err)
			}
		})
	}
}

func TestNew(t *testing.T) {
	for _, tc := range []struct {
		o          Options
		base, want string
	}{
		{Options{Domain: "mg.willow.example", Key: "k"}, "https://api.mailgun.net/v3", ""},
		{Options{Domain: "mg.willow.example", Key: "k", Region: "us"}, "https://api.mailgun.net/v3", ""},
		{Options{Domain: "mg.willow.example", Key: "k", Region: "eu"}, "https://api.eu.mailgun.net/v3", ""},
		{Options{Domain: "mg.willow.example", Key: "k", Base: "https://mail.example.com/v3/"}, "https://mail.example.com/v3", ""},
		{Options{Domain: "mg.willow.example", Key: "k", Region: "de"}, "", "region is"},
		{Options{Domain: "https://mg.willow.example", Key: "k"}, "", "domain is"},
		{Options{Domain: "mg.willow.example"}, "", "api_key"},
		{Options{Domain: "mg.willow.example", Key: "k", Base: "http://mail.example.com/v3"}, "", "api_base is"},
		{Options{Domain: "mg.willow.example", Key: "k", Base: "mail.example.com"}, "", "api_base is"},
	} {
		s, err := New(tc.o)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("New(%+v) = %v, want %q", tc.o, err, tc.want)
		} else if err == nil && s.client.APIBase() != tc.base {
			t.Errorf("New(%+v) asks %s, want %s", tc.o, s.client.APIBase(), tc.base)
		}
	}
	if text := fmt.Sprintf("%v", Options{Domain: "x"}); strings.Contains(text, "secret") {
		t.Error("printing options prints the key")
	}
}
