// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package seal derives every key the gate uses from its one root secret and
// encrypts what the gate keeps or hands out: values in the store, cookies,
// queue items. Keys are bound to the gate's name and to a purpose, so that
// nothing sealed for one use opens for another.
//
// It does no I/O and keeps no state. Losing the root secret is losing
// everything sealed with it; that is meant.
package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// SecretSize is the length of a root secret in bytes.
const SecretSize = 32

// ErrOpen is returned by Box.Open if the bytes were not sealed by this box for
// this place. It says no more, on purpose.
var ErrOpen = errors.New("not sealed here")

// Root is a root secret bound to a gate's name.
type Root struct {
	secret []byte
	gate   string
}

// New returns the root of a gate's keys. The secret must be SecretSize bytes,
// and not all the same byte.
func New(secret []byte, gate string) (*Root, error) {
	if len(secret) != SecretSize {
		return nil, fmt.Errorf("secret has %d bytes, not %d", len(secret), SecretSize)
	}
	same := true
	for _, b := range secret {
		same = same && b == secret[0]
	}
	if same {
		return nil, errors.New("secret is one byte repeated, which anybody can guess")
	}
	return &Root{secret: append([]byte(nil), secret...), gate: gate}, nil
}

// Key derives the 32-byte key for a purpose (HKDF-SHA256, RFC 5869).
func (r *Root) Key(purpose string) []byte {
	k, err := hkdf.Key(sha256.New, r.secret, []byte("portalgate v1"), lengthed(r.gate, purpose), 32)
	if err != nil {
		panic("seal: " + err.Error()) // only for lengths no hash can give
	}
	return k
}

// MAC is HMAC-SHA256 of the parts under the key for purpose. Parts are
// length-prefixed: ("ab", "c") and ("a", "bc") differ.
func (r *Root) MAC(purpose string, parts ...string) []byte {
	return MAC(r.Key(purpose), parts...)
}

// MAC is HMAC-SHA256 of length-prefixed parts under key.
func MAC(key []byte, parts ...string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(lengthed(parts...)))
	return m.Sum(nil)
}

// Box seals with one key (XChaCha20-Poly1305: a random nonce of 192 bits is
// safe for any number of messages). It may be used concurrently.
type Box struct{ aead cipher.AEAD }

// Box returns the box for a purpose.
func (r *Root) Box(purpose string) *Box {
	aead, err := chacha20poly1305.NewX(r.Key(purpose))
	if err != nil {
		panic("seal: " + err.Error()) // only for keys of a wrong length
	}
	return &Box{aead}
}

// Seal encrypts plaintext for a place. Open gives it back only there.
func (b *Box) Seal(plaintext []byte, place string) []byte {
	nonce := make([]byte, b.aead.NonceSize(), b.aead.NonceSize()+len(plaintext)+b.aead.Overhead())
	rand.Read(nonce)
	return b.aead.Seal(nonce, nonce, plaintext, []byte(place))
}

// Open decrypts what Seal made for the same place, or returns ErrOpen.
func (b *Box) Open(sealed []byte, place string) ([]byte, error) {
	n := b.aead.NonceSize()
	if len(sealed) < n+b.aead.Overhead() {
		return nil, ErrOpen
	}
	p, err := b.aead.Open(nil, sealed[:n], sealed[n:], []byte(place))
	if err != nil {
		return nil, ErrOpen
	}
	return p, nil
}

func lengthed(parts ...string) string {
	var b []byte
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return string(b)
}
