// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package assertion

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// rotateEvery is how long a key signs.
	rotateEvery = 30 * 24 * time.Hour
	// publishAhead is how long a key is in the published set before it signs,
	// many times the five minutes for which an upstream may cache the set.
	publishAhead = 24 * time.Hour
	// publishAtLeast is the same where somebody asks for the rotation: twice
	// those five minutes, which leaves the other gates on the store the time
	// to publish what this one made.
	publishAtLeast = 10 * time.Minute
)

// Keys is the gate's set of ES256 keys: the one that signs, the one that will,
// and the one that did. All three are published, so that a rotation never
// makes a verifier fail. The zero Keys is none yet; its methods make them.
type Keys struct {
	Next    Key       `json:"next"`
	Current Key       `json:"current"`
	Since   time.Time `json:"since"` // when Current began to sign
	// Previous is nil before the first rotation. Its private half is gone: it
	// is kept until the next rotation, for tokens that are still on their way
	// and gates that have not yet noticed, and nothing will be signed with it.
	Previous *Key `json:"previous,omitempty"`
}

// Key is one key pair under a random name.
type Key struct {
	JWK       jose.JSONWebKey `json:"jwk"`
	Published time.Time       `json:"published"`
}

// Advance returns the set as it has to be at now, and whether that is another
// one than k. It rotates at most once, and never to a key that was published
// less than a day ago, however long the gate was off.
func (k Keys) Advance(now time.Time) (Keys, bool, error) {
	now = now.UTC().Truncate(time.Second)
	switch {
	case k.Current.JWK.Key == nil:
		k, err := fresh(now)
		return k, err == nil, err
	case now.Before(k.Since.Add(rotateEvery)) || now.Before(k.Next.Published.Add(publishAhead)):
		return k, false, nil
	}
	k, err := k.turn(now)
	return k, err == nil, err
}

// Rotate returns the set after a rotation at now, before its time. It is a
// [TooSoonError] if next was published too short a while ago: somebody who
// verifies might not know it.
func (k Keys) Rotate(now time.Time) (Keys, error) {
	now = now.UTC().Truncate(time.Second)
	if k.Current.JWK.Key == nil {
		return fresh(now)
	}
	if from := k.Next.Published.Add(publishAtLeast); now.Before(from) {
		return k, &TooSoonError{From: from}
	}
	return k.turn(now)
}

// Replace returns a set in which nothing of k is left, for keys that may be in
// wrong hands. Whoever verifies meets a key that they do not know, and has to
// fetch the set.
func (k Keys) Replace(now time.Time) (Keys, error) {
	return fresh(now.UTC().Truncate(time.Second))
}

// TooSoonError is returned by Rotate if upstreams may not know the next key yet.
type TooSoonError struct {
	// From is when the rotation will be possible.
	From time.Time
}

// Error tells when to come back.
func (e *TooSoonError) Error() string {
	return "the next key was published less than 10 minutes ago, and not every upstream may know it; a rotation is possible from " +
		e.From.Format(time.RFC3339)
}

func fresh(now time.Time) (Keys, error) {
	current, err := newKey(now)
	if err != nil {
		return Keys{}, err
	}
	next, err := newKey(now)
	if err != nil {
		return Keys{}, err
	}
	return Keys{Next: next, Current: current, Since: now}, nil
}

// turn moves every key on by one place.
func (k Keys) turn(now time.Time) (Keys, error) {
	next, err := newKey(now)
	if err != nil {
		return k, err
	}
	previous := Key{JWK: k.Current.JWK.Public(), Published: k.Current.Published}
	return Keys{Next: next, Current: k.Next, Since: now, Previous: &previous}, nil
}

func newKey(now time.Time) (Key, error) {
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("making a signing key: %w", err)
	}
	return Key{
		JWK:       jose.JSONWebKey{Key: pair, KeyID: rand.Text(), Algorithm: string(jose.ES256), Use: "sig"},
		Published: now,
	}, nil
}

// JWKS is the set as it is published: public keys only.
func (k Keys) JWKS() ([]byte, error) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k.Next.JWK.Public(), k.Current.JWK.Public()}}
	if k.Previous != nil {
		set.Keys = append(set.Keys, k.Previous.JWK.Public())
	}
	return json.Marshal(set)
}

// Published is one of a gate's keys as far as it is public.
type Published struct {
	Role string    `json:"role"` // next, current or previous
	ID   string    `json:"kid"`
	At   time.Time `json:"published"`
	// Since is when the current key began to sign; zero for the others.
	Since time.Time `json:"since,omitzero"`
}

// published tells what is public of the set, in the order of the keys' lives,
// the youngest first.
func (k Keys) published() []Published {
	list := []Published{
		{Role: "next", ID: k.Next.JWK.KeyID, At: k.Next.Published},
		{Role: "current", ID: k.Current.JWK.KeyID, At: k.Current.Published, Since: k.Since},
	}
	if k.Previous != nil {
		list = append(list, Published{Role: "previous", ID: k.Previous.JWK.KeyID, At: k.Previous.Published})
	}
	return list
}

// decodeKeys reads what json.Marshal made of a Keys. Its errors say nothing of
// what is in it.
func decodeKeys(data []byte) (Keys, error) {
	var k Keys
	if err := json.Unmarshal(data, &k); err != nil {
		return Keys{}, errors.New("decoding signing keys: not a key set")
	}
	for _, key := range []Key{k.Next, k.Current} {
		pair, ok := key.JWK.Key.(*ecdsa.PrivateKey)
		if !ok || pair.Curve != elliptic.P256() || !key.JWK.Valid() || key.JWK.KeyID == "" {
			return Keys{}, errors.New("decoding signing keys: a key is missing or not for ES256")
		}
	}
	if k.Previous != nil {
		public, ok := k.Previous.JWK.Key.(*ecdsa.PublicKey)
		if !ok || public.Curve != elliptic.P256() || !k.Previous.JWK.Valid() || k.Previous.JWK.KeyID == "" {
			return Keys{}, errors.New("decoding signing keys: the previous key is not a public one for ES256")
		}
	}
	return k, nil
}
