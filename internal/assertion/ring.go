// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package assertion

import (
	"context"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/portalgate/portalgate/identity"
	"github.com/portalgate/portalgate/internal/store"
)

// storeKey is where the keys are, sealed by the store.
const storeKey = "keys"

// Ring signs assertions with the keys in the store and publishes them. It may
// be used concurrently. Its keys are as of the last change it made or Refresh,
// which is due once a minute: so late, at most, does it follow what another
// gate on the same store did because somebody asked for it.
type Ring struct {
	store store.Store

	refreshing sync.Mutex
	now        atomic.Pointer[signing]

	cache cache
}

// signing is what a Ring works with from one Refresh to the next.
type signing struct {
	kid    string
	signer jose.Signer
	jwks   []byte
	etag   string
	public []Published
}

// Open returns the Ring of the keys in st. It makes them if there are none.
func Open(ctx context.Context, st store.Store) (*Ring, error) {
	r := &Ring{store: st}
	if err := r.Refresh(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// Refresh takes up what other gates have done with the keys, and rotates them
// if it is time. If it fails, the Ring goes on as it was.
//
// Keys that cannot be read are an error and stay where they are: making new
// ones would hide that something is wrong with the store or the secret.
func (r *Ring) Refresh(ctx context.Context) error {
	return r.change(ctx, Keys.Advance)
}

// Rotate begins to sign with the next key, as [Keys.Rotate] says. Nobody who
// verifies notices.
func (r *Ring) Rotate(ctx context.Context) error {
	return r.change(ctx, func(k Keys, now time.Time) (Keys, bool, error) {
		k, err := k.Rotate(now)
		return k, true, err
	})
}

// Replace makes all keys anew, as [Keys.Replace] says. Of two at once, the
// later one counts.
func (r *Ring) Replace(ctx context.Context) error {
	return r.change(ctx, func(k Keys, now time.Time) (Keys, bool, error) {
		k, err := k.Replace(now)
		return k, true, err
	})
}

// change makes f's change to the keys in the store, if it says that there is
// one, and takes up what is there then.
func (r *Ring) change(ctx context.Context, f func(Keys, time.Time) (Keys, bool, error)) error {
	r.refreshing.Lock()
	defer r.refreshing.Unlock()
	var keys Keys
	err := r.store.Update(ctx, storeKey, func(now time.Time, old store.Value) (store.Value, error) {
		keys = Keys{}
		if old.Data != nil {
			var err error
			if keys, err = decodeKeys(old.Data); err != nil {
				return old, err
			}
		}
		var changed bool
		var err error
		if keys, changed, err = f(keys, now); err != nil {
			return old, err
		}
		if !changed {
			return old, store.ErrUnchanged
		}
		data, err := json.Marshal(keys)
		return store.Value{Data: data}, err
	})
	if err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	s, err := newSigning(keys)
	if err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	r.now.Store(s)
	return nil
}

func newSigning(k Keys) (*signing, error) {
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: k.Current.JWK},
		(&jose.SignerOptions{}).WithType(identity.Type))
	if err != nil {
		return nil, err
	}
	jwks, err := k.JWKS()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(jwks)
	return &signing{
		kid:    k.Current.JWK.KeyID,
		signer: signer,
		jwks:   jwks,
		etag:   `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
		public: k.published(),
	}, nil
}

// JWKS is the published key set. The caller must not change it.
func (r *Ring) JWKS() []byte { return r.now.Load().jwks }

// Published tells of the keys in that set, the youngest first. The caller must
// not change it.
func (r *Ring) Published() []Published { return r.now.Load().public }

// payload is an assertion as it is written. See DESIGN, "To the upstream".
type payload struct {
	Issuer    string   `json:"iss"`
	Audience  string   `json:"aud"`
	Subject   string   `json:"sub,omitempty"`
	Email     string   `json:"email,omitempty"`
	Name      string   `json:"name,omitempty"`
	Session   string   `json:"sid,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	Expires   int64    `json:"exp"`
	Anonymous bool     `json:"anonymous,omitempty"`
}

// Sign returns an assertion that says c, good from now for
// [identity.Lifetime]; c.IssuedAt and c.Expires are not looked at. An
// anonymous one names nobody, every other one somebody.
func (r *Ring) Sign(c identity.Claims, now time.Time) (string, error) {
	return r.now.Load().sign(c, now)
}

func (s *signing) sign(c identity.Claims, now time.Time) (string, error) {
	p := payload{
		Issuer:    c.Issuer,
		Audience:  c.Audience,
		Anonymous: c.Anonymous,
		IssuedAt:  now.Unix(),
		NotBefore: now.Unix(),
		Expires:   now.Add(identity.Lifetime).Unix(),
	}
	switch {
	case c.Issuer == "" || c.Audience == "":
		return "", errors.New("assertion without issuer or audience")
	case c.Anonymous != (c.Subject == ""):
		return "", errors.New("assertion neither for somebody nor anonymous")
	case !c.Anonymous:
		p.Subject, p.Email, p.Name, p.Session, p.AMR = c.Subject, c.Email, c.Name, c.Session, c.AMR
		if !c.AuthTime.IsZero() {
			p.AuthTime = c.AuthTime.Unix()
		}
	}
	text, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("writing an assertion: %w", err)
	}
	jws, err := s.signer.Sign(text)
	if err != nil {
		return "", fmt.Errorf("signing an assertion: %w", err)
	}
	lowS(jws.Signatures[0].Signature)
	return jws.CompactSerialize()
}

var (
	order     = elliptic.P256().Params().N
	halfOrder = new(big.Int).Rsh(order, 1)
)

// lowS brings a raw ECDSA signature (r and s of 32 bytes) into its one
// canonical form. s and order-s both verify, so anybody could make a second
// signature from the first; our verifier takes the lower one only.
func lowS(sig []byte) {
	s := new(big.Int).SetBytes(sig[32:])
	if s.Cmp(halfOrder) > 0 {
		s.Sub(order, s).FillBytes(sig[32:])
	}
}
