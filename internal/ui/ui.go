// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package ui draws the gate's pages, in the practice's name and colours.
//
// The gate describes a page as data ([Page]: texts by their keys, forms,
// links) and [UI.Render] draws it, the headers that keep it safe included.
// Every text stands in one file, en.json, and mails take theirs from it too.
// One template and one style sheet serve all pages. They are kept small and
// plain for the people who meet them: often old, ill or in a hurry, on a
// phone, with large text or a screen reader.
//
// It refuses markup: what comes from outside goes into a page as text, by way
// of slots. It loads nothing from elsewhere, and has one script, for the page
// that a mailed link opens, which works without it.
package ui

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Practice is whose pages these are.
type Practice struct {
	// Name is what clients call the practice.
	Name string
	// Phone and Email are how clients reach it. One of them is needed, so that
	// no page is a dead end.
	Phone, Email string
	// NewClients is a web address for people who are no clients yet. Optional.
	NewClients string
	// From is the address that mails come from.
	From string
	// Logo is an SVG, PNG, JPEG or WebP image of at most 100 KB. Optional.
	Logo []byte
	// Accent is the colour of buttons and links, #rrggbb; DefaultAccent if
	// empty. It has to be readable.
	Accent string
	// Zone is where the practice's clocks are; nil is UTC.
	Zone *time.Location
	// PublicURL is the gate's origin, and Path the prefix of its own routes,
	// "/sign-in" if empty.
	PublicURL *url.URL
	Path      string
}

// UI draws pages. It is immutable; its methods may be called concurrently.
type UI struct {
	practice Practice
	own      Slots // the practice's own, on every page
	logoType string
	style    string
	plain    string // Content-Security-Policy of a page without the script
	scripted string // and of one with it

	deskStyle, deskPlain string // for staff

	session, sessionTag string // the portal's script and its ETag
}

// New checks the practice's settings and prepares its pages.
func New(p Practice) (*UI, error) {
	switch {
	case p.Name == "":
		return nil, errors.New("the practice has no name")
	case p.Phone == "" && p.Email == "":
		return nil, errors.New("the practice cannot be reached: give it a phone number or an email address")
	case p.From == "":
		return nil, errors.New("the practice has no address that mails come from")
	case p.PublicURL == nil || p.PublicURL.Host == "":
		return nil, errors.New("the practice has no public URL")
	}
	if p.NewClients != "" {
		if n, err := url.Parse(p.NewClients); err != nil || n.Host == "" || n.Scheme != "https" && n.Scheme != "http" {
			return nil, fmt.Errorf("the address for new clients, %q, is not one of a web page, like https://www.example.com/welcome", p.NewClients)
		}
	}
	if p.Accent == "" {
		p.Accent = DefaultAccent
	}
	if p.Path == "" {
		p.Path = "/sign-in"
	}
	if p.Zone == nil {
		p.Zone = time.UTC
	}
	u := &UI{practice: p, own: Slots{
		"practice": p.Name,
		"phone":    p.Phone,
		"mail":     p.Email,
		"from":     p.From,
		"portal":   p.PublicURL.Host,
	}}
	var err error
	if u.logoType, err = sniff(p.Logo); err != nil {
		return nil, err
	}
	if u.style, err = styled(p.Accent); err != nil {
		return nil, err
	}
	u.plain = policy("style-src '"+digest(u.style)+"'", "")
	u.scripted = policy("style-src '"+digest(u.style)+"'", "script-src '"+digest(script)+"'")
	u.deskStyle = u.style + deskStyle
	u.deskPlain = policy("style-src '"+digest(u.deskStyle)+"'", "")
	u.session = u.sessionScript()
	u.sessionTag = `"` + digest(u.session) + `"`
	return u, nil
}

// Practice returns whose pages these are, defaults filled in.
func (u *UI) Practice() Practice { return u.practice }

// styled returns the style sheet in the practice's colours.
func styled(accent string) (string, error) {
	light, lightLabel, dark, darkLabel, err := accents(accent)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s:root{--accent:%s;--label:%s}\n@media (prefers-color-scheme:dark){:root{--accent:%s;--label:%s}}\n",
		style, light, lightLabel, dark, darkLabel), nil
}
