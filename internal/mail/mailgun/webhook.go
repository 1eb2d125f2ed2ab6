// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mailgun

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"

	api "github.com/mailgun/mailgun-go/v4"

	"github.com/portalgate/portalgate/internal/mail"
)

// MaxAge is how old a report may be, and how far in the future: with clocks that
// differ by less it is Mailgun's own, and a copy of it is remembered for longer.
const MaxAge = 5 * time.Minute

var (
	// ErrForged is returned by Webhook.Read for what Mailgun has not signed.
	ErrForged = errors.New("the report is not signed with this key")
	// ErrOld is returned by Webhook.Read for what was signed too long ago.
	ErrOld = errors.New("the report is too old")
	// ErrNoReport is returned by Webhook.Read for what is no report at all.
	ErrNoReport = errors.New("this is not a report")
)

// Webhook reads what Mailgun reports. It may be used concurrently.
type Webhook struct{ client *api.MailgunImpl }

// NewWebhook returns a reader of what is signed with a key, Mailgun's "HTTP
// webhook signing key".
func NewWebhook(key string) (*Webhook, error) {
	if key == "" {
		return nil, errors.New("there is no webhook_key")
	}
	client := api.NewMailgun("", "")
	client.SetWebhookSigningKey(key)
	return &Webhook{client}, nil
}

// event is what is of interest in a report (Mailgun's "event-data").
type event struct {
	Event     string  `json:"event"`
	Severity  string  `json:"severity"`
	Timestamp float64 `json:"timestamp"`
	Status    struct {
		Code     int    `json:"code"`
		Enhanced string `json:"enhanced-code"`
	} `json:"delivery-status"`
	Variables json.RawMessage `json:"user-variables"` // an object, or an empty list
}

// Read returns what a report says, if it is signed and was signed just now.
func (w *Webhook) Read(body []byte, now time.Time) (mail.Report, error) {
	var in struct {
		Signature api.Signature   `json:"signature"`
		Data      json.RawMessage `json:"event-data"`
	}
	if json.Unmarshal(body, &in) != nil {
		return mail.Report{}, ErrNoReport
	}
	if ok, err := w.client.VerifyWebhookSignature(in.Signature); !ok || err != nil {
		return mail.Report{}, ErrForged
	}
	at, err := strconv.ParseInt(in.Signature.TimeStamp, 10, 64)
	if err != nil || in.Signature.Token == "" {
		return mail.Report{}, ErrForged
	}
	if age := now.Sub(time.Unix(at, 0)); age > MaxAge || age < -MaxAge {
		return mail.Report{}, ErrOld
	}
	var e event
	if json.Unmarshal(in.Data, &e) != nil {
		return mail.Report{}, ErrNoReport
	}
	// The name is what was signed: the same signature with the border between
	// time and token elsewhere is the same report.
	r := mail.Report{Once: in.Signature.TimeStamp + in.Signature.Token, At: time.Unix(at, 0)}
	if e.Timestamp > 0 && e.Timestamp < math.MaxInt32*4 {
		r.At = time.UnixMilli(int64(e.Timestamp * 1000))
	}
	var variables struct {
		Ref string `json:"portalgate"`
	}
	_ = json.Unmarshal(e.Variables, &variables) // a mail that was not the gate's has none
	r.Ref = variables.Ref
	r.Fate, r.Reason = e.fate()
	return r, nil
}

// fate is what an event means for a mail.
func (e event) fate() (mail.Fate, string) {
	switch e.Event {
	case "delivered":
		return mail.Delivered, ""
	case "failed":
		why := mail.NewRefusal(e.Status.Code, e.Status.Enhanced)
		fate := mail.Delayed
		if e.Severity == "permanent" {
			fate = mail.Bounced
		}
		return fate, why.Reason
	case "rejected":
		return mail.Bounced, "our mail service would not send it"
	case "complained":
		return mail.Complained, "the client's mail program was told that it is spam"
	}
	return "", ""
}

// Interface guards
var _ mail.Reporter = (*Webhook)(nil)
