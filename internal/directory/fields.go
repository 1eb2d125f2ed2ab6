// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package directory

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/portalgate/portalgate/internal/address"
)

// maxText is the length of a name or phone number, in characters.
const maxText = 200

var (
	idPattern       = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	languagePattern = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)
)

// IsID reports whether s may be a client's id.
func IsID(s string) bool { return idPattern.MatchString(s) }

// Check returns c as it may be kept, with its address, and says everything that
// is wrong with it; what is wrong is left empty. An id that is empty is wrong.
// White space around a field is dropped, and a domain in its own script is put
// in A-labels, because mail needs it so; all else stays byte for byte.
func Check(c Client) (Client, address.Address, []*Invalid) {
	var wrong []*Invalid
	fail := func(field, text string) { wrong = append(wrong, &Invalid{field, text}) }
	text := func(field, s string) string {
		s = strings.TrimSpace(s)
		if bad := checkText(s); bad != "" {
			fail(field, bad)
			return ""
		}
		return s
	}
	if c.ID = strings.TrimSpace(c.ID); !IsID(c.ID) {
		c.ID = ""
		fail("id", "must be 1 to 64 of A-Z a-z 0-9 . _ - and start with a letter or digit")
	}
	a, err := address.Parse(c.Email)
	if err != nil {
		fail("email", err.Error())
	}
	c.Email = a.String()
	c.Name, c.Phone = text("name", c.Name), text("phone", c.Phone)
	c.Language = strings.TrimSpace(c.Language)
	if c.Language != "" && (len(c.Language) > 35 || !languagePattern.MatchString(c.Language)) {
		c.Language = ""
		fail("language", "is not a language tag like en or pt-BR")
	}
	return c, a, wrong
}

// checkText says what is wrong with a line of text; empty is nothing.
func checkText(s string) string {
	if !utf8.ValidString(s) {
		return "is not UTF-8"
	}
	if utf8.RuneCountInString(s) > maxText {
		return fmt.Sprintf("longer than %d characters", maxText)
	}
	for _, r := range s {
		// The line and paragraph separators break a line as well.
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return "has a control character or a line break"
		}
	}
	return ""
}
