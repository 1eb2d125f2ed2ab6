// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Plugin-go signs a client in by a one-time code in a text message to the phone
// on file. How a message is sent is the business of a gateway, to which it posts
// {"to": …, "text": …}. It keeps nothing: what it has to remember, the gate
// seals.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"time"

	"github.com/portalgate/portalgate/plugins"
	"github.com/portalgate/portalgate/providers"
)

const life = 10 * time.Minute

var askAddress = &providers.Ask{
	Title: "Sign in by text message", Button: "Text me a code",
	Fields: []providers.Field{{Name: "email", Kind: providers.Email, Label: "Your email address"}},
}

var askCode = &providers.Ask{
	Title: "Enter the code", Lead: "If we know this address, we have sent a code to your phone.", Button: "Sign in",
	Fields: []providers.Field{{Name: "code", Kind: providers.Digits, Label: "The 6 digits of the text message"}},
}

// textMessage is the method; its fields are the settings of the Caddyfile.
type textMessage struct{ Gateway, Token string }

// sent is what there is to remember of a message.
type sent struct {
	Email, Code string
	Ends        time.Time
}

func (*textMessage) Describe() providers.Description {
	return providers.Description{Text: "plugin", Label: "a text message", Life: life, AfterAddress: askCode}
}

func (*textMessage) Start(context.Context, providers.Request) (providers.Step, error) {
	return providers.Step{Ask: askAddress}, nil
}

func (m *textMessage) Continue(ctx context.Context, req providers.Request) (providers.Step, *providers.Claim, error) {
	if req.State == nil {
		return m.send(ctx, req.Fields["email"], req.Phone)
	}
	var s sent
	err := json.Unmarshal(req.State, &s)
	right := subtle.ConstantTimeCompare([]byte(req.Fields["code"]), []byte(s.Code)) == 1
	if err != nil || s.Code == "" || !right || time.Now().After(s.Ends) {
		return providers.Step{}, nil, &providers.Denial{Text: "That is not the code, or it is too old.", Field: "code"}
	}
	return providers.Step{}, &providers.Claim{Subject: s.Email, Email: s.Email, EmailVerified: true, AMR: []string{"sms", "otp"}}, nil
}

// send texts a code to the phone on file. Somebody without one sees the same,
// and no code is right.
func (m *textMessage) send(ctx context.Context, email, phone string) (providers.Step, *providers.Claim, error) {
	if len(email) > 254 {
		return providers.Step{}, nil, &providers.Denial{Text: "That is not an email address.", Field: "email"}
	}
	s := sent{Email: email, Ends: time.Now().Add(life)}
	if phone != "" {
		n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
		if err != nil {
			return providers.Step{}, nil, err
		}
		s.Code = fmt.Sprintf("%06d", n)
		if err := m.post(ctx, phone, s.Code+" is your code to sign in. Tell it to nobody."); err != nil {
			return providers.Step{}, nil, err
		}
	}
	state, err := json.Marshal(s)
	return providers.Step{Ask: askCode, State: state}, nil, err
}

func (m *textMessage) post(ctx context.Context, to, text string) error {
	body, err := json.Marshal(map[string]string{"to": to, "text": text})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.Gateway, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+m.Token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("the text message gateway answers %s", resp.Status)
	}
	return nil
}

func main() {
	plugins.Serve(plugins.Info{Name: "text-message", Version: "1.0.0"}, func(_ context.Context, m textMessage) (providers.Authenticator, error) {
		if m.Gateway == "" || m.Token == "" {
			return nil, fmt.Errorf("config: gateway and token are needed")
		}
		return &m, nil
	})
}
