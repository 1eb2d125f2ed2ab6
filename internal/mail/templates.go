// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	htmltemplate "html/template"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

// Templates are a practice's own words for the mails with a link. A mail that has
// none has those of the catalogue.
type Templates struct {
	signIn, invitation, link *own // nil for the usual ones
}

// own is a practice's own words for one mail.
type own struct {
	name          string             // of its files, without what they end in
	subject, text *template.Template // subject is nil for the usual one
	html          *htmltemplate.Template
}

const (
	maxTemplate = 64 << 10  // bytes of a file
	maxHTML     = 100 << 10 // bytes; what is longer, mail programs cut off
	maxSubject  = 100       // characters
)

// filled is what stands in a template for {{.Name}}. In each there are
//
//	Practice, Phone, Mail  the practice's; Phone or Mail may be empty
//	Portal                 the portal's host name
//	First                  the client's first name; may be empty
//	Link, Life             what signs in, and how long it lasts: "24 hours"
//
// and besides, by the mail,
//
//	Stop     what switches Link off
//	Code     the digits to type in the window that asked
//	Address  the client's, which may have to be typed
//	Message  what staff have written for the client; may be empty
type filled map[string]string

// LoadTemplates reads templates from a folder: for the sign-in mail sign-in.txt and
// sign-in.html, and sign-in.subject if that is to be another; so for the invitation,
// and for the link that staff send. Its errors name file and line.
func LoadTemplates(dir fs.FS) (*Templates, error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, err
	}
	t := new(Templates)
	mails := []struct {
		name string
		own  **own
	}{{"sign-in", &t.signIn}, {"invitation", &t.invitation}, {"link", &t.link}}
	var known []string
	for _, m := range mails {
		known = append(known, m.name+".subject", m.name+".txt", m.name+".html")
	}
	found := make(map[string]string)
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%s is not the name of a template; there are: %s", name, strings.Join(known, ", "))
		}
		if found[name], err = readTemplate(dir, name); err != nil {
			return nil, err
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("there is no template; there may be: %s", strings.Join(known, ", "))
	}
	for _, m := range mails {
		if *m.own, err = parse(m.name, found); err != nil {
			return nil, err
		}
	}
	return t, nil
}

var remote = regexp.MustCompile(`(?i)<(script|img|iframe|link|object|embed|form|video|audio)\b|url\(|@import|\bon[a-z]+=`)

// parse makes what was found for a mail its templates; nil if that is nothing.
func parse(name string, found map[string]string) (*own, error) {
	subject, text, page := found[name+".subject"], found[name+".txt"], found[name+".html"]
	switch m := remote.FindString(page); {
	case subject+text+page == "":
		return nil, nil
	case text == "" || page == "":
		return nil, fmt.Errorf("a mail has a text and an HTML part that say the same; write both %s.txt and %[1]s.html", name)
	case m != "":
		return nil, fmt.Errorf("%s.html has %q: a mail loads nothing, runs nothing and sends nothing; leave it out", name, m)
	}
	o := &own{name: name}
	const strict = "missingkey=error"
	var err error
	if subject != "" {
		if o.subject, err = template.New(name + ".subject").Option(strict).Parse(strings.TrimSpace(subject)); err != nil {
			return nil, syntax(err)
		}
	}
	if o.text, err = template.New(name + ".txt").Option(strict).Parse(text); err != nil {
		return nil, syntax(err)
	}
	if o.html, err = htmltemplate.New(name + ".html").Option(strict).Parse(page); err != nil {
		return nil, syntax(err)
	}
	return o, nil
}

func readTemplate(dir fs.FS, name string) (string, error) {
	f, err := dir.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxTemplate+1))
	if err == nil && len(b) > maxTemplate {
		err = fmt.Errorf("%s is longer than %d KB", name, maxTemplate>>10)
	}
	return string(b), err
}

// syntax is a template's error without the words that only programmers read.
func syntax(err error) error {
	return errors.New(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "html/"), "template: "))
}

// fill makes the mail's parts, or says what is wrong with which file.
func (o *own) fill(f filled) (subject, text, page string, err error) {
	var b bytes.Buffer
	if o.subject != nil {
		if err := o.subject.Execute(&b, f); err != nil {
			return "", "", "", syntax(err)
		}
		subject = b.String()
	}
	b.Reset()
	if err := o.text.Execute(&b, f); err != nil {
		return "", "", "", syntax(err)
	}
	text = strings.ReplaceAll(b.String(), "\r\n", "\n")
	b.Reset()
	if err := o.html.Execute(&b, f); err != nil {
		return "", "", "", syntax(err)
	}
	page = b.String()
	return subject, text, page, o.check(f, subject, text, page)
}

// check holds a practice's words to what such a mail must be.
func (o *own) check(f filled, subject, text, page string) error {
	shown := html.UnescapeString(page)
	link := f["Link"]
	stop, stops := f["Stop"]
	code, codes := f["Code"]
	switch {
	case !oneLine(subject) || len([]rune(subject)) > maxSubject:
		return fmt.Errorf("%s.subject is more than one line of %d characters", o.name, maxSubject)
	case codes && strings.Contains(subject, code) || strings.Contains(subject, link):
		return fmt.Errorf("%s.subject holds the code or the link, which a locked phone would show; leave {{.Code}} and {{.Link}} to the text", o.name)
	case !slices.Contains(strings.Split(text, "\n"), link):
		return fmt.Errorf("%s.txt lacks the link; write {{.Link}} on a line of its own, with nothing before or behind it", o.name)
	case !strings.Contains(page, `href="`+link+`"`):
		return fmt.Errorf(`%s.html lacks the link; write <a href="{{.Link}}">Sign in</a>`, o.name)
	case stops && !strings.Contains(text, stop):
		return fmt.Errorf("%s.txt lacks the link for who did not ask; write {{.Stop}}", o.name)
	case stops && !strings.Contains(page, `href="`+stop+`"`):
		return fmt.Errorf(`%s.html lacks the link for who did not ask; write <a href="{{.Stop}}">Switch it off</a>`, o.name)
	case codes && !strings.Contains(text, code):
		return fmt.Errorf("%s.txt lacks the code; write {{.Code}} on a line of its own", o.name)
	case codes && !strings.Contains(shown, code):
		return fmt.Errorf("%s.html lacks the code; write {{.Code}}", o.name)
	case !strings.Contains(text, f["Message"]):
		return fmt.Errorf("%s.txt lacks what staff write to the client; write {{.Message}}", o.name)
	case !strings.Contains(shown, f["Message"]):
		return fmt.Errorf("%s.html lacks what staff write to the client; write {{.Message}}", o.name)
	case len(page) > maxHTML:
		return fmt.Errorf("%s.html makes more than %d KB, of which mail programs show a part only", o.name, maxHTML>>10)
	}
	return nil
}

// inOwnWords puts a practice's own words, if there are any, into a mail. Of f the
// mail gives what is its own.
func (c *Composer) inOwnWords(m Message, o *own, first string, f filled) (Message, error) {
	if o == nil {
		return m, nil
	}
	p := c.practice
	f["Practice"], f["Phone"], f["Mail"], f["Portal"], f["First"] = p.Name, p.Phone, p.Email, p.PublicURL.Host, cleanName(first)
	subject, text, page, err := o.fill(f)
	if err != nil {
		return Message{}, err
	}
	if subject != "" {
		m.Subject = subject
	}
	m.Text, m.HTML = text, page
	return m, nil
}
