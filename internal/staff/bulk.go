// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"mime"
	"net/http"

	"github.com/portalgate/portalgate/internal/reply"
)

// importClients takes a list of clients, or only says what that would do. What is
// wrong with the list is in the report: then nothing was changed.
func (v *visit) importClients() {
	q, ok := v.asked("dry_run")
	if !ok {
		return
	}
	dry := q.Has("dry_run")
	if dry && q.Get("dry_run") != "1" {
		v.failed(wrongField("dry_run", "field.dry_run"))
		return
	}
	if kind, _, err := mime.ParseMediaType(v.r.Header.Get("Content-Type")); err != nil || kind != "text/csv" {
		v.failed(&trouble{status: http.StatusUnsupportedMediaType, kind: "media-type", text: "csv"})
		return
	}
	report, err := v.Gate.ImportClients(v.r.Context(), v.r.Body, dry, v.w.by)
	if err != nil {
		v.failed(err)
		return
	}
	reply.JSON(v.w, v.r, http.StatusOK, report)
}

// exportClients gives everybody on file as a list.
func (v *visit) exportClients() {
	if _, ok := v.asked(); ok {
		v.sendList()
	}
}

// sendList answers with everybody on file.
func (v *visit) sendList() {
	out := &list{v: v}
	switch err := v.Gate.ExportClients(v.r.Context(), out, v.w.by); {
	case err != nil && !out.begun:
		v.failed(err)
	case err != nil:
		panic(http.ErrAbortHandler) // half a list must not look like a whole one
	}
}

// list is a list of clients as it is answered. Until there is something of it,
// something else can be.
type list struct {
	v     *visit
	begun bool
}

func (l *list) Write(p []byte) (int, error) {
	if !l.begun {
		l.begun = true
		h := l.v.w.Header()
		h.Set("Content-Type", "text/csv; charset=utf-8")
		h.Set("Content-Disposition", `attachment; filename="clients.csv"`)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		l.v.w.WriteHeader(http.StatusOK)
	}
	return l.v.w.Write(p)
}
