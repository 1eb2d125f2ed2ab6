// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/portalgate/portalgate/internal/ui"
)

// Composer writes a practice's mails. It may be used concurrently.
type Composer struct {
	ui       *ui.UI
	practice ui.Practice
	domain   string // of the sender
}

// NewComposer returns a composer in the name and colour of u's practice, or
// says what of the practice cannot stand in a mail.
func NewComposer(u *ui.UI) (*Composer, error) {
	p := u.Practice()
	if !oneLine(p.Name) {
		return nil, errors.New("the practice's name has characters that cannot be seen")
	}
	if !plainAddress(p.From) {
		return nil, errors.New("the address that mails come from is not a plain one like hello@example.com")
	}
	_, domain, _ := strings.Cut(p.From, "@")
	return &Composer{ui: u, practice: p, domain: domain}, nil
}

// SignIn is what a sign-in mail says.
type SignIn struct {
	// ID becomes the local part of the Message-ID, which everybody on the way
	// can read: nothing a secret is derived from.
	ID string
	// To is the address on file, byte for byte.
	To string
	// First is the client's first name; it may be empty.
	First string
	// Link signs in and Stop switches Link off, at most 200 characters each.
	Link, Stop string
	// Code is the digits to type in the window that asked.
	Code string
	// Life is how long Link and Code last.
	Life time.Duration
}

const (
	// longest keeps a link on one line in mail programs that still wrap, and
	// small enough for one that cuts long ones off.
	longest = 200
	// longestName is where a first name ends: whoever can put a sentence in
	// a name would otherwise put it in our mail.
	longestName = 40
)

var (
	localPart = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)
	digits    = regexp.MustCompile(`^[0-9]{4,12}$`)
	webLink   = regexp.MustCompile(`^https?://[!-~]+$`)
)

// SignIn composes the mail with a sign-in link. It refuses input that could
// break out of a header or a line; the errors name the field, never its value.
func (c *Composer) SignIn(in SignIn) (Message, error) {
	switch {
	case !localPart.MatchString(in.ID):
		return Message{}, errors.New("message id is not letters, digits, _ and -")
	case !plainAddress(in.To):
		return Message{}, errors.New("recipient is not a plain email address")
	case !digits.MatchString(in.Code):
		return Message{}, errors.New("code is not digits")
	case in.Life <= 0:
		return Message{}, errors.New("link has no life")
	}
	for name, link := range map[string]string{"link": in.Link, "stop link": in.Stop} {
		if len(link) > longest {
			return Message{}, fmt.Errorf("%s is longer than %d characters", name, longest)
		}
		if !webLink.MatchString(link) {
			return Message{}, fmt.Errorf("%s is not a web address", name)
		}
	}
	slots := ui.Slots{"first": cleanName(in.First), "life": ui.Life(in.Life), "stop": ""}
	say := func(key string) string { return c.ui.Text("mail.sign_in."+key, slots) }
	l := letter{
		Subject: say("subject"),
		Preview: say("preview"),
		Accent:  c.practice.Accent,
		Parts: []part{
			{Text: say("hello")},
			{Text: say("asked")},
			{Text: say("button"), Button: in.Link},
			{Text: say("once")},
			{Text: say("code_head"), Strong: true},
			{Text: say("code_lead"), Tight: true},
			{Code: in.Code, Tight: true},
			{Text: say("not_you"), Quiet: true},
			{Text: say("stop"), Link: in.Stop, Quiet: true, Tight: true},
			{Text: say("keep"), Quiet: true},
			{Text: say("sign")},
		},
	}
	html, err := l.html()
	if err != nil {
		return Message{}, errors.New("composing the HTML part")
	}
	return Message{
		ID:       in.ID + "@" + c.domain,
		FromName: c.practice.Name,
		From:     c.practice.From,
		To:       in.To,
		Subject:  l.Subject,
		Text:     l.text(),
		HTML:     html,
	}, nil
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

// cleanName is a client's first name as it may stand in a sentence of ours.
// The practice's list is typed by hand and fed by other systems.
func cleanName(s string) string {
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
	if runes := []rune(s); len(runes) > longestName {
		s = strings.TrimSpace(string(runes[:longestName]))
	}
	return s
}
