// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package seal_test

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/portalgate/portalgate/internal/seal"
)

// secret returns the root secret of the known answers: 00 01 02 … 1f, plus n.
func secret(n byte) []byte {
	s := make([]byte, seal.SecretSize)
	for i := range s {
		s[i] = byte(i) + n
	}
	return s
}

func root(t testing.TB, n byte, gate string) *seal.Root {
	t.Helper()
	r, err := seal.New(secret(n), gate)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNewRefuses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		secret []byte
		says   string
	}{
		{"none", nil, "secret has 0 bytes, not 32"},
		{"one byte short", secret(0)[:31], "secret has 31 bytes, not 32"},
		{"one byte long", append(secret(0), 7), "secret has 33 bytes, not 32"},
		{"in hexadecimal", []byte(hex.EncodeToString(secret(0))), "secret has 64 bytes, not 32"},
		{"nothing but zeros", make([]byte, 32), "one byte repeated"},
		{"one letter repeated", bytes.Repeat([]byte("x"), 32), "one byte repeated"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := seal.New(tc.secret, "main")
			if err == nil || r != nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("New = %v, %v, want an error that says %q", r, err, tc.says)
			}
		})
	}
	// A single byte that differs, first or last, makes it no repetition.
	for _, at := range []int{0, 31} {
		s := bytes.Repeat([]byte("x"), 32)
		s[at]++
		if _, err := seal.New(s, "main"); err != nil {
			t.Errorf("byte %d differs: %v", at, err)
		}
	}
}

// What New was given is the caller's to overwrite.
func TestNewKeepsACopy(t *testing.T) {
	s := secret(0)
	r, err := seal.New(s, "main")
	if err != nil {
		t.Fatal(err)
	}
	want := r.Key("store")
	clear(s)
	if !bytes.Equal(r.Key("store"), want) {
		t.Error("wiping the secret that New was given changed the keys")
	}
}

// Every secret, gate and purpose has a key of its own, however their names run
// together: a gate "a" with a purpose "bc" is no gate "ab" with a purpose "c".
func TestKeysDiffer(t *testing.T) {
	seen := make(map[string]string)
	for _, n := range []byte{0, 1} {
		for _, gate := range []string{"", "a", "ab", "abc", "main", "main2", "\x01a"} {
			for _, purpose := range []string{"", "a", "bc", "c", "abc", "store", "link", "cookie flow", "cookie asked", "\x01a"} {
				r := root(t, n, gate)
				key := r.Key(purpose)
				if len(key) != 32 {
					t.Fatalf("a key of %d bytes", len(key))
				}
				if !bytes.Equal(key, root(t, n, gate).Key(purpose)) {
					t.Fatalf("gate %q, purpose %q: another key at the second time", gate, purpose)
				}
				name := gate + "|" + purpose + "|" + string('0'+rune(n))
				if other, ok := seen[string(key)]; ok {
					t.Errorf("%q and %q have the same key", name, other)
				}
				seen[string(key)] = name
			}
		}
	}
}

func TestMACParts(t *testing.T) {
	r := root(t, 0, "main")
	seen := make(map[string][]string)
	for _, parts := range [][]string{
		{}, {""}, {"", ""}, {"abc"}, {"ab", "c"}, {"a", "bc"}, {"a", "b", "c"}, {"", "abc"}, {"abc", ""},
		{"\x01a"}, {"a", "\x01a"}, {"a\x01a"}, {strings.Repeat("a", 127)}, {strings.Repeat("a", 128)}, {strings.Repeat("a", 127), "a"},
	} {
		m := r.MAC("link", parts...)
		if other, ok := seen[string(m)]; ok {
			t.Errorf("%q and %q have the same MAC", parts, other)
		}
		seen[string(m)] = parts
		if !bytes.Equal(m, seal.MAC(r.Key("link"), parts...)) {
			t.Errorf("%q: Root.MAC is not MAC under the purpose's key", parts)
		}
		if bytes.Equal(m, r.MAC("stop", parts...)) {
			t.Errorf("%q: two purposes have the same MAC", parts)
		}
	}
}

// The derivations are a format: a change voids every store, every link under
// way and every session there is. These answers were computed by another
// program (HKDF of RFC 5869 and HMAC-SHA256 written out).
func TestKnownAnswers(t *testing.T) {
	main, other := root(t, 0, "main"), root(t, 0, "other")
	for _, tc := range []struct {
		name string
		got  []byte
		want string
	}{
		{"key of a store", main.Key("store"), "0742c28948b03e8d24f7640326027b94290abe4ade3e01e88b43a8bdb52efe5e"},
		{"key of a link", main.Key("link"), "6b6e00febb0db8ff00e7ef5377d37ac3f4982029032448f289c7d49bb42083cc"},
		{"key of another gate", other.Key("store"), "d23d6ad435b62f6eeff5300a7c13aa893750638b3d682bb6daf8fe1707de1c88"},
		{"key of no name", root(t, 0, "").Key(""), "4f03ae8df0da8cbb3067bf6c0258ceaccf658f3117801b4adfbe90c1f060a09a"},
		{"MAC of two parts", main.MAC("link", "ab", "c"), "54982259ed07c11c7127a3b4f1a9ed3d6f8029fd7af792562d638b931287211c"},
		{"MAC of nothing", main.MAC("link"), "4e2003cefbb002cbf2af9d42abf8f49887a0da56d92cb621e4252ede414f88d2"},
		{"MAC of a long part", main.MAC("link", strings.Repeat("a", 300)), "f8b0efd816a38665aebed116fbc343f7cfe72ab2ca1c335b1a265a706f194914"},
	} {
		if got := hex.EncodeToString(tc.got); got != tc.want {
			t.Errorf("%s = %s, want %s", tc.name, got, tc.want)
		}
	}
	// XChaCha20-Poly1305 as in draft-irtf-cfrg-xchacha, the nonce in front.
	sealed, err := hex.DecodeString(known)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := main.Box("store").Open(sealed, "v1 value main/x"); err != nil || string(p) != "a record" {
		t.Errorf("what an earlier release sealed opens as %q, %v", p, err)
	}
}

const known = "404142434445464748494a4b4c4d4e4f5051525354555657488ee2c4ec0ed3f51323507b3bab546d5812bfd3c26ca4d4"

func TestBoxOpensOnlyItsOwn(t *testing.T) {
	const place = "value main/x"
	box := root(t, 0, "main").Box("store")
	plain := []byte("what a record says")
	sealed := box.Seal(plain, place)
	if p, err := box.Open(sealed, place); err != nil || !bytes.Equal(p, plain) {
		t.Fatalf("Open = %q, %v", p, err)
	}
	if p, err := root(t, 0, "main").Box("store").Open(sealed, place); err != nil || !bytes.Equal(p, plain) {
		t.Fatalf("after a restart: Open = %q, %v", p, err)
	}
	for _, tc := range []struct {
		name   string
		box    *seal.Box
		sealed []byte
		place  string
	}{
		{"another place", box, sealed, "value main/y"},
		{"no place", box, sealed, ""},
		{"a place that goes on", box, sealed, place + "x"},
		{"a place cut short", box, sealed, place[:len(place)-1]},
		{"another purpose", root(t, 0, "main").Box("queue item"), sealed, place},
		{"another gate", root(t, 0, "other").Box("store"), sealed, place},
		{"another secret", root(t, 1, "main").Box("store"), sealed, place},
		{"nothing", box, nil, place},
		{"a nonce alone", box, sealed[:24], place},
		{"a nonce and a tag", box, make([]byte, 24+16), place},
		{"not sealed", box, append(make([]byte, 40), plain...), place},
		{"something appended", box, append(slices.Clone(sealed), 0), place},
		{"something before it", box, append([]byte{0}, sealed...), place},
		{"twice", box, append(slices.Clone(sealed), sealed...), place},
		{"another's nonce", box, append(box.Seal(plain, place)[:24:24], sealed[24:]...), place},
	} {
		t.Run(tc.name, func(t *testing.T) { refused(t, tc.box, tc.sealed, tc.place) })
	}
	for i := range sealed {
		refused(t, box, sealed[:i], place)
		for bit := range 8 {
			altered := slices.Clone(sealed)
			altered[i] ^= 1 << bit
			refused(t, box, altered, place)
		}
	}
}

func refused(t *testing.T, b *seal.Box, sealed []byte, place string) {
	t.Helper()
	// The error says nothing of why: whoever sends altered cookies learns nothing.
	if p, err := b.Open(sealed, place); err != seal.ErrOpen || p != nil {
		t.Errorf("Open of %d bytes = %d bytes, %v, want ErrOpen", len(sealed), len(p), err)
	}
}

// Two seals of the same are not the same: equal records must not look equal in
// a store, nor may a nonce come twice.
func TestSealIsNeverTheSame(t *testing.T) {
	box := root(t, 0, "main").Box("store")
	var mu sync.Mutex
	seen := make(map[string]bool)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 250 {
				s := box.Seal([]byte("same"), "place")
				mu.Lock()
				if nonce := string(s[:24]); seen[nonce] {
					t.Error("a nonce came twice")
				} else {
					seen[nonce] = true
				}
				mu.Unlock()
				if p, err := box.Open(s, "place"); err != nil || string(p) != "same" {
					t.Errorf("Open = %q, %v", p, err)
				}
			}
		})
	}
	all.Wait()
}

// Whatever stands in a cookie or a store: it opens only if it is what was
// sealed, byte for byte, for that place.
func FuzzOpen(f *testing.F) {
	const place = "v1 value main/x"
	box := root(f, 0, "main").Box("store")
	sealed, err := hex.DecodeString(known) // not sealed here: each of the fuzzer's processes would have its own
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed, place)
	f.Add(sealed, "v1 value main/y")
	f.Add(sealed[:len(sealed)-1], place)
	f.Add([]byte{}, "")
	f.Add(make([]byte, 40), place)
	f.Fuzz(func(t *testing.T, data []byte, at string) {
		p, err := box.Open(data, at)
		own := at == place && bytes.Equal(data, sealed)
		if (err == nil) != own || err != nil && (p != nil || err != seal.ErrOpen) {
			t.Fatalf("Open of %d bytes = %d bytes, %v", len(data), len(p), err)
		}
		// And the other way: what is sealed for a place comes back there.
		if p, err := box.Open(box.Seal(data, at), at); err != nil || !bytes.Equal(p, data) {
			t.Fatalf("sealed and opened again: %d bytes of %d, %v", len(p), len(data), err)
		}
	})
}
