// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/seal"
)

// keys are the gate's own derived keys, one for each use.
type keys struct {
	flow, asked, known, item, report                  *seal.Box
	link, code, stop, session, form, limit, pin, away []byte
}

func newKeys(root *seal.Root) keys {
	return keys{
		flow: root.Box("cookie flow"), asked: root.Box("cookie asked"),
		known: root.Box("cookie known"), item: root.Box("queue item"), report: root.Box("mail report"),
		link: root.Key("link"), code: root.Key("mail code"), stop: root.Key("stop"),
		session: root.Key("session"), form: root.Key("form"), limit: root.Key("limit"), pin: root.Key("pin pepper"),
		away: root.Key("away"),
	}
}

// linkSecret is the secret of the link that a queue item asks for: the same at
// every attempt to send it, and stored nowhere.
func (k keys) linkSecret(item string) []byte { return seal.MAC(k.link, item) }

// linkHash is how a record knows that link.
func (k keys) linkHash(item string) access.Hash { return access.HashOf(k.linkSecret(item)) }

// mailCode is the code of 8 digits that stands in the same mail.
func (k keys) mailCode(item string) string {
	n := binary.BigEndian.Uint64(seal.MAC(k.code, item))
	return fmt.Sprintf("%08d", n%100_000_000) // 2^64 mod 10^8 favours none by more than 1 in 10^11
}

// stopSecret is what can switch a link off and do nothing else.
func (k keys) stopSecret(link access.Hash) []byte { return seal.MAC(k.stop, string(link)) }

// stopPINSecret is what can void a PIN and do nothing else.
func (k keys) stopPINSecret(pin access.Hash) []byte { return seal.MAC(k.stop, "pin", string(pin)) }

// stopsPIN reports whether a stop token's hash is that of this PIN's.
func (k keys) stopsPIN(given, pin access.Hash) bool {
	return access.HashOf(k.stopPINSecret(pin)) == given
}

// stopAccountSecret is what can take an account away and do nothing else.
func (k keys) stopAccountSecret(account access.Hash) []byte {
	return seal.MAC(k.stop, "account", string(account))
}

// expelSecret is what can expel a stranger and do nothing else.
func (k keys) expelSecret(s access.Stranger) []byte {
	return seal.MAC(k.stop, "stranger", s.Browser, string(s.Session))
}

// sessionSecret is the secret of the session that a browser's attempt gets for
// what it redeems: the same whenever the answer is repeated.
func (k keys) sessionSecret(redeemed access.Hash, nonce []byte) []byte {
	return seal.MAC(k.session, string(redeemed), string(nonce))
}

// attempt is what has to come back with a browser that was sent away: its flow,
// and that it was we who sent it, by this method.
func (k keys) attempt(f *flow, method string) string {
	return f.id + "." + base64.RawURLEncoding.EncodeToString(seal.MAC(k.away, "attempt", method, string(f.Nonce))[:16])
}

// account is how a record knows an account at another place. It is kept apart
// by method, however an issuer names its accounts.
func (k keys) account(method, subject string) access.Hash {
	return access.HashOf(seal.MAC(k.away, "account", method, subject))
}

// preparedKey is where the store keeps what a method has made of a flow's
// address.
func (k keys) preparedKey(f *flow) string {
	return "prepared/" + base64.RawURLEncoding.EncodeToString(seal.MAC(k.away, "prepared", f.id, string(f.Nonce))[:16])
}

// formNonce is what a form must carry to be from a page made for this flow.
func (k keys) formNonce(f *flow) string {
	return base64.RawURLEncoding.EncodeToString(seal.MAC(k.form, string(f.Nonce))[:16])
}

// limitKey is what a limit counts under: a name and a keyed hash of what it
// is about, so that a store holds neither addresses nor networks.
func (k keys) limitKey(name string, about ...string) string {
	return name + "/" + base64.RawURLEncoding.EncodeToString(seal.MAC(k.limit, append([]string{name}, about...)...)[:12])
}

// limitAddress is that for a limit of a mailbox. What is in braces is the same
// for all of them, so that a store counts them together (see store.Allow).
func (k keys) limitAddress(name string, a address.Address) string {
	_, about, _ := strings.Cut(k.limitKey("mailbox", a.Canonical()), "/")
	return name + "/{" + about + "}"
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// randomID is a name of 40 random bits for a cookie; it keeps no secret.
func randomID() string {
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").EncodeToString(randomBytes(5))
}
