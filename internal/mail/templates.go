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

	"github.com/portalgate/portalgate/internal/ui"
)

// Templates are a practice's own words for the sign-in mail. Nil is those of
// the catalogue.
type Templates struct {
	subject, text *template.Template // subject is nil for the usual one
	html          *htmltemplate.Template
}

// The files of templates.
const (
	subjectFile = "sign-in.subject"
	textFile    = "sign-in.txt"
	htmlFile    = "sign-in.html"
)

const (
	maxTemplate = 64 << 10  // bytes of a file
	maxHTML     = 100 << 10 // bytes; what is longer, mail programs cut off
	maxSubject  = 100       // characters
)

// Filled is what stands in a template for {{.Name}}.
type Filled struct {
	// Practice, Phone and Mail are the practice's; Phone or Mail may be empty.
	Practice, Phone, Mail string
	// Portal is the portal's host name.
	Portal string
	// First is the client's first name; it may be empty.
	First string
	// Link signs in and Stop switches it off.
	Link, Stop string
	// Code is the digits to type in the window that asked, Life how long it and
	// Link last: "24 hours".
	Code, Life string
}

// LoadTemplates reads templates from a folder: sign-in.txt and sign-in.html,
// and sign-in.subject if that is to be another. Its errors name file and line.
func LoadTemplates(dir fs.FS) (*Templates, error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, err
	}
	known := []string{subjectFile, textFile, htmlFile}
	found := make(map[string]string)
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%s is not the name of a template; there are: %s", name, strings.Join(known, ", "))
		}
		text, err := readTemplate(dir, name)
		if err != nil {
			return nil, err
		}
		found[name] = text
	}
	if found[textFile] == "" || found[htmlFile] == "" {
		return nil, fmt.Errorf("a mail has a text and an HTML part that say the same; write both %s and %s", textFile, htmlFile)
	}
	t := new(Templates)
	if text := found[subjectFile]; text != "" {
		if t.subject, err = template.New(subjectFile).Parse(strings.TrimSpace(text)); err != nil {
			return nil, syntax(err)
		}
	}
	if t.text, err = template.New(textFile).Parse(found[textFile]); err != nil {
		return nil, syntax(err)
	}
	if t.html, err = htmltemplate.New(htmlFile).Parse(found[htmlFile]); err != nil {
		return nil, syntax(err)
	}
	return t, nil
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
func (t *Templates) fill(f Filled) (subject, text, page string, err error) {
	var b bytes.Buffer
	if t.subject != nil {
		if err := t.subject.Execute(&b, f); err != nil {
			return "", "", "", syntax(err)
		}
		subject = b.String()
	}
	b.Reset()
	if err := t.text.Execute(&b, f); err != nil {
		return "", "", "", syntax(err)
	}
	text = strings.ReplaceAll(b.String(), "\r\n", "\n")
	b.Reset()
	if err := t.html.Execute(&b, f); err != nil {
		return "", "", "", syntax(err)
	}
	page = b.String()
	return subject, text, page, check(f, subject, text, page)
}

var remote = regexp.MustCompile(`(?i)<(script|img|iframe|link|object|embed|form|video|audio)\b|url\(|@import|\bon[a-z]+=`)

// check holds a practice's words to what a sign-in mail must be.
func check(f Filled, subject, text, page string) error {
	shown := html.UnescapeString(page)
	switch {
	case !oneLine(subject) || len([]rune(subject)) > maxSubject:
		return fmt.Errorf("%s is more than one line of %d characters", subjectFile, maxSubject)
	case strings.Contains(subject, f.Code) || strings.Contains(subject, f.Link):
		return fmt.Errorf("%s holds the code or the link, which a locked phone would show; leave {{.Code}} and {{.Link}} to the text", subjectFile)
	case !slices.Contains(strings.Split(text, "\n"), f.Link):
		return fmt.Errorf("%s lacks the link; write {{.Link}} on a line of its own, with nothing before or behind it", textFile)
	case !strings.Contains(page, `href="`+f.Link+`"`):
		return fmt.Errorf(`%s lacks the link; write <a href="{{.Link}}">Sign in</a>`, htmlFile)
	case !strings.Contains(text, f.Stop):
		return fmt.Errorf("%s lacks the link for who did not ask; write {{.Stop}}", textFile)
	case !strings.Contains(page, `href="`+f.Stop+`"`):
		return fmt.Errorf(`%s lacks the link for who did not ask; write <a href="{{.Stop}}">Switch it off</a>`, htmlFile)
	case !strings.Contains(text, f.Code):
		return fmt.Errorf("%s lacks the code; write {{.Code}} on a line of its own", textFile)
	case !strings.Contains(shown, f.Code):
		return fmt.Errorf("%s lacks the code; write {{.Code}}", htmlFile)
	case len(page) > maxHTML:
		return fmt.Errorf("%s makes more than %d KB, of which mail programs show a part only", htmlFile, maxHTML>>10)
	}
	if m := remote.FindString(page); m != "" {
		return fmt.Errorf("%s has %q: a mail loads nothing, runs nothing and sends nothing; leave it out", htmlFile, m)
	}
	return nil
}

// ownWords puts a practice's own words into a sign-in mail.
func (c *Composer) ownWords(m *Message, in SignIn) error {
	p := c.practice
	subject, text, page, err := c.templates.fill(Filled{
		Practice: p.Name, Phone: p.Phone, Mail: p.Email, Portal: p.PublicURL.Host,
		First: cleanName(in.First), Link: in.Link, Stop: in.Stop, Code: in.Code, Life: ui.Life(in.Life),
	})
	if err != nil {
		return err
	}
	if subject != "" {
		m.Subject = subject
	}
	m.Text, m.HTML = text, page
	return nil
}
