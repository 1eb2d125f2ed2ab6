// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/portalgate/portalgate/internal/seal"
)

// secret is where a gate's root secret comes from. It holds the secret itself
// only inside the function, so that printing it prints nothing.
type secret struct {
	source secretSource
	// fingerprint tells a changed secret; zero if it is made in storage.
	fingerprint [sha256.Size]byte
	// literal reports whether it was written out in the configuration.
	literal bool
}

// storage is what is needed of Caddy's storage to keep a secret there.
type storage interface {
	Lock(ctx context.Context, name string) error
	Unlock(ctx context.Context, name string) error
	Load(ctx context.Context, key string) ([]byte, error)
	Store(ctx context.Context, key string, value []byte) error
}

// configuredSecret resolves the placeholders of a configured secret.
func configuredSecret(raw, gate string) (secret, error) {
	text, err := caddy.NewReplacer().ReplaceOrErr(raw, true, true)
	if err != nil {
		// Caddy says of every file that it cannot read that it is empty. Whoever
		// made a new secret then would lose all that the old one sealed.
		if in := fileSecret.FindStringSubmatch(raw); in != nil {
			if _, cause := os.ReadFile(in[1]); cause != nil && !errors.Is(cause, fs.ErrNotExist) {
				return secret{}, fmt.Errorf("secret: %v; let the user that the server runs as read it", cause)
			}
		}
		return secret{}, fmt.Errorf("secret: %v; `caddy portalgate secret` makes one", err)
	}
	b, err := parseSecret(text)
	if err != nil {
		return secret{}, err
	}
	if _, err := seal.New(b, gate); err != nil {
		return secret{}, fmt.Errorf("secret: %v; `caddy portalgate secret` makes a good one", err)
	}
	return secret{
		source:      func(context.Context) ([]byte, error) { return b, nil },
		fingerprint: sha256.Sum256(b),
		literal:     text == raw,
	}, nil
}

// parseSecret reads 32 bytes in hex or in either base64. Its error never holds
// the text.
func parseSecret(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if len(text) == hex.EncodedLen(seal.SecretSize) {
		if b, err := hex.DecodeString(text); err == nil {
			return b, nil
		}
	}
	plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimSuffix(text, "="))
	if b, err := base64.RawStdEncoding.Strict().DecodeString(plain); err == nil && len(b) == seal.SecretSize {
		return b, nil
	}
	return nil, fmt.Errorf("secret: these %d characters are not 32 bytes in hex or base64; `caddy portalgate secret` makes one", len(text))
}

// storedSecret is the secret of a gate that has none configured: made once, in
// Caddy's storage. It serves one gate, for nobody else can be given it.
func storedSecret(st storage, gate string) secret {
	key := "portalgate/" + gate + "/secret"
	return secret{source: func(ctx context.Context) (_ []byte, err error) {
		if err := st.Lock(ctx, key); err != nil {
			return nil, fmt.Errorf("locking the secret in storage: %v", err)
		}
		defer func() {
			// The lock is given back even if the caller has gone.
			if e := st.Unlock(context.WithoutCancel(ctx), key); err == nil && e != nil {
				err = fmt.Errorf("unlocking the secret in storage: %v", e)
			}
		}()
		text, err := st.Load(ctx, key)
		if err == nil {
			return parseSecret(string(text))
		}
		if !errors.Is(err, fs.ErrNotExist) {
			// Fail closed: a secret that cannot be read must not be replaced.
			return nil, fmt.Errorf("loading the secret from storage: %v", err)
		}
		made := newSecret()
		if err := st.Store(ctx, key, []byte(made)); err != nil {
			return nil, fmt.Errorf("keeping a new secret in storage: %v", err)
		}
		return parseSecret(made)
	}}
}

// storedMark keeps the marks of a gate's stores in Caddy's storage.
type storedMark struct {
	storage storage
	gate    string
}

func (m storedMark) key(store string) string { return "portalgate/" + m.gate + "/mark-" + store }

// Load implements [gate.Mark].
func (m storedMark) Load(ctx context.Context, store string) (int64, error) {
	text, err := m.storage.Load(ctx, m.key(store))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(text), 10, 64)
}

// Save implements [gate.Mark].
func (m storedMark) Save(ctx context.Context, store string, n int64) error {
	return m.storage.Store(ctx, m.key(store), strconv.AppendInt(nil, n, 10))
}

// newSecret returns 32 random bytes in hex.
func newSecret() string {
	b := make([]byte, seal.SecretSize)
	rand.Read(b)
	return hex.EncodeToString(b)
}
