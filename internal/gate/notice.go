// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/store"
)

// A client is told by mail of every sign-in from a browser that was not known
// to be theirs, with a press that ends it.

const (
	// noticeWait is how long a sign-in may take from the queueing of its
	// notice. That comes first, so that no crash can open a session that nobody
	// is told of, and what takes longer is not done.
	noticeWait = 5 * time.Second
	// noticeLate is how long a notice waits for its session before it is
	// dropped: the clocks of gate and store may differ.
	noticeLate = 2 * time.Minute
)

var (
	nobody   access.Stranger
	errEarly = errors.New("the session is not there yet")
)

// tells reports whether a client is told of a sign-in: always of one by a PIN,
// which somebody else has given out (NIST SP 800-63B-4, 4.6).
func tells(method string, known bool) bool { return !known || method == pinMethod }

// announce queues the notice of a session that is about to be opened for a
// client, if they are to be told. It reports whether it did: see unannounced.
func (v *visit) announce(ctx context.Context, tag string, in access.Redemption) (bool, error) {
	r, err := v.eng.records.Get(ctx, tag)
	if err = ignoreNotFound(err); err != nil {
		return false, err
	}
	if r == nil {
		r = new(access.Record) // of a client who has never been here
	}
	if in.Bind.Hash != "" && r.Recognizes(in.Bind, false) == access.Unproved {
		id := fmt.Sprintf("notice-account-%s-%d", in.Bind.Hash, v.now.Unix()/int64(noticeLate/time.Second/2))
		l := letter{Made: v.now.Unix(), Tag: tag, Account: in.Bind.Hash}
		if err := v.eng.enqueue(ctx, id, l, v.now.Add(noticeWait), v.now.Add(24*time.Hour)); err != nil {
			return false, err
		}
	}
	if !tells(in.Method, r.Knows(v.now, in.Browser)) || in.Code && r.CodesOff() {
		return false, nil
	}
	// A try that came to nothing leaves its notice behind, which is dropped
	// before long: the next one must not rely on it.
	id := fmt.Sprintf("notice-%s-%d", in.Session, v.now.Unix()/int64(noticeLate/time.Second/2))
	return true, v.eng.enqueue(ctx, id, letter{Made: v.now.Unix(), Tag: tag, Session: in.Session},
		v.now.Add(noticeWait), v.now.Add(24*time.Hour))
}

// unannounced reports that a session must not be opened now, because its client
// could not count on being told.
func (v *visit) unannounced(method string, announced, known bool) bool {
	if !tells(method, known) {
		return false
	}
	return !announced || v.rt.now().Sub(v.now) > noticeWait-time.Second
}

// tell mails a notice, if there is somebody to tell.
func (e *engine) tell(ctx context.Context, c *Config, now time.Time, it store.Item, l letter) (came, error) {
	none := came{what: "notice"}
	r, err := e.records.Get(ctx, l.Tag)
	if err = ignoreNotFound(err); err != nil {
		return none, err
	}
	var s access.Session
	found := false
	if r != nil {
		s, found = r.Session(l.Session)
	}
	switch {
	case !found && now.Unix() < l.Made+int64(noticeLate/time.Second):
		return none, errEarly
	case !found:
		return none, nil // the sign-in came to nothing
	}
	to, bound, err := e.records.OnFile(ctx, c.Clients, r.Client)
	if err != nil {
		return none, err
	}
	if !r.BoundTo(r.Client, bound) || s.Why == access.ByPractice || !to.EmailOK {
		return none, nil // nor is it the business of who has that row now
	}
	letters, err := mail.NewComposer(c.UI, c.Templates)
	if err != nil {
		return none, err
	}
	compose := letters.NewBrowser
	if s.Method == pinMethod {
		compose = letters.PINUsed
	}
	m, err := compose(mail.Notice{
		ID: messageID("notice " + string(l.Session)), To: to.Email, First: firstName(to), Kind: s.Kind, When: time.Unix(s.Made, 0),
		Stop: c.page("/stop", session.Token(l.Tag, e.keys.expelSecret(s.Stranger()))),
	})
	if err != nil {
		return none, err
	}
	return e.post(ctx, c, parcel{tag: l.Tag, client: to.ID, withheld: r.NoMail(), mailNote: mailNote{
		ID: messageID("notice " + string(l.Session)), Kind: "notice", To: bound, Asked: l.Made, Until: it.Expires.Unix(),
	}}, m)
}

// stranger returns whom a stop token names.
func (e *engine) stranger(r *access.Record, given access.Hash) access.Stranger {
	for _, s := range r.Strangers() {
		if access.HashOf(e.keys.expelSecret(s)) == given {
			return s
		}
	}
	return nobody
}

// takeAway does what the stop link of a notice is for, and notes it if do reports
// that it changed anything.
func (v *visit) takeAway(o opened, event string, do func(time.Time, *access.Record) bool) {
	changed := false
	err := v.eng.records.Update(v.r.Context(), o.tag, func(now time.Time, r *access.Record) error {
		if changed = do(now, r); !changed {
			return store.ErrUnchanged
		}
		return nil
	})
	if err != nil {
		v.unknown(err)
		return
	}
	if changed {
		v.audit(event, zap.String("client", o.client.ID))
	}
	v.redirect(v.Path + "/stop#")
}
