// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/portalgate/portalgate/internal/assertion"
	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/store"
)

func init() { caddy.RegisterModule(adminAPI{}) }

// adminAPI is what the operator's commands talk to, on Caddy's admin endpoint,
// which looks after Host and Origin:
//
//	GET  /portalgate/<gate>/condition    what the doctor goes by
//	GET  /portalgate/<gate>/keys         the keys that sign assertions
//	POST /portalgate/<gate>/keys/rotate  {"compromised": true}, or nothing
//	POST /portalgate/<gate>/pins         {"email": "…", "verified_by": "…"}
//	POST /portalgate/<gate>/unlock       {"email": "…"}, or {"id": "…"}
//	POST /portalgate/<gate>/invitations  the same; "message" and "return_to" too
//	POST /portalgate/<gate>/sessions/end {"email": "…"}, or {"id": "…"}
//	GET  /portalgate/<gate>/audit        ?client=&by=&what=&since=&until=&cursor=&limit=
//	GET  /portalgate/<gate>/audit/verify ?head=
//	POST /portalgate/<gate>/mail/try     {"to": "you@example.com"}
//	POST /portalgate/<gate>/clients/find   {"text": "…", "cursor": "…", "limit": 50}
//	POST /portalgate/<gate>/clients/add    {"email": "…", "name": "…", …}
//	POST /portalgate/<gate>/clients/import a list as CSV; ?try=1 changes nothing
//	GET  /portalgate/<gate>/clients/export that list
//
// It has no Provision: an admin endpoint stays where the configuration it came
// with was refused, and would then serve gates that never started. Each
// request looks up what is running.
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.portalgate",
		New: func() caddy.Module { return new(adminAPI) },
	}
}

// Routes implements caddy.AdminRouter.
func (adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/portalgate/{gate}/condition", Handler: gateRoute(http.MethodGet, condition)},
		{Pattern: "/portalgate/{gate}/keys", Handler: gateRoute(http.MethodGet, listKeys)},
		{Pattern: "/portalgate/{gate}/keys/rotate", Handler: gateRoute(http.MethodPost, noted("keys_rotate_asked", rotateKeys))},
		{Pattern: "/portalgate/{gate}/pins", Handler: gateRoute(http.MethodPost, noted("pin_asked", issuePIN))},
		{Pattern: "/portalgate/{gate}/unlock", Handler: gateRoute(http.MethodPost, noted("unlock_asked", unlock))},
		{Pattern: "/portalgate/{gate}/invitations", Handler: gateRoute(http.MethodPost, noted("invitation_asked", invite))},
		{Pattern: "/portalgate/{gate}/sessions/end", Handler: gateRoute(http.MethodPost, noted("sessions_end_asked", endSessions))},
		{Pattern: "/portalgate/{gate}/audit", Handler: gateRoute(http.MethodGet, listAudit)},
		{Pattern: "/portalgate/{gate}/audit/verify", Handler: gateRoute(http.MethodGet, verifyAudit)},
		{Pattern: "/portalgate/{gate}/mail/try", Handler: gateRoute(http.MethodPost, tryMail)},
		{Pattern: "/portalgate/{gate}/clients/find", Handler: gateRoute(http.MethodPost, noted("clients_searched", findClients))},
		{Pattern: "/portalgate/{gate}/clients/add", Handler: gateRoute(http.MethodPost, noted("client_add_asked", addClient))},
		{Pattern: "/portalgate/{gate}/clients/import", Handler: bodyRoute(http.MethodPost, maxList, importClients)},
		{Pattern: "/portalgate/{gate}/clients/export", Handler: gateRoute(http.MethodGet, noted("clients_export_asked", exportClients))},
	}
}

// keySet is the answer of both key routes.
type keySet struct {
	Keys []assertion.Published `json:"keys"`
}

// rotation is what POST keys/rotate takes.
type rotation struct {
	// Compromised says that the keys may be in wrong hands.
	Compromised bool `json:"compromised"`
}

func listKeys(g *liveGate, r *http.Request) (any, error) {
	keys, err := g.runtime.SigningKeys(r.Context())
	return keySet{keys}, err
}

func rotateKeys(g *liveGate, r *http.Request) (any, error) {
	var in rotation
	if err := decodeBody(r, &in); err != nil {
		return nil, err
	}
	keys, err := g.runtime.RotateSigningKeys(r.Context(), in.Compromised)
	return keySet{keys}, err
}

// gateRoute makes one call on the gate that the path names a route. What serve
// returns is the answer, as JSON.
func gateRoute(method string, serve func(*liveGate, *http.Request) (any, error)) caddy.AdminHandler {
	return bodyRoute(method, maxBody, serve)
}

// bodyRoute is gateRoute for requests of another size, in bytes.
func bodyRoute(method string, size int64, serve func(*liveGate, *http.Request) (any, error)) caddy.AdminHandler {
	return caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != method {
			w.Header().Set("Allow", method)
			return apiError(http.StatusMethodNotAllowed, fmt.Errorf("%s takes %s only", r.URL.Path, method))
		}
		g, err := runningGate(r.PathValue("gate"))
		if err != nil {
			return apiError(http.StatusNotFound, err)
		}
		r.Body = http.MaxBytesReader(w, r.Body, size)
		out, err := serve(g, r)
		if err != nil {
			return answerable(err)
		}
		if list, ok := out.(csvText); ok {
			w.Header().Set("Content-Type", "text/csv; charset=utf-8")
			_, err := w.Write(list)
			return err
		}
		w.Header().Set("Content-Type", "application/json")
		return json.NewEncoder(w).Encode(out)
	})
}

// noted is serve, once it is written down that the operator asks for it. What
// could not be written down is not done.
func noted(what string, serve func(*liveGate, *http.Request) (any, error)) func(*liveGate, *http.Request) (any, error) {
	return func(g *liveGate, r *http.Request) (any, error) {
		if err := g.runtime.Note(r.Context(), audit.Event{What: what, By: operator}); err != nil {
			return nil, err
		}
		return serve(g, r)
	}
}

// runningGate returns a gate of the configuration that is running now.
func runningGate(name string) (*liveGate, error) {
	app, err := caddy.ActiveContext().AppIfConfigured("portalgate")
	if err != nil {
		return nil, noGate(name, nil)
	}
	return app.(*App).gate(name)
}

// maxBody bounds what is asked of the admin endpoint, in bytes.
const maxBody = 4 << 10

// decodeBody reads a request's body: nothing, or one JSON object without
// members that nobody asked for.
func decodeBody(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil && d.More() {
		err = errors.New("more than one value")
	}
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return apiError(http.StatusRequestEntityTooLarge, err)
	}
	if err != nil {
		return apiError(http.StatusBadRequest, fmt.Errorf("reading the request: %s", strings.TrimPrefix(err.Error(), "json: ")))
	}
	return nil
}

// answerable is the answer to a call that went wrong. Whoever asked learns what
// they can do about it; Caddy logs the whole error.
//
//   - 404 if nobody on file is meant
//   - 409 if what was asked for has to wait, or cannot be done for this client
//   - 422 if it was not said how a caller was made sure of, or a field is wrong
//   - 503 if the store cannot tell
//   - 500 for all else
func answerable(err error) error {
	if _, done := errors.AsType[caddy.APIError](err); done {
		return err
	}
	if early, ok := errors.AsType[*assertion.TooSoonError](err); ok {
		return apiError(http.StatusConflict, early)
	}
	if invalid, ok := errors.AsType[*directory.Invalid](err); ok {
		return apiError(http.StatusUnprocessableEntity, invalid)
	}
	if taken, ok := errors.AsType[*directory.Taken](err); ok {
		return apiError(http.StatusConflict, taken)
	}
	if errors.Is(err, directory.ErrNotFound) {
		return apiError(http.StatusNotFound, fmt.Errorf("%w; `caddy portalgate clients list` says who is", directory.ErrNotFound))
	}
	for _, told := range []struct {
		err    error
		status int
	}{
		{gate.ErrNoAccess, http.StatusConflict}, {gate.ErrNoPIN, http.StatusConflict}, {gate.ErrLocked, http.StatusConflict},
		{gate.ErrNoConsent, http.StatusConflict}, {gate.ErrWithheld, http.StatusConflict},
		{gate.ErrNotVerified, http.StatusUnprocessableEntity}, {gate.ErrReturnTo, http.StatusUnprocessableEntity}, {gate.ErrWords, http.StatusUnprocessableEntity},
		{gate.ErrElsewhere, http.StatusConflict}, {gate.ErrUnlisted, http.StatusConflict},
		{gate.ErrImportMoved, http.StatusConflict}, {directory.ErrDeleted, http.StatusConflict},
	} {
		if errors.Is(err, told.err) {
			return apiError(told.status, told.err)
		}
	}
	if errors.Is(err, store.ErrUnknown) {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: err,
			Message: "the store does not answer, so it is not known whether anything was done; the server's log says more"}
	}
	return caddy.APIError{HTTPStatus: http.StatusInternalServerError, Err: err,
		Message: "that did not work; the server's log says more"}
}

// apiError is an error that may be told as it is.
func apiError(status int, err error) error {
	return caddy.APIError{HTTPStatus: status, Err: err}
}

// Interface guards
var _ caddy.AdminRouter = (*adminAPI)(nil)
