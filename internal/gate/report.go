// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/store"
)

const (
	maxReport = 64 << 10 // bytes; most have 4 KB
	// onceLife is how long a report's name is remembered: longer than one is
	// taken for after it was signed, whatever the clocks say.
	onceLife = time.Hour
)

var errSeen = errors.New("this report was here before")

// report takes what the mail service says has become of a mail. It is refused
// unless the service has signed it, just now and once.
//
//   - 200: noted, or of no interest
//   - 401: not signed, too old, or a copy
//   - 413: too large to be one, or too slow
//   - 503: the store cannot tell; the service comes again
func (v *visit) report() {
	body, err := v.body(maxReport)
	if err != nil {
		v.problem(http.StatusRequestEntityTooLarge, "report", "This is no report.")
		return
	}
	r, err := v.Reports.Read(body, v.now)
	if err == nil {
		err = v.once(r)
	}
	if errors.Is(err, store.ErrUnknown) {
		v.unknown(err)
		return
	}
	if err != nil {
		v.audit("report_refused", zap.String("because", err.Error()))
		v.problem(http.StatusUnauthorized, "report", "This report is not accepted.")
		return
	}
	if err := v.note(r); err != nil {
		// The service comes again with the same report, which is then no copy.
		if err := v.forget(r); err != nil {
			v.Log.Error("a report of the mail service is lost", zap.Error(err))
		}
		v.unknown(err)
		return
	}
	v.w.WriteHeader(http.StatusOK)
}

func onceKey(r mail.Report) string { return "report/" + string(access.HashOf([]byte(r.Once))) }

// once takes a report's name, or returns errSeen.
func (v *visit) once(r mail.Report) error {
	return v.eng.backend.Update(v.r.Context(), onceKey(r), func(now time.Time, old store.Value) (store.Value, error) {
		if old.Data != nil {
			return store.Value{}, errSeen
		}
		return store.Value{Data: []byte("1"), Expires: now.Add(onceLife)}, nil
	})
}

func (v *visit) forget(r mail.Report) error {
	return v.eng.backend.Update(v.r.Context(), onceKey(r), func(time.Time, store.Value) (store.Value, error) {
		return store.Value{}, nil
	})
}

// note keeps what a report says. One of another program's mail says nothing. A
// complaint goes into the client's record first: if that fails, it is still news
// when the service comes again.
func (v *visit) note(r mail.Report) error {
	tag, id, ok := v.eng.keys.openMailRef(r.Ref)
	if !ok || r.Fate == "" {
		return nil
	}
	told := false // by the record
	if r.Fate == mail.Complained {
		var err error
		if told, err = v.complain(tag, id, r.Reason); err != nil {
			return err
		}
	}
	client, news := "", false
	err := v.eng.keepPostbag(v.r.Context(), tag, func(_ time.Time, p *postbag) {
		if p.find(id) == nil { // it was quicker than who has sent it
			p.note(mailNote{ID: id, Kind: "mail", Fate: mail.Queued, Asked: r.At.Unix(), Until: r.At.Unix()}, r.At)
		}
		client, news = p.Client, p.became(id, r.Fate, r.Reason, r.At)
	})
	if err != nil || !news {
		return err
	}
	if !told {
		v.eng.told(v.rt, audit.Event{What: "mail_" + string(r.Fate), Client: client, Note: r.Reason})
	}
	v.rt.audit(v.Config, "mail_"+string(r.Fate), zap.String("client", client), zap.String("because", r.Reason))
	return nil
}

// complain has nothing mailed any more to where a mail went, and reports whether
// that is new.
func (v *visit) complain(tag, id, reason string) (changed bool, err error) {
	p, err := v.eng.postbag(v.r.Context(), tag)
	if err != nil {
		return false, err
	}
	var to access.Hash
	if m := p.find(id); m != nil {
		to = m.To
	}
	ctx := session.Acting(v.r.Context(), access.Cause{Note: reason})
	err = v.eng.records.Update(ctx, tag, func(now time.Time, r *access.Record) error {
		before := r.Spam
		r.Complain(now, cmp.Or(to, r.Address))
		if changed = r.Spam != before; !changed {
			return store.ErrUnchanged
		}
		return nil
	})
	return changed, err
}
