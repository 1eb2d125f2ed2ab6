// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/ui"
)

// route is one address of the desk, for one method.
type route struct {
	method, path string
	// what is how a request is called in the audit log, and tried how one with
	// dry_run is, which changes nothing; empty where there is no such.
	what, tried string
	serve       func(*visit)
	// page reports that people ask for it, with a browser.
	page bool
}

// table lists every route. What is not in it does not exist.
func (d *Desk) table() []route {
	return append(api(), console()...)
}

func api() []route {
	const at, one = "/api/v1", "/api/v1/clients/{id}"
	return []route{
		{method: "GET", path: at + "/openapi.json", what: "api_read", serve: (*visit).openAPI},
		{method: "GET", path: at + "/clients", what: "clients_searched", serve: (*visit).listClients},
		{method: "POST", path: at + "/clients", what: "client_add_asked", serve: (*visit).addClient},
		{method: "POST", path: at + "/clients/import", what: "clients_import_asked", tried: "clients_import_try_asked", serve: (*visit).importClients},
		{method: "GET", path: at + "/clients/export", what: "clients_export_asked", serve: (*visit).exportClients},
		{method: "GET", path: one, what: "client_read", serve: about((*visit).getClient)},
		{method: "PATCH", path: one, what: "client_change_asked", serve: (*visit).patchClient},
		{method: "DELETE", path: one, what: "client_remove_asked", serve: (*visit).deleteClient},
		{method: "GET", path: one + "/sessions", what: "sessions_read", serve: (*visit).getSessions},
		{method: "DELETE", path: one + "/sessions", what: "sessions_end_asked", serve: func(v *visit) { v.change(v.Gate.EndSessions) }},
		{method: "POST", path: at + "/pins", what: "pin_asked", serve: (*visit).issueByAddress},
		{method: "POST", path: one + "/pin", what: "pin_asked", serve: (*visit).issue},
		{method: "DELETE", path: one + "/pin", what: "pin_void_asked", serve: func(v *visit) { v.change(v.Gate.VoidPIN) }},
		{method: "POST", path: one + "/unlock", what: "unlock_asked", serve: func(v *visit) { v.change(v.Gate.Unlock) }},
		{method: "POST", path: one + "/invitation", what: "invitation_asked", serve: (*visit).invite},
		{method: "POST", path: one + "/link", what: "link_asked", serve: (*visit).sendLink},
		{method: "DELETE", path: one + "/google", what: "unlink_asked", serve: func(v *visit) { v.change(v.Gate.Unlink) }},
		{method: "GET", path: one + "/events", what: "client_events_read", serve: (*visit).events},
		{method: "GET", path: at + "/events", what: "events_read", serve: (*visit).allEvents},
	}
}

// visit is one request of one of the staff.
type visit struct {
	*Desk
	w    *noted
	r    *http.Request
	page bool // see route
}

var clientID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// client returns the id of the client that the path names. If it is none, it
// answers and returns false.
func (v *visit) client() (string, bool) {
	if v.w.client == "" {
		v.failed(directory.ErrNotFound)
		return "", false
	}
	return v.w.client, true
}

// about has an answer made about the client that the path names.
func about(answer func(*visit, gate.Sheet)) func(*visit) {
	return func(v *visit) {
		id, ok := v.client()
		if !ok {
			return
		}
		s, err := v.Gate.ClientByID(v.r.Context(), id)
		if err != nil {
			v.failed(err)
			return
		}
		answer(v, s)
	}
}

// asked reads the query: each of these names at most once, and no other. It
// answers and returns false if there is anything else.
func (v *visit) asked(names ...string) (url.Values, bool) {
	q, err := url.ParseQuery(v.r.URL.RawQuery)
	if err != nil {
		v.failed(&trouble{status: http.StatusBadRequest, kind: "query", slots: ui.Slots{"field": "?"}})
		return nil, false
	}
	for name, values := range q {
		if !slices.Contains(names, name) || len(values) > 1 {
			v.failed(&trouble{status: http.StatusBadRequest, kind: "query", slots: ui.Slots{"field": name}})
			return nil, false
		}
	}
	return q, true
}

// maxBody bounds what is sent to the desk, in bytes.
const maxBody = 16 << 10

// read reads what was sent: one JSON object, without members that nobody asked
// for. It answers and returns false if it is anything else. A form, or text
// that happens to be JSON, is refused by its type: those a page of another site
// may send without asking.
func (v *visit) read(into any) bool {
	kind, _, err := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		v.failed(&trouble{status: http.StatusUnsupportedMediaType, kind: "media-type"})
		return false
	}
	d := json.NewDecoder(http.MaxBytesReader(v.w, v.r.Body, maxBody))
	d.DisallowUnknownFields()
	err = d.Decode(into)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more than one value")
		}
	}
	if errors.Is(err, io.EOF) { // nothing at all
		err = nil
	}
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		v.failed(tooLarge(maxBody))
		return false
	}
	if err != nil {
		v.failed(&trouble{status: http.StatusBadRequest, kind: "json", slots: ui.Slots{"text": strings.TrimPrefix(err.Error(), "json: ")}})
		return false
	}
	return true
}

// loopback reports whether a Host header can only ever mean this machine.
func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
