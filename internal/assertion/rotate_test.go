// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package assertion

import (
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/bolt"
)

func names(k Keys) []string {
	var list []string
	for _, p := range k.published() {
		list = append(list, p.ID)
	}
	return list
}

// A rotation that is asked for uses the key that upstreams know, and waits for
// that to be so. A key is published for 10 minutes before it signs and for 10
// minutes after, longer than the 5 for which a set may be cached and the 90 s
// for which an assertion is good.
func TestRotate(t *testing.T) {
	first, _ := advance(t, Keys{}, at)
	for _, after := range []time.Duration{0, time.Minute, publishAtLeast - time.Second, -time.Hour} {
		got, err := first.Rotate(at.Add(after))
		early, ok := errors.AsType[*TooSoonError](err)
		if !ok || !early.From.Equal(at.Add(10*time.Minute)) || !strings.Contains(err.Error(), "from 2030-01-02T03:14:05Z") {
			t.Errorf("after %v: %v", after, err)
		}
		if !reflect.DeepEqual(got, first) {
			t.Errorf("after %v: refused, and changed", after)
		}
	}
	now := at.Add(publishAtLeast)
	second, err := first.Rotate(now)
	if err != nil {
		t.Fatal(err)
	}
	one, two := names(first), names(second)
	if len(two) != 3 || two[1] != one[0] || two[2] != one[1] || slices.Contains(one, two[0]) {
		t.Errorf("next, current, previous were %v and are %v", one, two)
	}
	if _, private := second.Previous.JWK.Key.(*ecdsa.PrivateKey); private {
		t.Error("previous key can still sign")
	}
	if !second.Since.Equal(now) || !second.Next.Published.Equal(now) || !second.Previous.Published.Equal(at) {
		t.Errorf("times: %+v", second.published())
	}
	if _, err := second.Rotate(now.Add(publishAtLeast - time.Second)); err == nil {
		t.Error("rotated again to a key that nobody may know")
	}
	// The month of the key begins anew.
	if _, changed := advance(t, second, at.Add(rotateEvery)); changed {
		t.Error("rotated by itself 30 days after the first keys were made")
	}
	if _, changed := advance(t, second, now.Add(rotateEvery)); !changed {
		t.Error("did not rotate by itself 30 days after the rotation")
	}
}

// Keys in wrong hands: nothing of the set stays, the next key included.
func TestReplace(t *testing.T) {
	first, _ := advance(t, Keys{}, at)
	first, err := first.Rotate(at.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	now := at.Add(time.Hour + time.Second)
	second, err := first.Replace(now)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range names(second) {
		if slices.Contains(names(first), id) {
			t.Errorf("%s stays", id)
		}
	}
	if second.Previous != nil || !second.Since.Equal(now) || !second.Next.Published.Equal(now) {
		t.Errorf("replaced set: %+v", second.published())
	}
	again, err := json.Marshal(second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeKeys(again); err != nil {
		t.Errorf("the set does not survive the store: %v", err)
	}
}

// Whoever presses while another gate does gets that gate's set, not one of
// their own: a second rotation right after the first is refused.
func TestRotatedMeanwhile(t *testing.T) {
	m := newMemory()
	r, other := open(t, m), open(t, m)
	m.now = at.Add(publishAtLeast)
	m.between = func() {
		if err := other.Rotate(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, ok := errors.AsType[*TooSoonError](r.Rotate(t.Context())); !ok {
		t.Error("rotated twice at once")
	}
	if err := r.Refresh(t.Context()); err != nil || string(r.JWKS()) != string(other.JWKS()) {
		t.Errorf("different sets (%v)", err)
	}
	if m.writes != 2 { // the first keys, and one rotation
		t.Errorf("%d writes, want 2", m.writes)
	}
}

// Several gates on a real store, at once, with all that can be done to keys:
// whatever comes out is one whole set, and everybody has it.
func TestPressedTogether(t *testing.T) {
	st, err := bolt.Open(filepath.Join(t.TempDir(), "keys.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	rings := []*Ring{open(t, st), open(t, st), open(t, st)}
	var wg sync.WaitGroup
	for range 10 {
		for _, r := range rings {
			wg.Go(func() {
				if err := r.Replace(t.Context()); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				if _, ok := errors.AsType[*TooSoonError](r.Rotate(t.Context())); !ok {
					t.Error("rotated to a key that was just published")
				}
			})
			wg.Go(func() {
				if err := r.Refresh(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for _, r := range rings {
		if err := r.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if string(r.JWKS()) != string(rings[0].JWKS()) || len(r.Published()) != 2 {
			t.Errorf("a gate has %+v, another %+v", r.Published(), rings[0].Published())
		}
		if _, err := verifier(t, r, at).Verify(t.Context(), must(t)(r.Sign(ada, at))); err != nil {
			t.Errorf("what the set signs, the set does not verify: %v", err)
		}
	}
}

// After the keys were replaced, no session goes on with the assertion that was
// signed for it seconds ago.
func TestReplacedKeysEmptyTheCache(t *testing.T) {
	m := newMemory()
	r := open(t, m)
	for name, change := range map[string]func() error{
		"rotated":  func() error { return r.Rotate(t.Context()) },
		"replaced": func() error { return r.Replace(t.Context()) },
	} {
		m.now = m.now.Add(publishAtLeast)
		before := must(t)(r.For(ada, at))
		if must(t)(r.For(ada, at)) != before {
			t.Fatal("not cached: this shows nothing")
		}
		if err := change(); err != nil {
			t.Fatal(err)
		}
		token := must(t)(r.For(ada, at))
		if token == before {
			t.Errorf("%s: the assertion by the old key is used again", name)
		}
		if _, err := verifier(t, r, at).Verify(t.Context(), token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// If nobody can tell whether the keys were changed, the gate goes on with those
// it has, and finds out at the next Refresh.
func TestRotateWhileStoreDown(t *testing.T) {
	m := newMemory()
	r := open(t, m)
	set := string(r.JWKS())
	m.down = true
	for name, change := range map[string]func() error{
		"Rotate":  func() error { return r.Rotate(t.Context()) },
		"Replace": func() error { return r.Replace(t.Context()) },
	} {
		if err := change(); !errors.Is(err, store.ErrUnknown) {
			t.Errorf("%s = %v, want ErrUnknown", name, err)
		}
	}
	if string(r.JWKS()) != set {
		t.Error("publishes keys that are not in the store")
	}
}

// What is told of the keys is what everybody may know.
func TestPublished(t *testing.T) {
	m := newMemory()
	r := open(t, m)
	m.now = at.Add(time.Hour)
	if err := r.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var roles []string
	for _, p := range r.Published() {
		roles = append(roles, p.Role)
		if !strings.Contains(string(r.JWKS()), p.ID) {
			t.Errorf("%s key %s is not published", p.Role, p.ID)
		}
		if p.Since.IsZero() != (p.Role != "current") {
			t.Errorf("%s key signs since %v", p.Role, p.Since)
		}
	}
	if want := []string{"next", "current", "previous"}; !slices.Equal(roles, want) {
		t.Errorf("roles %v, want %v", roles, want)
	}
	text, err := json.Marshal(r.Published())
	if err != nil || strings.Contains(string(text), `"d"`) || strings.Contains(string(text), "jwk") {
		t.Errorf("%s (%v)", text, err)
	}
}
