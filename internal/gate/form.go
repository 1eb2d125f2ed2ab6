// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"crypto/subtle"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/ui"
)

const (
	maxForm   = 16 << 10
	maxFields = 20
	formTime  = 10 * time.Second // to send it; a slow sender holds nobody up
)

// crossOrigin refuses what another site's page sends. It lets pass what has
// neither Origin nor Sec-Fetch-Site, hence the form's nonce beside it.
var crossOrigin = http.NewCrossOriginProtection()

// posted is a form that arrived.
type posted struct {
	url.Values
	// flow is the flow whose page the form is from; nil if that is not proved.
	flow *flow
	// foreign reports that another site's page sent it.
	foreign bool
}

// read reads a form. It answers what is not one, and returns false.
func (v *visit) read() (p posted, ok bool) {
	p.foreign = crossOrigin.Check(v.r) != nil
	body, err := v.body(maxForm)
	kind, _, kerr := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	if err != nil || kerr != nil || kind != "application/x-www-form-urlencoded" ||
		strings.Count(string(body), "&") >= maxFields {
		v.odd(http.StatusBadRequest)
		return p, false
	}
	p.Values, err = url.ParseQuery(string(body))
	if err != nil || !plainForm(p.Values) {
		v.odd(http.StatusBadRequest)
		return p, false
	}
	if f := v.jar.flow(p.Get("flow")); f != nil && !p.foreign &&
		subtle.ConstantTimeCompare([]byte(p.Get("nonce")), []byte(v.eng.keys.formNonce(f))) == 1 {
		p.flow = f
	}
	return p, true
}

// body reads what was sent, if it has at most that many bytes and comes in time.
func (v *visit) body(most int64) ([]byte, error) {
	rc := http.NewResponseController(v.w)
	_ = rc.SetReadDeadline(time.Now().Add(formTime)) // not every writer can
	defer func() { _ = rc.SetReadDeadline(time.Time{}) }()
	return io.ReadAll(http.MaxBytesReader(v.w, v.r.Body, most))
}

// plainForm reports whether every field came once, as text.
func plainForm(form url.Values) bool {
	for name, values := range form {
		if len(values) != 1 || !utf8.ValidString(name+values[0]) || strings.ContainsRune(values[0], 0) {
			return false
		}
	}
	return true
}

// form completes a form with what ties it to a flow.
func (v *visit) form(f *flow, to string, form ui.Form) ui.Form {
	form.Action = v.Path + to
	form.Hidden = append(form.Hidden, ui.Hidden{Name: "flow", Value: f.id}, ui.Hidden{Name: "nonce", Value: v.eng.keys.formNonce(f)})
	return form
}

// crossed shows a page again whose form could not be shown to be from it, with
// what was typed. A browser that sent no cookie the second time keeps none:
// asking a third time would be a loop.
func (v *visit) crossed(p posted, page ui.Page) {
	if !p.foreign && p.Get("once") != "" && !v.jar.arrived {
		v.noCookies()
		return
	}
	page.Status, page.Title = http.StatusForbidden, "crossed.title"
	lead := ui.Lead("odd.lead")
	if p.foreign {
		lead = "crossed.lead"
	}
	page.Body = append([]ui.Block{lead}, page.Body...)
	for i, b := range page.Body {
		if form, ok := b.(ui.Form); ok {
			form.Auto = false // a person decides
			form.Hidden = append(form.Hidden, ui.Hidden{Name: "once", Value: "1"})
			page.Body[i] = form
		}
	}
	v.show(page)
}

func (v *visit) noCookies() {
	v.show(ui.Page{Status: http.StatusForbidden, Title: "open.nocookies.title", Body: []ui.Block{ui.Lead("open.nocookies.lead")}})
}

// odd is the page for what no page of ours sends.
func (v *visit) odd(status int) {
	v.show(ui.Page{Status: status, Title: "odd.title", Body: []ui.Block{
		ui.Lead("odd.lead"), ui.Link{Key: "odd.button", Href: v.Path, Weight: ui.Main},
	}})
}

func firstName(c directory.Client) string {
	first, _, _ := strings.Cut(strings.TrimSpace(c.Name), " ")
	return first
}
