// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"regexp"
	"strings"
	"testing"
)

var styleElement = regexp.MustCompile(`(?s)<style>.*</style>`)

func TestView(t *testing.T) {
	email := Field{Name: "email", Label: "email.label", Hint: "email.hint"}
	wrong := email
	wrong.Wrong, wrong.Value = true, "ada.example.com"
	send := []Button{{Key: "email.button", Weight: Main}}
	tests := []struct {
		name string
		page Page
		has  []string
		not  []string
	}{
		{
			name: "every page",
			page: Page{Title: "landing.title", Body: []Block{Lead("landing.lead")}},
			has: []string{
				`<html lang="en">`,
				`<title>Sign in to Willow Creek Counseling – Willow Creek Counseling</title>`,
				`<h1>Sign in to <bdi>Willow Creek Counseling</bdi></h1>`,
				`href="/sign-in/help"`,
				`on <a href="tel:&#43;15550100"><bdi>&#43;1 555 0100</bdi></a>.</p>`,
			},
			not: []string{"Error:", `id="wrong"`, "<script", "<form", "<img"},
		},
		{
			name: "the help page does not lead to itself",
			page: Page{Title: "help.title", NoHelp: true},
			not:  []string{`href="/sign-in/help"`},
		},
		{
			name: "field",
			page: Page{Title: "email.title", Body: []Block{Form{Action: "/sign-in/magic-link", Fields: []Field{email}, Buttons: send}}},
			has: []string{
				`<form method="post" action="/sign-in/magic-link" novalidate>`,
				`<label for="f1-email">`,
				`<p class="hint" id="f1-email-hint">`,
				`<input id="f1-email" name="email" value="" type="email" inputmode="email" autocomplete="email" autocapitalize="off" spellcheck="false" aria-describedby="f1-email-hint">`,
				`<button class="button main">Send link</button>`,
			},
			not: []string{"autofocus", `name="shared"`},
		},
		{
			name: "wrong field",
			page: Page{Title: "email.title", Wrong: "email.shape", Body: []Block{Form{Action: "/", Fields: []Field{wrong}, Buttons: send}}},
			has: []string{
				`<title>Error: How would you like to sign in? – Willow Creek Counseling</title>`,
				`<p class="wrong" id="wrong">That does not look like`,
				`value="ada.example.com"`,
				`aria-describedby="wrong f1-email-hint" aria-invalid="true" autofocus>`,
			},
		},
		{
			name: "wrong, but no field",
			page: Page{Title: "crossed.title", Wrong: "crossed.lead", Body: []Block{Form{Action: "/", Fields: []Field{email}, Buttons: send}}},
			has:  []string{`<p class="wrong" id="wrong" tabindex="-1" autofocus>`},
			not:  []string{"aria-invalid"},
		},
		{
			name: "wrong without a form",
			page: Page{Title: "crossed.title", Wrong: "crossed.lead", Body: []Block{Lead("open.here.lead")}},
			has:  []string{`<p class="wrong" id="wrong" tabindex="-1" autofocus>`},
		},
		{
			name: "code",
			page: Page{Title: "sent.title", Body: []Block{Form{Fields: []Field{{Name: "code", Label: "sent.code.label", Hint: "sent.code.hint", Kind: CodeField}}}}},
			has:  []string{`class="code" type="text" inputmode="numeric" autocomplete="one-time-code"`},
		},
		{
			name: "shared computer",
			page: Page{Title: "email.title", Body: []Block{Form{Shared: true}}},
			has:  []string{`type="checkbox" name="shared" value="1" aria-describedby="f1-shared-hint">`},
		},
		{
			name: "shared computer, ticked",
			page: Page{Title: "email.title", Body: []Block{Form{Shared: true, SharedTicked: true}}},
			has:  []string{`name="shared" value="1" checked`},
		},
		{
			name: "a form that only the script sends",
			page: Page{Title: "open.cold.title", Body: []Block{Form{Action: "/sign-in/link", Fragment: true}}},
			has:  []string{` data-fragment hidden>`, `<input type="hidden" name="t">`, "<script>"},
		},
		{
			name: "a field t of its own",
			page: Page{Title: "open.cold.title", Body: []Block{Form{Fragment: true, Hidden: []Hidden{{Name: "t", Value: ""}}}}},
			has:  []string{`<input type="hidden" name="t" value="">`},
			not:  []string{`<input type="hidden" name="t">`},
		},
		{
			name: "new window",
			page: Page{Title: "ended.title", Body: []Block{Form{NewWindow: true}, Link{Key: "ended.button", Href: "/", NewWindow: true}}},
			has:  []string{`novalidate target="_blank" rel="noopener"`, `href="/" target="_blank" rel="noopener"`},
		},
		{
			name: "a link that is none",
			page: Page{Title: "ended.title", Body: []Block{Link{Key: "ended.button", Href: "javascript:alert(1)"}}},
			not:  []string{"javascript:"},
		},
		{
			name: "rows",
			page: Page{Title: "where.title", Slots: Slots{"kind": "not this one"}, Body: []Block{Rows{
				{Keys: []string{"where.row"}, Slots: Slots{"kind": "Firefox on Linux", "time": "2 March, 19:05"}, Form: &Form{Action: "/end", Buttons: []Button{{Key: "where.end"}}}},
				{Keys: []string{"where.row"}, Slots: Slots{"kind": "Safari on iPhone", "time": "2 March, 19:06"}},
			}}},
			has: []string{
				`<div id="r1">`, `<bdi>Firefox on Linux</bdi>, since 2 March, 19:05</p>`,
				`aria-describedby="r1">Sign out there`, `<bdi>Safari on iPhone</bdi>`,
			},
			not: []string{"not this one"},
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			body := styleElement.ReplaceAllString(render(t, ui(t, willow()), tc.page).Body.String(), "")
			for _, s := range tc.has {
				if !strings.Contains(body, s) {
					t.Errorf("the page lacks %s", s)
				}
			}
			for _, s := range tc.not {
				if strings.Contains(body, s) {
					t.Errorf("the page has %s", s)
				}
			}
			if t.Failed() {
				t.Log(body)
			}
		})
	}
}
