// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/portalgate/portalgate/internal/ui"
)

// Composer writes a practice's mails. It may be used concurrently.
type Composer struct {
	ui        *ui.UI
	practice  ui.Practice
	domain    string // of the sender
	templates *Templates
}

// NewComposer returns a composer in the name and colour of u's practice, and in
// its own words if there are templates, or says what of the practice cannot
// stand in a mail.
func NewComposer(u *ui.UI, t *Templates) (*Composer, error) {
	p := u.Practice()
	if !oneLine(p.Name) {
		return nil, errors.New("the practice's name has characters that cannot be seen")
	}
	if !plainAddress(p.From) {
		return nil, errors.New("the address that mails come from is not a plain one like hello@example.com")
	}
	if t == nil {
		t = new(Templates)
	}
	_, domain, _ := strings.Cut(p.From, "@")
	return &Composer{ui: u, practice: p, domain: domain, templates: t}, nil
}

const (
	// longest keeps a link on one line in mail programs that still wrap, and
	// small enough for one that cuts long ones off.
	longest = 200
	// longestName is where a first name ends, and the name of a kind of
	// browser: whoever can put a sentence in one would otherwise put it in our
	// mail.
	longestName = 40
)

var (
	localPart = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)
	webLink   = regexp.MustCompile(`^https?://[!-~]+$`)
)

// envelope is what every mail has, whatever it says.
type envelope struct{ kind, id, to, first string }

// letter makes l a message: greets the client first and signs last. It refuses
// input that could break out of a header or a line; the errors name the field,
// never its value.
func (c *Composer) letter(e envelope, l letter) (Message, error) {
	switch {
	case !localPart.MatchString(e.id):
		return Message{}, errors.New("message id is not letters, digits, _ and -")
	case !plainAddress(e.to):
		return Message{}, errors.New("recipient is not a plain email address")
	}
	hello := part{Text: c.ui.Text("mail.hello", ui.Slots{"first": cleanName(e.first)})}
	l.Parts = append(append([]part{hello}, l.Parts...), part{Text: c.ui.Text("mail.sign", nil)})
	l.Accent = c.practice.Accent
	html, err := l.html()
	if err != nil {
		return Message{}, errors.New("composing the HTML part")
	}
	return Message{
		ID:       e.id + "@" + c.domain,
		FromName: c.practice.Name,
		From:     c.practice.From,
		To:       e.to,
		Kind:     e.kind,
		Subject:  l.Subject,
		Text:     l.text(),
		HTML:     html,
	}, nil
}

func checkLink(name, link string) error {
	if len(link) > longest {
		return fmt.Errorf("%s is longer than %d characters", name, longest)
	}
	if !webLink.MatchString(link) {
		return fmt.Errorf("%s is not a web address", name)
	}
	return nil
}

// plainAddress reports whether s can stand in a header as one address and
// nothing else. Whether it is an address on file is not its question.
func plainAddress(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	for _, r := range s {
		if r <= ' ' || r > '~' || strings.ContainsRune(`"(),:;<>[\]`, r) {
			return false
		}
	}
	return ok && local != "" && domain != "" && !strings.Contains(domain, "@") && len(s) <= 254
}

// oneLine reports whether s has no character that ends a line, acts on a
// terminal or turns the reading direction.
func oneLine(s string) bool { return strings.IndexFunc(s, unseen) < 0 }

// cleanName is a client's first name, or the name of a kind of browser, as it
// may stand in a sentence of ours. The practice's list is typed by hand and fed
// by other systems, and what a browser says of itself is anybody's.
func cleanName(s string) string { return clean(s, longestName) }

// clean is what others have written as one line of plain text, of at most so
// many characters: nothing in it ends a line, acts or turns the reading
// direction.
func clean(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unseen(r) && (r == '\t' || r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029'):
			return ' '
		case unseen(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > most {
		s = strings.TrimSpace(string(runes[:most]))
	}
	return s
}
