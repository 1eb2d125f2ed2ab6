// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package assertion

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/store"
)

var at = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// memory is a store in memory with a clock to set. between, if set, runs once
// between reading and writing a value, as another gate would.
type memory struct {
	store.Store

	mu      sync.Mutex
	values  map[string]store.Value
	now     time.Time
	down    bool
	writes  int
	between func()
}

func newMemory() *memory { return &memory{values: map[string]store.Value{}, now: at} }

func (m *memory) Update(_ context.Context, key string, f func(time.Time, store.Value) (store.Value, error)) error {
	for {
		m.mu.Lock()
		old, now, down, between := m.values[key], m.now, m.down, m.between
		m.between = nil
		m.mu.Unlock()
		if down {
			return store.ErrUnknown
		}
		v, err := f(now, old)
		if errors.Is(err, store.ErrUnchanged) {
			return nil
		}
		if err != nil {
			return err
		}
		if between != nil {
			between()
		}
		m.mu.Lock()
		if string(m.values[key].Data) == string(old.Data) {
			m.values[key], m.writes = v, m.writes+1
			m.mu.Unlock()
			return nil
		}
		m.mu.Unlock()
	}
}

func (m *memory) Get(context.Context, string) (store.Value, error) { panic("not used") }

func (m *memory) Allow(context.Context, []limit.Ask) (limit.Decision, error) { panic("not used") }

func advance(t *testing.T, k Keys, now time.Time) (Keys, bool) {
	t.Helper()
	k, changed, err := k.Advance(now)
	if err != nil {
		t.Fatal(err)
	}
	return k, changed
}

func TestAdvance(t *testing.T) {
	const day = 24 * time.Hour
	first, changed := advance(t, Keys{}, at)
	if !changed || first.Previous != nil || first.Current.JWK.KeyID == first.Next.JWK.KeyID {
		t.Fatalf("first keys: changed %v, previous %v", changed, first.Previous)
	}
	for _, d := range []time.Duration{0, time.Hour, 30*day - time.Second, -time.Hour} {
		if got, changed := advance(t, first, at.Add(d)); changed || !reflect.DeepEqual(got, first) {
			t.Errorf("after %v: changed", d)
		}
	}
	second, changed := advance(t, first, at.Add(30*day))
	if !changed || second.Current.JWK.KeyID != first.Next.JWK.KeyID || second.Previous.JWK.KeyID != first.Current.JWK.KeyID {
		t.Error("after 30 days: next is not current, or current not previous")
	}
	if _, private := second.Previous.JWK.Key.(*ecdsa.PrivateKey); private {
		t.Error("previous key can still sign")
	}
	// The gate was off for a year: only one step, because nobody can have seen
	// the key that is made now.
	late := at.Add(365 * day)
	second, _ = advance(t, first, late)
	if second.Current.JWK.KeyID != first.Next.JWK.KeyID {
		t.Error("after a year: next is not current")
	}
	if _, changed := advance(t, second, late.Add(time.Minute)); changed {
		t.Error("a minute after: rotated again")
	}
	// Published less than a day before its turn, as after a clock was set.
	second.Since = late.Add(-60 * day)
	if _, changed := advance(t, second, late.Add(day-time.Second)); changed {
		t.Error("used a key published less than a day ago")
	}
	if _, changed := advance(t, second, late.Add(day)); !changed {
		t.Error("did not use a key published a day ago")
	}
}

func TestKeysSurviveTheStore(t *testing.T) {
	keys, _ := advance(t, Keys{}, at)
	for range 3 {
		data, err := json.Marshal(keys)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeKeys(data)
		if err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(back)
		if err != nil || string(again) != string(data) {
			t.Errorf("keys changed on the way (%v)", err)
		}
		keys, _ = advance(t, back, back.Since.Add(rotateEvery))
	}
}

// Keys that cannot be read must not be replaced by new ones: that would hide a
// wrong secret or a damaged store, and break every verifier meanwhile.
func TestUnreadableKeysStay(t *testing.T) {
	keys, _ := advance(t, Keys{}, at)
	good, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	public := keys
	public.Current.JWK = public.Current.JWK.Public()
	publicOnly, err := json.Marshal(public)
	if err != nil {
		t.Fatal(err)
	}
	private := keys
	private.Previous = &keys.Current // it could go on signing
	privatePrevious, err := json.Marshal(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"empty":         "",
		"not JSON":      "\x00\x01",
		"no keys":       "{}",
		"cut short":     string(good[:len(good)/2]),
		"public only":   string(publicOnly),
		"private still": string(privatePrevious),
		"without names": strings.ReplaceAll(string(good), `"kid"`, `"nokid"`),
	} {
		m := newMemory()
		m.values[storeKey] = store.Value{Data: []byte(data)}
		if _, err := Open(t.Context(), m); err == nil {
			t.Errorf("%s: opened", name)
		} else if strings.Contains(err.Error(), `"d"`) || len(err.Error()) > 120 {
			t.Errorf("%s: error says too much", name)
		}
		if m.writes != 0 {
			t.Errorf("%s: written over", name)
		}
	}
}
