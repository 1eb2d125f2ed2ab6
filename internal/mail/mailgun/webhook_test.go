// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mailgun

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/mail"
)

const signingKey = "key-for-webhooks"

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// report is one as Mailgun sends it, signed at a time.
func report(at time.Time, data string) string {
	h := hmac.New(sha256.New, []byte(signingKey))
	fmt.Fprintf(h, "%dtoken", at.Unix())
	return fmt.Sprintf(`{"signature":{"timestamp":"%d","token":"token","signature":"%s"},"event-data":%s}`,
		at.Unix(), hex.EncodeToString(h.Sum(nil)), data)
}

const failed = `{"event":"failed","severity":"permanent","timestamp":1795694399.5,"recipient":"ada@example.com",
	"delivery-status":{"code":550,"enhanced-code":"5.1.1","message":"<ada@example.com> no such user"},
	"user-variables":{"portalgate":"ref"}}`

func TestReports(t *testing.T) {
	w, err := NewWebhook(signingKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, data, ref, reason string
		fate                    mail.Fate
	}{
		{"bounced", failed, "ref", "there is no such mailbox", mail.Bounced},
		{"not yet", strings.NewReplacer("permanent", "temporary", "550", "452", "5.1.1", "4.2.2").Replace(failed), "ref", "the mailbox is full", mail.Delayed},
		{"delivered", `{"event":"delivered","user-variables":{"portalgate":"ref"}}`, "ref", "", mail.Delivered},
		{"complained", `{"event":"complained","user-variables":{"portalgate":"ref"}}`, "ref", "the client's mail program was told that it is spam", mail.Complained},
		{"rejected", `{"event":"rejected","user-variables":{"portalgate":"ref"}}`, "ref", "our mail service would not send it", mail.Bounced},
		{"of no interest", `{"event":"accepted","user-variables":{"portalgate":"ref"}}`, "ref", "", ""},
		{"another program's mail", `{"event":"delivered","user-variables":[]}`, "", "", mail.Delivered},
	} {
		r, err := w.Read([]byte(report(noon, tc.data)), noon)
		if err != nil || r.Ref != tc.ref || r.Fate != tc.fate || r.Reason != tc.reason || r.At.IsZero() || r.Once == "" {
			t.Errorf("%s: %+v, %v", tc.name, r, err)
		}
	}
}

// TestE15_ForgedReports: whoever could forge a report could have a client's
// mails withheld, or staff believe that they arrive.
func TestE15_ForgedReports(t *testing.T) {
	w, err := NewWebhook(signingKey)
	if err != nil {
		t.Fatal(err)
	}
	good := report(noon, failed)
	signature := good[strings.Index(good, `"signature":"`)+13:][:64]
	for _, tc := range []struct {
		name, body string
		now        time.Time
		want       error
	}{
		{"just signed", good, noon, nil},
		{"at the end of its time", good, noon.Add(MaxAge), nil},
		{"too old", good, noon.Add(MaxAge + time.Second), ErrOld},
		{"from a clock that is ahead", good, noon.Add(-MaxAge), nil},
		{"from the future", good, noon.Add(-MaxAge - time.Second), ErrOld},
		{"another signature", strings.Replace(good, signature, strings.Repeat("0", 64), 1), noon, ErrForged},
		{"half a signature", strings.Replace(good, signature, signature[:32], 1), noon, ErrForged},
		{"no signature", strings.Replace(good, signature, "", 1), noon, ErrForged},
		{"not hex", strings.Replace(good, signature, strings.Repeat("z", 64), 1), noon, ErrForged},
		{"another token", strings.Replace(good, `"token"`, `"other"`, 1), noon, ErrForged},
		{"another time", strings.Replace(good, fmt.Sprint(noon.Unix()), fmt.Sprint(noon.Unix()+1), 1), noon, ErrForged},
		{"empty", "", noon, ErrNoReport},
		{"a list", "[]", noon, ErrNoReport},
		{"no signature object", `{"event-data":` + failed + `}`, noon, ErrForged},
		{"signed, but no event", report(noon, `"x"`), noon, ErrNoReport},
	} {
		r, err := w.Read([]byte(tc.body), tc.now)
		if !errors.Is(err, tc.want) || err != nil && r != (mail.Report{}) {
			t.Errorf("%s: %+v, %v, want %v", tc.name, r, err, tc.want)
		}
	}
	// Mailgun's signature covers time and token, not the event: that stands
	// behind TLS alone, and the reference in it is sealed by us.
	if _, err := NewWebhook(""); err == nil {
		t.Error("without a key everything would be signed")
	}
}

func FuzzWebhook(f *testing.F) {
	f.Add([]byte(report(noon, failed)))
	f.Add([]byte(`{"signature":{}}`))
	w, err := NewWebhook(signingKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if r, err := w.Read(body, noon); err != nil && r != (mail.Report{}) {
			t.Errorf("%+v with %v", r, err)
		}
	})
}
