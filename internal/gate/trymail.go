// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"encoding/base32"
	"time"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/session"
)

// TryMail sends the sign-in mail to anybody, at once and past the queue, with a
// link, a code and a stop link that are nobody's. It returns the mail and what
// the mail server answered.
func (rt *Runtime) TryMail(ctx context.Context, to address.Address) (m mail.Message, answer string, err error) {
	c := rt.conf.Load()
	if c == nil {
		return m, "", errClosed
	}
	token := func() string {
		tag := base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").EncodeToString(randomBytes(10))
		return session.Token(tag, randomBytes(session.SecretSize))
	}
	m, err = c.compose(mail.SignIn{
		ID: messageID("try " + itemID()), To: to.String(), Code: "00000000", Life: 24 * time.Hour,
	}, token(), token())
	if err != nil {
		return m, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	answer, err = c.Sender.Send(ctx, m)
	return m, answer, err
}
