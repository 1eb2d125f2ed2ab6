// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/providers"
)

// What whoever types addresses into a program's form learns of who is on file:
// nothing.

// instead has a program answer a code with step.
func instead(step providers.Step) func(*script) {
	return func(s *script) {
		was := s.Answer
		s.Answer = func(r providers.Request) (providers.Step, *providers.Claim, error) {
			if r.State == nil {
				return was(r)
			}
			return step, nil, nil
		}
	}
}

// TestG04_WhoIsOnFile: whoever types an address is shown the same, byte for
// byte and to the same moment, whether it is on file and whatever the program
// makes of it: denials in its own words, other questions, other people's
// addresses, and no answer at all. For one that is not on file it is not called.
func TestG04_WhoIsOnFile(t *testing.T) {
	for what, change := range map[string]func(*script){
		"as it should": func(*script) {},
		"it asks something else": func(s *script) {
			s.Answer = func(providers.Request) (providers.Step, *providers.Claim, error) {
				return providers.Step{Ask: typeCard}, nil, nil
			}
		},
		"it is broken": func(s *script) {
			s.Answer = func(providers.Request) (providers.Step, *providers.Claim, error) {
				return providers.Step{}, nil, errors.New("on purpose")
			}
		},
		// A stranger can be shown none of these in place of a refusal: at the second
		// step it is not called for one.
		"it asks something else for a wrong code":     instead(providers.Step{Ask: typeCard, State: []byte("s")}),
		"it asks for the code again for a wrong code": instead(providers.Step{Ask: typeCode, State: []byte("s")}),
		"it sends elsewhere for a wrong code": instead(providers.Step{State: []byte("s"), Redirect: &providers.Redirect{
			URL: "https://id.example/", Origins: []string{"https://id.example"},
		}}),
		"it lets in by the address alone": func(s *script) {
			s.Answer = func(r providers.Request) (providers.Step, *providers.Claim, error) {
				return providers.Step{}, adas("x"), nil
			}
		},
		"it answers for another": func(s *script) {
			was := s.Answer
			s.Answer = func(r providers.Request) (providers.Step, *providers.Claim, error) {
				if r.State == nil {
					return was(r)
				}
				c := adas("x")
				c.Email = "bob@example.com"
				return providers.Step{}, c, nil
			}
		},
		"it says nothing": func(s *script) {
			was := s.Answer
			s.Answer = func(r providers.Request) (providers.Step, *providers.Claim, error) {
				if r.State == nil {
					return was(r)
				}
				time.Sleep(s.Within()) // as long as the host lets it
				return providers.Step{}, nil, context.DeadlineExceeded
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := texts()
			change(s)
			w := withPhones(t, wide, programs("text", s))
			var first [2]string
			for i, email := range []string{"zed@example.com", "ada@example.com", "off@example.com"} {
				c := w.wire("192.0.2." + string(rune('1'+i)))
				p := c.browser.get("/sign-in/m/text")
				f := p.form("/sign-in/m/text")
				f.values.Set("email", email)
				p, after := c.do("POST", f.action, f.values)
				f = p.form("/sign-in/m/text")
				f.values.Set("code", "1234")
				began := time.Now()
				p, refused := c.do("POST", f.action, f.values)
				took := time.Since(began)
				after, refused = masked(after, email), masked(refused, email)
				if i == 0 {
					first = [2]string{after, refused}
					p.is(422).says("plugin.no")
				}
				if after != first[0] {
					t.Errorf("%s: after the address\n%s\nand for a stranger\n%s", email, after, first[0])
				}
				if refused != first[1] {
					t.Errorf("%s: refused\n%s\nand a stranger\n%s", email, refused, first[1])
				}
				if took < s.Within()+refusalSlack {
					t.Errorf("%s: refused after %v, which is when the program has answered", email, took)
				}
			}
			for _, r := range s.heard() {
				if r.Fields["email"] != "ada@example.com" && r.State == nil {
					t.Errorf("the program was asked about %q, which is not on file", r.Fields["email"])
				}
			}
			log := w.logs.String()
			if strings.Contains(log, "ada@") || strings.Contains(log, "zed@") {
				t.Error("the log holds addresses")
			}
			if lies := what != "as it should"; lies != strings.Contains(log, `"level":"error"`) {
				t.Errorf("whoever runs the gate is told of a broken program: %t", !lies)
			}
		})
	}
}

// TestG04_WhoIsOnFileAtOnce is the same where an address is typed beside what
// proves it: the program is not asked about strangers, and who is refused may try
// again.
func TestG04_WhoIsOnFileAtOnce(t *testing.T) {
	s := words()
	w := withPhones(t, wide, programs("words", s))
	var first string
	for i, email := range []string{"zed@example.com", "ada@example.com", "off@example.com"} {
		c := w.wire("192.0.2." + string(rune('1'+i)))
		f := c.browser.get("/sign-in/m/words").form("/sign-in/m/words")
		f.values.Set("email", email)
		f.values.Set("words", "wrong horse")
		began := time.Now()
		p, refused := c.do("POST", f.action, f.values)
		p.is(422).says("plugin.no")
		if took := time.Since(began); took < s.Within()+refusalSlack {
			t.Errorf("%s: refused after %v", email, took)
		}
		if refused = masked(refused, email); first == "" {
			first = refused
		} else if refused != first {
			t.Errorf("%s: refused\n%s\nand a stranger\n%s", email, refused, first)
		}
		f = p.form("/sign-in/m/words")
		f.values.Set("words", "right horse")
		if p, _ := c.do("POST", f.action, f.values); (p.status == http.StatusSeeOther) != (email == "ada@example.com") {
			t.Errorf("%s: the right words: %d %s", email, p.status, p.text())
		}
	}
	for _, r := range s.heard() {
		if r.Fields["email"] != "ada@example.com" {
			t.Errorf("the program was asked about %q, which is not on file", r.Fields["email"])
		}
	}
}
