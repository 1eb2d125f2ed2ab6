// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	long := strings.Repeat("a", 64)
	label := strings.Repeat("b", 63)
	tests := []struct {
		name, in  string
		want      string // what String gives
		canonical string // "" if the same
		err       error
	}{
		{name: "plain", in: "ada@example.com", want: "ada@example.com"},
		{name: "case is kept and folded", in: "Ada.Lovelace@Example.COM", want: "Ada.Lovelace@Example.COM", canonical: "ada.lovelace@example.com"},
		{name: "spaces around", in: " \tada@example.com\r\n", want: "ada@example.com"},
		{name: "tag and dots count", in: "g.r.a.c.e+clinic@gmail.com", want: "g.r.a.c.e+clinic@gmail.com"},
		{name: "all signs of a dot-atom", in: "#$&'*+-/?=^_`{|}~@example.com", want: "#$&'*+-/?=^_`{|}~@example.com"},
		{name: "subdomains", in: "a@mail.sub.example.co.uk", want: "a@mail.sub.example.co.uk"},
		{name: "hyphens", in: "a@my--shop.t-online.de", want: "a@my--shop.t-online.de"},
		{name: "digits", in: "0189@0189.com", want: "0189@0189.com"},
		{name: "first and last letters", in: "AZaz@AZaz.com", want: "AZaz@AZaz.com", canonical: "azaz@azaz.com"},
		{name: "own script", in: "ada@bücher.example", want: "ada@xn--bcher-kva.example"},
		{name: "own script, upper case", in: "ada@BÜCHER.Example", want: "ada@xn--bcher-kva.example"},
		{name: "A-label", in: "ada@XN--bcher-KVA.example", want: "ada@XN--bcher-KVA.example", canonical: "ada@xn--bcher-kva.example"},
		{name: "top-level domain in its own script", in: "ada@пример.рф", want: "ada@xn--e1afmkfd.xn--p1ai"},
		{name: "right to left", in: "ada@דוגמה.com", want: "ada@xn--6dbbec0c.com"},
		{name: "longest local part", in: long + "@example.com", want: long + "@example.com"},
		{name: "longest label", in: "a@" + label + ".com", want: "a@" + label + ".com"},
		{name: "254 in all", in: "a@" + strings.Repeat("b.", 124) + "comm", want: "a@" + strings.Repeat("b.", 124) + "comm"},

		{name: "empty", in: "", err: ErrEmpty},
		{name: "white space", in: " \t\r\n ", err: ErrEmpty},
		{name: "no at", in: "ada.example.com", err: ErrShape},
		{name: "no local part", in: "@example.com", err: ErrShape},
		{name: "no domain", in: "ada@", err: ErrShape},
		{name: "single label", in: "ada@localhost", err: ErrShape},
		{name: "trailing dot", in: "ada@example.com.", err: ErrShape},
		{name: "empty label", in: "ada@example..com", err: ErrShape},
		{name: "leading dot in domain", in: "ada@.example.com", err: ErrShape},
		{name: "leading dot", in: ".ada@example.com", err: ErrShape},
		{name: "dot before at", in: "ada.@example.com", err: ErrShape},
		{name: "two dots", in: "ada..l@example.com", err: ErrShape},
		{name: "inner space", in: "ada lovelace@example.com", err: ErrShape},
		{name: "space before at", in: "ada @example.com", err: ErrShape},
		{name: "control character", in: "ada\x00@example.com", err: ErrShape},
		{name: "newline within", in: "ada@example.com\nBcc: b@example.com", err: ErrShape},
		{name: "underscore in domain", in: "ada@ex_ample.com", err: ErrShape},
		{name: "hyphen first", in: "ada@-example.com", err: ErrShape},
		{name: "hyphen last", in: "ada@example-.com", err: ErrShape},
		{name: "IPv4 address", in: "ada@127.0.0.1", err: ErrShape},
		{name: "hexadecimal IPv4 address", in: "ada@127.0x1", err: ErrShape},
		{name: "invalid UTF-8", in: "ad\xff@example.com", err: ErrShape},
		{name: "local part of 65", in: long + "a@example.com", err: ErrShape},
		{name: "label of 64", in: "a@b" + label + ".com", err: ErrShape},
		{name: "255 in all", in: "a@" + strings.Repeat("b.", 125) + "com", err: ErrShape},
		{name: "own script, too long converted", in: "a@" + strings.Repeat("ü", 60) + "." + strings.Repeat("ü.", 60) + "com", err: ErrShape},
		{name: "huge", in: "a@" + strings.Repeat("ü", 1<<20) + ".com", err: ErrShape},

		{name: "letters of another script", in: "дада@example.com", err: ErrSigns},
		{name: "an umlaut", in: "jürgen@example.com", err: ErrSigns},
		{name: "bang path", in: "host!ada@example.com", err: ErrSigns},
		{name: "another script, no domain", in: "дада@", err: ErrShape},
		{name: "no-break space", in: "ada\u00a0l@example.com", err: ErrShape},
		{name: "zero-width space", in: "ada\u200b@example.com", err: ErrShape},
		{name: "replacement character written out", in: "ad\ufffd@example.com", err: ErrSigns},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			a, err := Parse(tc.in)
			if !errors.Is(err, tc.err) {
				t.Fatalf("Parse(%q) error = %v, want %v", tc.in, err, tc.err)
			}
			if got := a.String(); got != tc.want {
				t.Errorf("Parse(%q).String() = %q, want %q", tc.in, got, tc.want)
			}
			want := tc.canonical
			if want == "" {
				want = tc.want
			}
			if got := a.Canonical(); got != want {
				t.Errorf("Parse(%q).Canonical() = %q, want %q", tc.in, got, want)
			}
		})
	}
}

// A parser that reads an address differently from the one that mails it lets
// an attacker show one address to the gate and get the mail at another.
func TestE09_ParserDifferential(t *testing.T) {
	for _, s := range []string{
		"a@b@c",
		"a@b.com@c.com",
		`"a@b"@c`,
		`"a@b"@c.com`,
		`"a"@c.com`,
		`a\@b@c.com`,
		"a@b.com,c@d",
		"a@b.com,c@d.com",
		"a@b.com;c@d.com",
		"a@b.com c@d.com",
		"Bob <a@b>",
		"Bob <a@b.com>",
		"<a@b.com>",
		"a(comment)@b.com",
		"a@b.com(comment)",
		"a@(comment)b.com",
		"a@[127.0.0.1]",
		"a@[IPv6:::1]",
		"a@127.0.0.1",
		"a%b@c",
		"a%b.com@c.com",
		"b.com!a@c.com",
		"a@b.com.",
		"a@b.com..",
		"@x:a@b",
		"@x.com:a@b.com",
		"@x.com,@y.com:a@b.com",
		"=?utf-8?q?a=40b.com=3e?=@c.com",
		"=?utf-8?q?a=40b.com=3e=00?=foo@c.com",
		"x=?utf-7?q?&AEA-?=@c.com",
		"a@xn--a.com",         // not what any label converts to
		"a@xn--b-.com",        // decodes to plain ASCII
		"a@xn--.com",          // decodes to nothing
		"a@xn--0049.com",      // malformed; some decoders make "," of such
		"mailto:a@b.com\r\n.", // trimmed at the ends only
		"a@b.com\r\nBcc:c@d.com",
		"a@b\r.com",
		"a@b.com\x00",
		"a@b.com%00",
		"a@b.com/../c",
		"a@b.com?c",
		"a@b.com#c",
		"a@b:25.com",
		strings.Repeat("a", 64) + "@" + strings.Repeat("b.", 95) + "com",
	} {
		if a, err := Parse(s); err == nil {
			t.Errorf("Parse(%q) = %q, want an error", s, a)
		}
	}
}

// Letters that some fold turns into ASCII: a password reset once went to the
// attacker's mıke@ because the look-up had folded it to mike@.
func TestE10_UnicodeCaseCollision(t *testing.T) {
	onFile := map[string]bool{}
	for _, s := range []string{
		"mike@example.com", "kelvin@example.com", "soss@example.com", "office@example.com",
		"jose@example.com", "mike@kmail.com", "mike@strasse.com", "mike@gmail.com",
	} {
		onFile[mustParse(t, s).Canonical()] = true
	}
	for _, s := range []string{
		"mıke@example.com",           // dotless i
		"mİke@example.com",           // dotted capital I
		"M\u0130KE@EXAMPLE.COM",      //
		"\u212aelvin@example.com",    // Kelvin sign
		"\u017fo\u017fs@example.com", // long s
		"soß@example.com",
		"so\u1e9e@example.com",   // capital sharp s
		"o\ufb03ce@example.com",  // ligature ffi
		"ｍｉｋｅ@example.com",       // full width
		"jose\u0301@example.com", // combining
		"josé@example.com",       // composed
		"mi\u200dke@example.com", // zero-width joiner
		"mi\u00adke@example.com", // soft hyphen
		"mike\ufe0e@example.com", // variation selector
		"mike＠example.com",       // full-width at
		"mike@example。com",       // ideographic full stop
		"mike@\u212amail.com",    // Kelvin sign in the domain
		"mike@gma\u0131l.com",    // dotless i in the domain
		"mike@gmaİl.com",         //
		"mike@\u017ftra\u017f\u017fe.com",
		"mike@straße.com",
		"mike@ｇｍａｉｌ.com",
		"mike@gma\u00adil.com",
		"mike@gmail.c\u2092m", // subscript o
		"mike@ⓖmail.com",
	} {
		a, err := Parse(s)
		if err == nil && onFile[a.Canonical()] {
			t.Errorf("Parse(%+q) matches %s on file", s, a)
		}
	}
}

func TestE11_Homoglyph(t *testing.T) {
	latin := mustParse(t, "ada@example.com")
	cyrillic := mustParse(t, "ada@ex\u0430mple.com")
	if latin.Canonical() == cyrillic.Canonical() {
		t.Error("a Cyrillic letter counts as its Latin look-alike")
	}
	if !strings.HasPrefix(cyrillic.Domain(), "xn--") {
		t.Errorf("domain = %q, want an A-label", cyrillic.Domain())
	}

	// One domain, however it is written.
	want := mustParse(t, "ada@xn--bcher-kva.example").Canonical()
	for _, s := range []string{
		"ada@bücher.example", "ada@BÜCHER.EXAMPLE", "ada@bu\u0308cher.example",
		"Ada@Xn--Bcher-Kva.Example", "ada@XN--BCHER-KVA.EXAMPLE",
	} {
		if got := mustParse(t, s).Canonical(); got != want {
			t.Errorf("Parse(%q).Canonical() = %q, want %q", s, got, want)
		}
	}
	// Nobody can own an A-label of letters that the mapping would change.
	for _, s := range []string{
		"ada@xn--bcher-2pa.example", // capital Ü
		"ada@xn--bar-ldc.example",   // á in two parts
		"ada@xn--tda985n.example",   // Kelvin sign
		"ada@xn--mail-uh0y.com",     // full-width g
		"ada@xn--ab-r13a.com",       // ideographic full stop
	} {
		if a, err := Parse(s); err == nil {
			t.Errorf("Parse(%q) = %q, want an error", s, a)
		}
	}
}

func TestMasked(t *testing.T) {
	tests := []struct{ in, want string }{
		{"ada@example.com", "a•••@example.com"},
		{"ad@example.com", "a•••@example.com"},
		{"a@example.com", "•••@example.com"},
		{"Ada.Lovelace+x@Example.com", "A•••@Example.com"},
	}
	for _, tc := range tests {
		if got := mustParse(t, tc.in).Masked(); got != tc.want {
			t.Errorf("Masked(%q) = %q, want %q", tc.in, got, tc.want)
		}
	}
}

func TestZero(t *testing.T) {
	var a Address
	if a.String() != "" || a.Canonical() != "" || a.Masked() != "" || a.Domain() != "" {
		t.Error("the zero Address has text")
	}
	if _, ok := a.Suggestion(); ok {
		t.Error("the zero Address has a suggestion")
	}
}

// What Parse takes is one thing to every reader: plain ASCII, and the same
// address when it is read again.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"ada@example.com", "Ada@BÜCHER.example", "a@xn--bcher-kva.example", "mıke@example.com",
		`"a@b"@c.com`, "a@b@c.com", "=?utf-8?q?a?=@b.com", "a@127.0.0.1", "a@b.com.", "", " a@b.cd ",
		"a@\u212a.com", "a@example。com", "a%b@c.com", "a@xn--a.com", "\xff@b.com", "a@דוגמה.com",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := Parse(s)
		if err != nil {
			if a != (Address{}) {
				t.Fatalf("Parse(%q) gives an address and an error", s)
			}
			return
		}
		if again, err := Parse(a.String()); err != nil || again != a {
			t.Errorf("Parse(%q) = %q, %v; want itself", a, again, err)
		}
		c := a.Canonical()
		for i := range len(c) {
			if c[i] <= ' ' || c[i] > '~' || 'A' <= c[i] && c[i] <= 'Z' {
				t.Errorf("Canonical of %q = %q, want lower case ASCII", s, c)
				break
			}
		}
		if len(c) > maxAddress || strings.Count(c, "@") != 1 {
			t.Errorf("Canonical of %q = %q, too long or of more than one part", s, c)
		}
		again, err := Parse(c)
		if err != nil || again.Canonical() != c {
			t.Errorf("Canonical of %q = %q, then %q, %v", s, c, again.Canonical(), err)
		}
		if sug, ok := a.Suggestion(); ok {
			if _, twice := sug.Suggestion(); twice {
				t.Errorf("the suggestion for %q has a suggestion", s)
			}
		}
	})
}

func mustParse(t *testing.T, s string) Address {
	t.Helper()
	a, err := Parse(s)
	if err != nil {
		t.Fatalf("Parse(%q): %v", s, err)
	}
	return a
}
