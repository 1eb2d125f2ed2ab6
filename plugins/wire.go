// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"errors"
	"math"
	"strings"
	"time"

	authv1 "github.com/portalgate/portalgate/plugins/proto/authenticator/v1"
	"github.com/portalgate/portalgate/providers"
)

// What package providers says, on the wire and back. Nothing is checked here;
// see check.go for what the gate believes.

var kinds = map[providers.Kind]authv1.Kind{
	providers.Text:   authv1.Kind_KIND_TEXT,
	providers.Email:  authv1.Kind_KIND_EMAIL,
	providers.Digits: authv1.Kind_KIND_DIGITS,
}

var kindNames = func() map[authv1.Kind]providers.Kind {
	names := make(map[authv1.Kind]providers.Kind, len(kinds))
	for name, number := range kinds {
		names[number] = name
	}
	return names
}()

// requestToWire makes valid UTF-8 of what a browser sent: nothing else travels.
func requestToWire(r providers.Request) *authv1.Request {
	fields := make(map[string]string, len(r.Fields))
	for name, value := range r.Fields {
		fields[strings.ToValidUTF8(name, "\uFFFD")] = strings.ToValidUTF8(value, "\uFFFD")
	}
	return &authv1.Request{
		Fields: fields, State: r.State, Callback: r.Callback, Attempt: r.Attempt,
		Choose: r.Choose, Language: r.Language, Phone: r.Phone,
	}
}

func requestFromWire(r *authv1.Request) providers.Request {
	return providers.Request{
		Fields: r.GetFields(), State: r.GetState(), Callback: r.GetCallback(), Attempt: r.GetAttempt(),
		Choose: r.GetChoose(), Language: r.GetLanguage(), Phone: r.GetPhone(),
	}
}

func askToWire(a *providers.Ask) *authv1.Ask {
	if a == nil {
		return nil
	}
	w := &authv1.Ask{Title: a.Title, Lead: a.Lead, Button: a.Button}
	for _, f := range a.Fields {
		w.Fields = append(w.Fields, &authv1.Field{Name: f.Name, Kind: kinds[f.Kind], Label: f.Label, Hint: f.Hint})
	}
	return w
}

func askFromWire(w *authv1.Ask) *providers.Ask {
	if w == nil {
		return nil
	}
	a := &providers.Ask{Title: w.GetTitle(), Lead: w.GetLead(), Button: w.GetButton()}
	for _, f := range w.GetFields() {
		a.Fields = append(a.Fields, providers.Field{
			Name: f.GetName(), Kind: kindNames[f.GetKind()], Label: f.GetLabel(), Hint: f.GetHint(),
		})
	}
	return a
}

func stepToWire(s providers.Step) (*authv1.Step, error) {
	w := &authv1.Step{State: s.State}
	switch {
	case s.Ask != nil:
		w.Effect = &authv1.Step_Ask{Ask: askToWire(s.Ask)}
	case s.Redirect != nil:
		w.Effect = &authv1.Step_Redirect{Redirect: &authv1.Redirect{Url: s.Redirect.URL}}
	default:
		return nil, errors.New("a plugin's step is an ask or a redirect; links and staff's secrets are the gate's own")
	}
	return w, nil
}

func stepFromWire(w *authv1.Step, origins []string) providers.Step {
	s := providers.Step{State: w.GetState()}
	switch e := w.GetEffect().(type) {
	case *authv1.Step_Ask:
		s.Ask = askFromWire(e.Ask)
	case *authv1.Step_Redirect:
		s.Redirect = &providers.Redirect{URL: e.Redirect.GetUrl(), Origins: origins}
	}
	return s
}

func claimToWire(c *providers.Claim) *authv1.Claim {
	return &authv1.Claim{
		Subject: c.Subject, Email: c.Email, EmailVerified: c.EmailVerified,
		Authoritative: c.Authoritative, Name: c.Name, Amr: c.AMR,
	}
}

func claimFromWire(w *authv1.Claim) *providers.Claim {
	return &providers.Claim{
		Subject: w.GetSubject(), Email: w.GetEmail(), EmailVerified: w.GetEmailVerified(),
		Authoritative: w.GetAuthoritative(), Name: w.GetName(), AMR: w.GetAmr(),
	}
}

func denialToWire(d *providers.Denial) *authv1.Denial {
	return &authv1.Denial{Text: d.Text, Field: d.Field}
}

func describeFromWire(w *authv1.DescribeResponse) providers.Description {
	return providers.Description{
		Text: "plugin", Label: w.GetLabel(), Away: w.GetAway(),
		Life: seconds(w.GetLifeSeconds()), AfterAddress: askFromWire(w.GetAfterAddress()),
	}
}

// seconds is a duration that stays too long, or negative, when it does not fit.
func seconds(n int64) time.Duration {
	const most = int64(math.MaxInt64 / time.Second)
	return time.Duration(max(-most, min(n, most))) * time.Second
}
