// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

const (
	sampleTag    = "abcdefghijklm234"
	sampleSecret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	sampleToken  = sampleTag + "." + sampleSecret
)

func TestToken(t *testing.T) {
	secret := make([]byte, SecretSize)
	for i := range secret {
		secret[i] = byte(i)
	}
	s := Token(sampleTag, secret)
	if s != sampleToken || len(s) != TokenSize {
		t.Fatalf("a token of %d bytes, want %d, or another alphabet", len(s), TokenSize)
	}
	tag, got, ok := ParseToken(s)
	if !ok || tag != sampleTag || !bytes.Equal(got, secret) {
		t.Errorf("ParseToken = %q, %d bytes, %t", tag, len(got), ok)
	}
}

// E09: two spellings of one token would be one session to the gate and two to
// whatever counts, revokes or compares them.
func TestE09_OneSpellingOfAToken(t *testing.T) {
	for _, tc := range []struct{ name, token string }{
		{"nothing", ""},
		{"a dot", "."},
		{"no dot", sampleTag + sampleSecret},
		{"another separator", sampleTag + ":" + sampleSecret},
		{"no secret", sampleTag + "."},
		{"no tag", "." + sampleSecret},
		{"tag in upper case", strings.ToUpper(sampleTag) + "." + sampleSecret},
		{"one upper-case letter", "A" + sampleToken[1:]},
		{"a digit no tag has", strings.Replace(sampleToken, "2", "1", 1)},
		{"dot in the tag", "." + sampleToken[1:]},
		{"tag a letter longer", "a" + sampleToken},
		{"tag a letter shorter", sampleToken[1:]},
		{"secret a letter longer", sampleToken + "A"},
		{"secret a letter shorter", sampleToken[:len(sampleToken)-1]},
		{"padded", sampleToken + "="},
		{"padded within the length", sampleToken[:len(sampleToken)-1] + "="},
		{"stray bit", sampleToken[:len(sampleToken)-1] + "9"},
		{"all stray bits", sampleToken[:len(sampleToken)-1] + "_"},
		{"the other alphabet's plus", strings.Replace(sampleToken, "H", "+", 1)},
		{"the other alphabet's slash", strings.Replace(sampleToken, "H", "/", 1)},
		// encoding/base64 skips line breaks, strict or not.
		{"line feed within the length", sampleTag + ".\n" + sampleSecret[1:]},
		{"carriage return within the length", sampleTag + ".AA\r" + sampleSecret[3:]},
		{"line feed added", sampleTag + ".\n" + sampleSecret},
		{"line feed at the end", sampleToken + "\n"},
		{"three line feeds for a byte less", sampleTag + "." + sampleSecret[:40] + "\n\n\n"},
		{"space before", " " + sampleToken},
		{"quoted", `"` + sampleToken + `"`},
		{"escaped", strings.Replace(sampleToken, ".", "%2e", 1)},
		{"a letter that is two bytes", "ä" + sampleToken[2:]},
		{"a NUL", "\x00" + sampleToken[1:]},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tag, secret, ok := ParseToken(tc.token); ok || tag != "" || secret != nil {
				t.Errorf("ParseToken(%q) = %q, %d bytes, %t", tc.token, tag, len(secret), ok)
			}
		})
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(sampleToken)
	f.Add("")
	f.Add(sampleTag + ".\n" + sampleSecret[1:])
	f.Add(sampleToken[:len(sampleToken)-1] + "9")
	f.Add(strings.ToUpper(sampleToken))
	f.Fuzz(func(t *testing.T, s string) {
		tag, secret, ok := ParseToken(s)
		if !ok {
			return
		}
		if !IsTag(tag) || len(secret) != SecretSize || Token(tag, secret) != s {
			t.Errorf("%q was read as a token that is written otherwise", s)
		}
	})
}

func TestTag(t *testing.T) {
	w := newWorld(t)
	other := New(w.db, root(t, "other"), w.clock, w.clock())
	seen := make(map[string]string)
	for i := range 1000 {
		id := fmt.Sprintf("c-%d", i)
		for gate, rs := range map[string]*Records{"main": w.Records, "other": other} {
			tag, name := rs.Tag(id), gate+" "+id
			if !IsTag(tag) || tag != rs.Tag(id) {
				t.Fatalf("%s has tag %q", name, tag)
			}
			if before, ok := seen[tag]; ok {
				t.Fatalf("%s and %s have one tag", name, before)
			}
			seen[tag] = name
		}
	}
	// Strangers cannot fill the store, however many addresses they make up, nor
	// write where a client's record is.
	scratch := make(map[string]bool)
	for i := range 20_000 {
		tag := w.Scratch(mustAddress(t, fmt.Sprintf("stranger%d@example.com", i)))
		if !IsTag(tag) || seen[tag] != "" {
			t.Fatalf("a stranger's tag is %q", tag)
		}
		scratch[tag] = true
	}
	if n := len(scratch); n < 1000 || n > 4096 {
		t.Errorf("20 000 strangers have %d records", n)
	}
	if a, b := mustAddress(t, "Some.One@Example.com"), mustAddress(t, "some.one@example.com"); w.Scratch(a) != w.Scratch(b) || w.Address(a) != w.Address(b) {
		t.Error("an address counts by how it is typed")
	}
}
