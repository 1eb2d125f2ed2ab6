// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"context"
	"encoding/json"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/internal/mail/policy"
)

// noDNS answers that nothing is there but one record.
type noDNS struct{}

func (noDNS) LookupTXT(_ context.Context, name string) ([]string, error) {
	if name == "willow.example." {
		return []string{"v=spf1 -all"}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func TestTryMail(t *testing.T) {
	before := resolver
	resolver = noDNS{}
	t.Cleanup(func() { resolver = before })
	address := "localhost:" + freePort(t)
	l, config := withAdmin(t, address)
	l.mustLoad(config("", ""))
	const path = "/portalgate/main/mail/try"
	for name, body := range map[string]string{
		"no address":    `{"to":"you"}`,
		"two addresses": `{"to":"a@example.com,b@example.com"}`,
		"nothing":       ``,
	} {
		if a := l.ask(address, "POST", path, body); a.status != 400 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	a := l.ask(address, "POST", path, `{"to":"you@example.org"}`)
	var out mailTried
	if err := json.Unmarshal([]byte(a.body), &out); a.status != 200 || err != nil {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if out.From != "portal@localhost" || out.Answer == "" || out.Failed != "" || len(out.DNS) != 3 || out.DNS[0].Good || !strings.Contains(out.DNS[0].Says, "localhost has no record") {
		t.Errorf("answered %+v", out)
	}
	m := l.runtime().Outbox().Messages()[0]
	link := regexp.MustCompile(`http://\S+(/sign-in/link\?t=\S+)`).FindStringSubmatch(m.Text)
	if link == nil {
		t.Fatalf("no link in %q", m.Text)
	}
	if p := l.browser().get(link[1]); !strings.Contains(p.body, "This link does not work") {
		t.Errorf("the link of a trial mail: %d %s", p.status, p.body)
	}
	if strings.Contains(a.body, "you@") || strings.Contains(a.body, "link?t") {
		t.Error("the answer holds the address or the link")
	}
	var b strings.Builder
	out = mailTried{From: "hello@willow.example", DNS: policy.Look(t.Context(), resolver, "willow.example", "")}
	out.Failed = "mail server smtp.example.com: no answer in time"
	if err := printTried(&b, out); err != nil {
		t.Fatal(err)
	}
	const want = `from        hello@willow.example
server  no  mail server smtp.example.com: no answer in time
SPF     ok  v=spf1 -all
DKIM    no  willow.example has no key under the usual selectors; if your mail service names another, look with --selector
DMARC   no  there is no policy; publish a TXT record at _dmarc.willow.example: v=DMARC1; p=none at first, p=reject in the end
`
	if b.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", b.String(), want)
	}
}
