// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// filtered is the log of the shipped Caddyfile.
const filtered = `format filter {
	request>headers>Portalgate-Assertion delete
	request>headers>Remote-Email delete
	request>headers>Remote-Name delete
}`

// TestT01_NoSecretInLogs signs in, browses and signs out with every log on, at
// DEBUG. Caddy logs a request's whole URI and Referer, an answer's Location,
// and what reverse_proxy sends to the upstream; links and assertions stand in
// all of these unless somebody keeps them out.
func TestT01_NoSecretInLogs(t *testing.T) {
	l := newLive(t)
	logFile := filepath.Join(l.dir, "caddy.log")
	config := l.caddyfile("", "log {\n\toutput file "+logFile+"\n\tlevel DEBUG\n\t"+filtered+"\n}")
	config = strings.ReplaceAll(config, "bind 127.0.0.1", "bind 127.0.0.1\n\tlog")
	l.mustLoad(regexp.MustCompile(`(?m)^\theader .*\n`).ReplaceAllString(config, "")) // it is there to tell the address

	b := l.browser()
	link := b.ask(ada)
	token := strings.TrimPrefix(link, l.portal+"/sign-in/link?t=")
	l.browser().get(l.portal + "/sign-in/link?t=" + url.QueryEscape("xx"+token)) // a link that does not work is logged no better
	p := b.get(link)
	secrets := map[string]string{"the link": token, "its secret": token[strings.LastIndex(token, ".")+1:], "the address": ada}
	secrets["a flow cookie"] = b.cookie("portalgate-main-flow-")
	b.send(p, "/sign-in/link")
	b.isSignedIn()
	secrets["the session cookie"] = b.cookie("portalgate-main")
	secrets["the assertion"] = l.last().Get("Portalgate-Assertion")
	code := regexp.MustCompile(`\b\d{8}\b`).FindString(l.runtime().Outbox().Messages()[0].Text)
	b.send(b.get("/sign-in/sign-out"), "/sign-in/sign-out")

	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(logFile)
	if err != nil {
		t.Fatal(err)
	}
	for what, secret := range secrets {
		if len(secret) < 10 {
			t.Errorf("%s was not found to look for", what)
		} else if strings.Contains(string(log), secret) {
			t.Errorf("%s stands in the log", what)
		}
	}
	if code == "" || regexp.MustCompile(`\b`+code+`\b`).Match(log) {
		t.Error("the code stands in the log, or there was none")
	}
	for _, line := range []string{`"user_id":"c-ada"`, `"logger":"http.log.access`, `"msg":"upstream roundtrip"`, "reverse_proxy logs the identity headers"} {
		if !strings.Contains(string(log), line) {
			t.Errorf("the log has no %s: is this still the whole log?", line)
		}
	}
	for _, h := range l.requests() {
		if strings.Contains(h.Get("Cookie"), "portalgate") {
			t.Error("a cookie of the gate reached the upstream")
		}
	}
}

// TestPlaceholders: what the gate knows of the client is there for other
// directives and for the access log.
func TestPlaceholders(t *testing.T) {
	l := newLive(t)
	l.mustLoad(l.caddyfile("", ""))
	b := l.browser()
	if who := b.who("/public/x"); !strings.HasPrefix(who, "{http.auth.user.id}|") {
		t.Errorf("nobody signed in, and the placeholders are %q", who)
	}
	b.signIn(grace)
	who := strings.Split(b.who("/"), "|")
	if len(who) != 5 || strings.Join(who[:4], "|") != "c-grace|"+grace+"|Grace Hopper|magic_link" || len(who[4]) < 10 {
		t.Errorf("placeholders are %q", who)
	}
	if b.cookie("portalgate-main") == "" || strings.Contains(b.cookie("portalgate-main"), who[4]) {
		t.Error("the session's name for logs is a part of its cookie")
	}
}

// who returns the placeholders after a request.
func (b *browser) who(path string) string {
	b.t.Helper()
	res, err := b.Get(b.portal + path)
	if err != nil {
		b.t.Fatal(err)
	}
	res.Body.Close()
	return res.Header.Get("X-Who")
}

// cookie returns the value of the browser's cookie of that name, or that
// begins with it if it ends in "-".
func (b *browser) cookie(name string) string {
	u, _ := url.Parse(b.portal)
	for _, c := range b.Jar.Cookies(u) {
		if c.Name == name || strings.HasSuffix(name, "-") && strings.HasPrefix(c.Name, name) {
			return c.Value
		}
	}
	return ""
}

// last returns the header of the newest request that reached the upstream.
func (l *live) last() http.Header {
	all := l.requests()
	return all[len(all)-1]
}
