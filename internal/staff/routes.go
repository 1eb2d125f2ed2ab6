// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/reply"
	"github.com/portalgate/portalgate/internal/store"
)

// route is one address of the desk, for one method.
type route struct {
	method, path string
	serve        func(*visit)
}

// table lists every route. What is not in it does not exist.
func (d *Desk) table() []route {
	const api = "/api/v1"
	return []route{
		{"POST", api + "/pins", (*visit).issueByAddress},
		{"POST", api + "/clients/{id}/pin", (*visit).issue},
		{"DELETE", api + "/clients/{id}/pin", func(v *visit) { v.change(v.Gate.VoidPIN) }},
		{"POST", api + "/clients/{id}/unlock", func(v *visit) { v.change(v.Gate.Unlock) }},
		{"POST", api + "/clients/{id}/invitation", (*visit).invite},
		{"POST", api + "/clients/{id}/link", (*visit).sendLink},
		{"DELETE", api + "/clients/{id}/google", func(v *visit) { v.change(v.Gate.Unlink) }},
		{"GET", api + "/clients/{id}/events", (*visit).events},
	}
}

// visit is one request of one of the staff.
type visit struct {
	*Desk
	w *noted
	r *http.Request
}

var clientID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// client returns the id of the client that the path names. If it is none, it
// answers and returns false.
func (v *visit) client() (string, bool) {
	id := v.r.PathValue("id")
	if !clientID.MatchString(id) {
		v.failed(directory.ErrNotFound)
		return "", false
	}
	v.w.client = id
	return id, true
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
		reply.Problem(v.w, v.r, http.StatusUnsupportedMediaType, "media-type", "Send JSON, as application/json.", nil)
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
		reply.Problem(v.w, v.r, http.StatusRequestEntityTooLarge, "too-large", "That is more than 16 KiB.", nil)
		return false
	}
	if err != nil {
		reply.Problem(v.w, v.r, http.StatusBadRequest, "json", "That cannot be read: "+strings.TrimPrefix(err.Error(), "json: ")+".", nil)
		return false
	}
	return true
}

// failed answers why something was not done. People at the desk read it to a
// caller, so it says what to do; the cause goes to the log.
//
//   - 404 if nobody on file is meant
//   - 409 if the client may have no PIN or mail now, or the gate takes no PIN
//   - 422 if a field is wrong
//   - 503 if the store cannot tell
//   - 500 for all else
func (v *visit) failed(err error) {
	problem := func(status int, kind, title string) { reply.Problem(v.w, v.r, status, kind, title, nil) }
	switch {
	case errors.Is(err, directory.ErrNotFound):
		problem(http.StatusNotFound, "not-on-file", "Nobody like that is on file. Check the spelling.")
	case errors.Is(err, gate.ErrNoAccess):
		problem(http.StatusConflict, "no-access", "Portal access is off for this client. Turn it on first.")
	case errors.Is(err, gate.ErrLocked):
		problem(http.StatusConflict, "locked", "Wrong PINs have turned PINs off for this client. Unlock the client first.")
	case errors.Is(err, gate.ErrNoPIN):
		problem(http.StatusConflict, "no-pin", "This gate has no sign-in by PIN. Its operator can add it: sign_in pin.")
	case errors.Is(err, gate.ErrNoConsent):
		problem(http.StatusConflict, "no-consent", "This client does not want email. Make a PIN instead.")
	case errors.Is(err, gate.ErrWithheld):
		problem(http.StatusConflict, "withheld", "This client has called a mail of yours spam. Ask, and then unlock the client first.")
	case errors.Is(err, gate.ErrReturnTo):
		v.invalid("return_to", "That is no page of your portal. Write its path, such as /forms/intake, in at most 512 characters.")
	case errors.Is(err, gate.ErrWords):
		v.invalid("message", "That is too long. Write at most 500 characters.")
	case errors.Is(err, gate.ErrNotVerified):
		v.invalid("verified_by", "First make sure who is calling. Then say how, in at most 200 characters.")
	case errors.Is(err, store.ErrUnknown):
		v.Log.Error("the desk cannot tell", zap.Error(err))
		v.w.Header().Set("Retry-After", "2")
		problem(http.StatusServiceUnavailable, "unavailable", "It is not known whether that was done. Try again.")
	default:
		v.Log.Error("the desk has failed", zap.Error(err))
		problem(http.StatusInternalServerError, "failed", "That did not work. The server's log says more.")
	}
}

// invalid answers that a field is wrong.
func (v *visit) invalid(field, title string) {
	reply.Problem(v.w, v.r, http.StatusUnprocessableEntity, "field", title, map[string]any{"field": field})
}

// tooMany answers that the limit was reached of so many things.
func (v *visit) tooMany(what string, wait time.Duration) {
	v.w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	reply.Problem(v.w, v.r, http.StatusTooManyRequests, "too-many", "That were many "+what+" in a minute. Wait a little.", nil)
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
