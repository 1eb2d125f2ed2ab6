// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/portalgate/portalgate/providers"
)

// What a plugin answers is not believed before it was looked at here. What is
// wrong makes the method broken for this one person; nothing is repaired.

const (
	maxText   = 200 // characters of any text that is shown
	maxMarks  = 4   // in a row, on one letter; no language needs more
	maxFields = 8
	maxState  = 1024 // bytes; it travels in a cookie
	maxURL    = 8192 // bytes; more than browsers and servers agree on
)

var fieldName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// reserved are the form fields that are the gate's own: a plugin's field of that
// name would answer the gate's question with what somebody typed.
var reserved = []string{"all", "confirmed", "flow", "id", "nonce", "once", "return_to", "shared", "state", "switch", "t"}

// checkText returns what is wrong with a text that people are shown. Characters
// that cannot be seen are refused: they turn a sentence round, or hide one.
func checkText(what, s string) error {
	switch {
	case !utf8.ValidString(s):
		return fmt.Errorf("%s is no valid UTF-8", what)
	case utf8.RuneCountInString(s) > maxText:
		return fmt.Errorf("%s has %d characters; at most %d are shown", what, utf8.RuneCountInString(s), maxText)
	}
	marks := 0
	for _, r := range s {
		if unseen(r) {
			return fmt.Errorf("%s holds the character %U, which cannot be seen", what, r)
		}
		if marks++; !unicode.Is(unicode.Mn, r) {
			marks = 0
		}
		if marks > maxMarks {
			return fmt.Errorf("%s holds more than %d marks on one letter, which would cover what is around it", what, maxMarks)
		}
	}
	return nil
}

// unseen reports whether a character cannot be seen.
func unseen(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp)
}

// blank reports whether a text says nothing, however long it is: there are
// letters that look like a space, and marks without a letter.
func blank(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (unicode.IsLetter(r) || unicode.IsDigit(r)) && !strings.ContainsRune("\u115f\u1160\u3164\uffa0", r)
	})
}

func checkAsk(a *providers.Ask) error {
	if n := len(a.Fields); n == 0 || n > maxFields {
		return fmt.Errorf("a form with %d fields; 1 to %d are allowed", n, maxFields)
	}
	texts := []struct{ what, text string }{{"the title", a.Title}, {"the lead", a.Lead}, {"the button's text", a.Button}}
	var seen []string
	for _, f := range a.Fields {
		switch {
		case !fieldName.MatchString(f.Name):
			return errors.New("a field's name is not a small letter and up to 31 more, digits or underscores")
		case slices.Contains(reserved, f.Name):
			return fmt.Errorf("a field is named %s, which is the gate's own", f.Name)
		case slices.Contains(seen, f.Name):
			return fmt.Errorf("the field %s is asked for twice", f.Name)
		case f.Kind == "":
			return fmt.Errorf("the field %s is of no known kind", f.Name)
		case blank(f.Label):
			return fmt.Errorf("the field %s has no label; a screen reader could not name it", f.Name)
		}
		seen = append(seen, f.Name)
		texts = append(texts, []struct{ what, text string }{
			{"the label of " + f.Name, f.Label}, {"the hint of " + f.Name, f.Hint},
		}...)
	}
	if blank(a.Title) || blank(a.Button) {
		return errors.New("a form without a title or without a text on its button")
	}
	for _, t := range texts {
		if err := checkText(t.what, t.text); err != nil {
			return err
		}
	}
	return nil
}

func checkDescription(d providers.Description) error {
	switch {
	case blank(d.Label):
		return errors.New("it has no label; people could not be told what this way to sign in is")
	case d.Life < 0 || d.Life > 24*time.Hour:
		return fmt.Errorf("a life of %v; at most 24h are allowed", d.Life)
	}
	if d.AfterAddress != nil {
		if err := checkAsk(d.AfterAddress); err != nil {
			return fmt.Errorf("after an address: %v", err)
		}
	}
	return checkText("the label", d.Label)
}

func checkStep(s providers.Step) error {
	switch {
	case len(s.State) > maxState:
		return fmt.Errorf("a state of %d bytes; at most %d are kept", len(s.State), maxState)
	case s.Ask != nil:
		return checkAsk(s.Ask)
	case s.Redirect != nil:
		return checkRedirect(s.Redirect)
	}
	return errors.New("a step that asks for nothing and leads nowhere")
}

// checkRedirect also makes the address one that Go has written: a browser may
// read another host in what was sent.
func checkRedirect(r *providers.Redirect) error {
	if len(r.URL) > maxURL {
		return fmt.Errorf("a redirect to an address of %d bytes; at most %d are followed", len(r.URL), maxURL)
	}
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" || u.Fragment != "" {
		return errors.New("a redirect to what is no address of another site")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return errors.New("a redirect that is not https")
	}
	if origin := u.Scheme + "://" + u.Host; !slices.Contains(r.Origins, origin) {
		return fmt.Errorf("a redirect to %.200q, which is none of the origins that `redirects` names", origin)
	}
	r.URL = u.String()
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func checkClaim(c *providers.Claim) error {
	if c.Subject == "" || len(c.Subject) > 255 {
		return fmt.Errorf("a claim whose subject has %d bytes; 1 to 255 are allowed", len(c.Subject))
	}
	if len(c.Email) > 254 {
		return errors.New("a claim whose address is longer than 254 characters")
	}
	if len(c.AMR) > maxFields {
		return fmt.Errorf("a claim with %d ways of proof; at most %d are allowed", len(c.AMR), maxFields)
	}
	for _, s := range slices.Concat([]string{c.Name, c.Email}, c.AMR) {
		if err := checkText("what the claim says", s); err != nil {
			return err
		}
	}
	for _, r := range c.Subject {
		if r == utf8.RuneError || unseen(r) {
			return errors.New("a claim whose subject holds what cannot be seen")
		}
	}
	return nil
}

func checkDenial(d *providers.Denial) error {
	if blank(d.Text) {
		return errors.New("a denial without a text; nobody could be told what is wrong")
	}
	if d.Field != "" && !fieldName.MatchString(d.Field) {
		return errors.New("a denial about a field that cannot be")
	}
	return checkText("the denial", d.Text)
}
