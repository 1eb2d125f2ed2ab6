// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package mailgun hands the gate's mails to Mailgun, and reads what Mailgun
// reports of them.
//
// Nothing is tracked: a tracked link leads to Mailgun first, and who opens a
// mail from a practice is nobody's business. Mail is passed on over verified TLS
// or not at all. What labels a mail there is its kind and a sealed reference,
// never an address.
package mailgun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	netmail "net/mail"
	"net/url"
	"regexp"
	"strings"
	"time"

	api "github.com/mailgun/mailgun-go/v4"

	"github.com/portalgate/portalgate/internal/mail"
)

// Options say which account.
type Options struct {
	// Domain is the sending domain, as Mailgun knows it.
	Domain string
	// Key is the account's or the domain's sending key.
	Key string
	// Region is "us" or "eu"; empty is "us".
	Region string
	// Base is the API's URL in place of the region's.
	Base string
}

// Sender is a mail.Sender.
type Sender struct {
	client *api.MailgunImpl
	domain string
}

const (
	// longest bounds a call where the caller's context does not.
	longest = time.Minute
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 64 << 10
	// variable names the reference among a message's variables.
	variable = "portalgate"
)

var domainName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$`)

// New returns a sender, or says what is wrong with the options. It connects to
// nobody yet.
func New(o Options) (*Sender, error) {
	base, ok := map[string]string{"": api.APIBaseUS, "us": api.APIBaseUS, "eu": api.APIBaseEU}[o.Region]
	if !ok {
		return nil, fmt.Errorf("region is %q; write us, the default, or eu", o.Region)
	}
	if !domainName.MatchString(o.Domain) {
		return nil, fmt.Errorf("domain is %q; write the sending domain as Mailgun lists it: mg.willow.example", o.Domain)
	}
	if o.Key == "" {
		return nil, errors.New("there is no api_key")
	}
	if o.Base != "" {
		u, err := url.Parse(o.Base)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
			u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1") {
			return nil, fmt.Errorf("api_base is %q; write the URL up to the version: https://api.eu.mailgun.net/v3", o.Base)
		}
		base = strings.TrimSuffix(o.Base, "/")
	}
	client := api.NewMailgun(o.Domain, o.Key)
	client.SetAPIBase(base)
	client.SetClient(&http.Client{
		Timeout: longest, Transport: capped{transport()},
		// Whoever redirects is not Mailgun, and would get the key.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	return &Sender{client, o.Domain}, nil
}

// transport lets go of what a replaced configuration leaves behind.
func transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost, t.IdleConnTimeout = 8, 15*time.Second
	return t
}

// capped cuts answers off that no mail service gives.
type capped struct{ http.RoundTripper }

func (c capped) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := c.RoundTripper.RoundTrip(r)
	if err == nil {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, maxAnswer), res.Body}
	}
	return res, err
}

// Send implements [mail.Sender]. Its answer has Mailgun's own id of the mail.
func (s *Sender) Send(ctx context.Context, m mail.Message) (answer string, err error) {
	from := netmail.Address{Name: m.FromName, Address: m.From}
	msg := api.NewMessage(from.String(), m.Subject, m.Text, m.To)
	msg.SetHTML(m.HTML)
	msg.AddHeader("Message-Id", "<"+m.ID+">")
	for _, h := range m.Headers() {
		msg.AddHeader(h[0], h[1])
	}
	msg.SetTracking(false)
	msg.SetTrackingClicks(false)
	msg.SetTrackingOpens(false)
	msg.SetRequireTLS(true)
	msg.SetSkipVerification(false)
	if m.Kind != "" {
		if err := msg.AddTag(m.Kind); err != nil {
			return "", fmt.Errorf("mailgun: %v", err)
		}
	}
	if m.Ref != "" {
		if err := msg.AddVariable(variable, m.Ref); err != nil {
			return "", fmt.Errorf("mailgun: %v", err)
		}
	}
	said, id, err := s.client.Send(ctx, msg)
	if err == nil && id == "" {
		err = errors.New("the answer names no mail")
	}
	if err != nil {
		return "", s.failure(ctx, err)
	}
	return mail.WithoutSecrets(said) + " " + strings.Trim(id, "<>"), nil
}

// failure says what an error of the API means. That somebody's address is not
// one is about the mail; all else is about the account, or about Mailgun.
//
//   - 400: a parameter is wrong; of those, "to" is the mail's
//   - 401, 403: the key, or the address it is used from
//   - 402: the account has to be paid
//   - 404: the domain, or its region
//   - 429 and 5xx: later
func (s *Sender) failure(ctx context.Context, err error) error {
	var unexpected *api.UnexpectedResponseError
	if !errors.As(err, &unexpected) {
		if ctx.Err() != nil {
			return fmt.Errorf("mailgun: no answer in time (%w)", ctx.Err())
		}
		return fmt.Errorf("mailgun: %s", mail.WithoutSecrets(err.Error()))
	}
	var body struct{ Message string }
	said := strings.TrimSpace(string(unexpected.Data))
	if json.Unmarshal(unexpected.Data, &body) == nil && body.Message != "" {
		said = body.Message
	}
	hint := ""
	switch unexpected.Actual {
	case http.StatusBadRequest:
		if strings.Contains(said, "'to' parameter") || strings.Contains(said, "to parameter") {
			return mail.NewRefusal(553, "5.1.3")
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		hint = "; check api_key"
	case http.StatusPaymentRequired:
		hint = "; the account has to be paid"
	case http.StatusNotFound:
		hint = fmt.Sprintf("; check domain %s and region", s.domain)
	case http.StatusTooManyRequests:
		hint = "; the account sends more than it may"
	}
	return fmt.Errorf("mailgun answers %d: %s%s", unexpected.Actual, mail.WithoutSecrets(said), hint)
}

// Interface guards
var _ mail.Sender = (*Sender)(nil)
