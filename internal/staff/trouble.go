// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"cmp"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/reply"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/ui"
)

// trouble is why something was not done. People at the desk read it to a caller,
// so its text says what to do next.
type trouble struct {
	status int
	// kind is what programs go by, the last part of the problem's type. The text is
	// in the catalogue under "desk.no." and kind, or text if that is set.
	kind, text string
	// field is the one that is wrong; empty if it is none.
	field string
	slots ui.Slots
	// wait is when it may be tried again; zero if that does not help.
	wait time.Duration
	// more are further members for programs.
	more map[string]any
	// cause is for the log; nil if there is nothing for an operator to see.
	cause error
}

func (t *trouble) Error() string { return t.kind }

// title says it to people.
func (t *trouble) title(u *ui.UI) string { return u.Text(t.key(), t.slots) }

func (t *trouble) key() string { return "desk.no." + cmp.Or(t.text, t.kind) }

// wrongField is that a field cannot be as it is.
func wrongField(field, text string) *trouble {
	return &trouble{status: http.StatusUnprocessableEntity, kind: "field", text: text, field: field}
}

// tooMany is that the limit was reached of so many things.
func tooMany(text string, wait time.Duration) *trouble {
	return &trouble{status: http.StatusTooManyRequests, kind: "too-many", text: text, wait: wait}
}

// tooLarge is that more was sent than so many bytes.
func tooLarge(size int64) *trouble {
	return &trouble{
		status: http.StatusRequestEntityTooLarge, kind: "too-large", slots: ui.Slots{"n": strconv.FormatInt(size>>10, 10)},
	}
}

// refusals are those that say all by themselves.
var refusals = []struct {
	err    error
	status int
	kind   string
}{
	{directory.ErrNotFound, http.StatusNotFound, "not-on-file"},
	{gate.ErrNoAccess, http.StatusConflict, "no-access"},
	{gate.ErrLocked, http.StatusConflict, "locked"},
	{gate.ErrNoPIN, http.StatusConflict, "no-pin"},
	{gate.ErrNoConsent, http.StatusConflict, "no-consent"},
	{gate.ErrWithheld, http.StatusConflict, "withheld"},
	{gate.ErrElsewhere, http.StatusConflict, "elsewhere"},
	{gate.ErrUnlisted, http.StatusConflict, "unlisted"},
	{gate.ErrImportMoved, http.StatusConflict, "moved"},
	{directory.ErrDeleted, http.StatusConflict, "deleted"},
	{directory.ErrChanged, http.StatusPreconditionFailed, "changed"},
}

// explain says why something was not done. What is not known to be anybody's
// fault is ours.
func explain(err error) *trouble {
	var t *trouble
	var taken *directory.Taken
	var invalid *directory.Invalid
	switch {
	case errors.As(err, &t):
		return t
	case errors.As(err, &taken):
		name := cmp.Or(taken.By.Name, taken.By.ID)
		return &trouble{
			status: http.StatusConflict, kind: "taken", field: "email", more: map[string]any{"taken_by": taken.By.ID},
			slots: ui.Slots{"name": name, "address": taken.By.Email},
		}
	case errors.As(err, &invalid):
		t := wrongField(invalid.Field, "field.kept")
		t.slots = ui.Slots{"field": invalid.Field, "text": invalid.Text}
		return t
	case errors.Is(err, audit.ErrCursor):
		return &trouble{status: http.StatusBadRequest, kind: "query", slots: ui.Slots{"field": "cursor"}}
	case errors.Is(err, gate.ErrReturnTo):
		return wrongField("return_to", "field.return_to")
	case errors.Is(err, gate.ErrWords):
		return wrongField("message", "field.message")
	case errors.Is(err, gate.ErrNotVerified):
		return wrongField("verified_by", "field.verified_by")
	}
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return &trouble{status: r.status, kind: r.kind}
		}
	}
	if errors.Is(err, store.ErrUnknown) {
		return &trouble{status: http.StatusServiceUnavailable, kind: "unavailable", wait: 2 * time.Second, cause: err}
	}
	return &trouble{status: http.StatusInternalServerError, kind: "failed", cause: err}
}

// failed answers that something was not done, and tells the log why if the
// operator can do anything about it.
func (v *visit) failed(err error) {
	t := explain(err)
	v.w.refused = t.kind
	if t.cause != nil {
		v.Log.Error("the desk has failed", zap.Error(t.cause))
	}
	if t.wait > 0 {
		v.w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(t.wait.Seconds()))))
	}
	if v.page {
		v.trouble(t)
		return
	}
	more := map[string]any{}
	for name, value := range t.more {
		more[name] = value
	}
	if t.field != "" {
		more["field"] = t.field
	}
	reply.Problem(v.w, v.r, t.status, t.kind, t.title(v.UI), more)
}
