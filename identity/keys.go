// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxKeys      = 1 << 20         // bytes of a key set; a gate's has under 1 KB
	fetchTimeout = 5 * time.Second // for one fetch, reading included
	// refetchAfter is the least time between two fetches: tokens that name
	// keys nobody has must not become a flood of requests to the gate.
	refetchAfter = 30 * time.Second
	// retryAfter is refetchAfter for as long as there are no keys at all.
	retryAfter = time.Second
	// fresh is how old a set gets before it is fetched anew in the background:
	// the max-age the gate gives, so that a key it takes back goes.
	fresh = 5 * time.Minute
	// stale is how old a set gets before a request waits for a new one: where
	// requests are rare, the one that notices could otherwise be the one made
	// with a key that the gate took back long ago.
	stale = 2 * fresh
)

// keys is the gate's published key set, fetched as needed, by at most one
// request at a time.
type keys struct {
	url    string
	client *http.Client
	now    func() time.Time

	mu      sync.Mutex
	set     map[string]*ecdsa.PublicKey // nil until the first fetch succeeded
	fetched time.Time                   // when set was asked for
	tried   time.Time                   // when the last fetch began
	err     error                       // of the last fetch
	running chan struct{}               // closed when the running fetch ends; nil if none runs
}

func (k *keys) open(url string, client *http.Client, now func() time.Time) {
	c := http.Client{}
	if client != nil {
		c = *client
	}
	// A redirect would let whoever answers at one URL choose the keys' source.
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Jar = nil
	k.url, k.client, k.now = url, &c, now
}

// get returns the key named kid. It fetches the set if there is none yet, the
// name is not in it or it is old, but not too often; a set that cannot be
// fetched anew keeps working.
func (k *keys) get(ctx context.Context, kid string) (*ecdsa.PublicKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, known := k.set[kid]
	age := k.now().Sub(k.fetched)
	switch {
	case known && age <= fresh:
		return key, nil
	case known && (age <= stale || k.err != nil): // a gate that is away is not waited for again and again
		k.fetchLocked()
		return key, nil
	}
	if done := k.fetchLocked(); done != nil {
		k.mu.Unlock()
		var err error
		select {
		case <-done:
		case <-ctx.Done():
			err = ctx.Err()
		}
		k.mu.Lock()
		if err != nil {
			return nil, err
		}
	}
	key, known = k.set[kid]
	switch {
	case known:
		return key, nil
	case k.set == nil:
		return nil, &Error{Code: "keys", cause: k.err}
	}
	return nil, refuse("kid")
}

// fetchLocked starts a fetch unless one runs or the last one is too recent,
// and returns the channel that is closed when the running one ends, or nil.
//
// The goroutine belongs to nobody's request: it serves all that wait for it,
// and ends by itself within fetchTimeout.
func (k *keys) fetchLocked() <-chan struct{} {
	if k.running != nil {
		return k.running
	}
	wait := refetchAfter
	if k.set == nil {
		wait = retryAfter
	}
	now := k.now()
	if since := now.Sub(k.tried); since >= 0 && since < wait && !k.tried.IsZero() {
		return nil
	}
	done := make(chan struct{})
	k.tried, k.running = now, done
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
		defer cancel()
		set, err := k.fetch(ctx)
		k.mu.Lock()
		defer k.mu.Unlock()
		k.err, k.running = err, nil
		if err == nil {
			k.set, k.fetched = set, now
		}
		close(done)
	}()
	return done
}

func (k *keys) fetch(ctx context.Context) (map[string]*ecdsa.PublicKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetching keys: status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeys+1))
	if err != nil {
		return nil, fmt.Errorf("fetching keys: %w", err)
	}
	if len(body) > maxKeys {
		return nil, errors.New("fetching keys: too long")
	}
	set, err := parseKeys(body)
	if err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	return set, nil
}

// parseKeys reads a JWK set. One bad key spoils it: a gate publishes no
// duplicate names, no other kind of key and above all no private one, so
// whoever wrote such a set is not a gate, or not a sound one.
func parseKeys(data []byte) (map[string]*ecdsa.PublicKey, error) {
	doc, err := object(data)
	if err != nil {
		return nil, err
	}
	list, _ := doc["keys"].([]any)
	if len(list) == 0 {
		return nil, errors.New("no keys")
	}
	set := make(map[string]*ecdsa.PublicKey, len(list))
	for _, e := range list {
		m, ok := e.(map[string]any)
		if !ok {
			return nil, errors.New("key is not an object")
		}
		kid, key, err := parseKey(m)
		if err != nil {
			return nil, err
		}
		if _, twice := set[kid]; twice {
			return nil, errors.New("two keys of one name")
		}
		set[kid] = key
	}
	return set, nil
}

func parseKey(m map[string]any) (kid string, key *ecdsa.PublicKey, err error) {
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, there := m[private]; there {
			return "", nil, errors.New("private key")
		}
	}
	if m["kty"] != "EC" || m["crv"] != "P-256" || !absentOr(m, "alg", "ES256") || !absentOr(m, "use", "sig") {
		return "", nil, errors.New("not a P-256 key for ES256 signatures")
	}
	if kid, _ = m["kid"].(string); kid == "" {
		return "", nil, errors.New("key without a name")
	}
	// Only what was looked at goes on to the library.
	raw, err := json.Marshal(map[string]any{"kty": "EC", "crv": "P-256", "x": m["x"], "y": m["y"]})
	if err != nil {
		return "", nil, err
	}
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(raw); err != nil {
		return "", nil, errors.New("not a point on P-256")
	}
	key, ok := jwk.Key.(*ecdsa.PublicKey)
	if !ok || !jwk.Valid() || key.Curve != elliptic.P256() {
		return "", nil, errors.New("not a point on P-256")
	}
	return kid, key, nil
}

// absentOr reports whether a member is missing or has that value.
func absentOr(m map[string]any, name, value string) bool {
	v, there := m[name]
	return !there || v == value
}
