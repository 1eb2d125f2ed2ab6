// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/store"
)

const (
	// leaseTime is longer than anything that is done with a mail: whoever is not
	// done by then has died, and somebody else takes it up.
	leaseTime = time.Minute
	workTime  = leaseTime / 2            // for one mail, the store's part included
	sendTime  = workTime - 5*time.Second // for the mail server's
	// closeTime is how long a mail under way may take when the gate closes, so
	// that it is not cut off and sent twice.
	closeTime = 3 * time.Second

	// Mails that are sent at once: those that nobody has tried yet, and the
	// others. A server that hangs holds up no more than its hands.
	freshHands, againHands = 12, 4
)

// backOff is how long a mail waits that was tried so often. Somebody waits for
// it, so a server that comes back after some minutes is noticed within half a
// minute. It is up to twice as long, so that mails which failed together are tried
// apart.
func backOff(tries int) time.Duration {
	wait := 10 * time.Minute
	switch {
	case tries < 4:
		wait = time.Second << tries
	case tries < 20:
		wait = 15 * time.Second
	case tries < 40:
		wait = time.Minute
	}
	return wait + rand.N(wait)
}

// deliver takes what is due in one lane of the queue and mails it, until ctx is
// done. It leases no more than it begins with at once.
func (rt *Runtime) deliver(ctx context.Context, e *engine, lane store.Lane, hands int) {
	tick := time.NewTicker(time.Second) // for what another try is due for
	defer tick.Stop()
	pause := time.NewTimer(time.Hour)
	defer pause.Stop()
	wake := e.wake
	if lane == store.Again {
		wake = nil // nothing is asked for there
	}
	free := make(chan struct{}, hands)
	for range hands {
		free <- struct{}{}
	}
	var working sync.WaitGroup
	defer working.Wait()
	for {
		n := take(ctx, free)
		if n == 0 {
			return
		}
		items, err := e.backend.Lease(ctx, lane, n, leaseTime)
		for _, it := range items {
			working.Go(func() {
				rt.work(ctx, e, it)
				free <- struct{}{}
			})
		}
		for range n - len(items) {
			free <- struct{}{}
		}
		if err == nil && len(items) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
			// Not at the heels of the request: what the worker does for an
			// address on file must not show in the answers that follow.
			if rt.o.Pause > 0 {
				pause.Reset(rand.N(rt.o.Pause))
				select {
				case <-ctx.Done():
					return
				case <-pause.C:
				}
			}
		case <-tick.C:
		}
	}
}

// take waits for a free hand and takes what others there are. It returns 0 when
// ctx is done.
func take(ctx context.Context, free chan struct{}) (n int) {
	select {
	case <-free:
	case <-ctx.Done():
		return 0
	}
	for n = 1; ; n++ {
		select {
		case <-free:
		default:
			return n
		}
	}
}

// work sends one mail, or gives the item back for another try, which is due by the
// store's clock: by one that is behind, all tries would be made at once.
func (rt *Runtime) work(running context.Context, e *engine, it store.Item) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(running), workTime)
	defer cancel()
	defer context.AfterFunc(running, func() { time.AfterFunc(closeTime, cancel) })()
	c := rt.conf.Load()
	result, err := e.send(ctx, c, it, rt.now())
	closed := running.Err() != nil && ctx.Err() != nil
	var refusal *mail.Refusal
	switch {
	case errors.Is(err, errEarly):
		err = e.backend.Retry(ctx, it.ID, rt.now().Add(noticeWait))
	case closed: // it stays leased, and is sent after the restart
	case err != nil:
		var u unsent
		if errors.As(err, &u) {
			rt.mailServer.tell(c, rt.now(), u.error)
		} else if errors.As(err, &refusal) {
			rt.mailServer.tell(c, rt.now(), nil)
			c.Log.Warn("a mail was not taken yet", zap.String("what", result.what), zap.String("client", result.client), zap.Int("try", it.Tries), zap.Error(err))
		} else {
			c.Log.Error("sending mail", zap.String("what", result.what), zap.Int("try", it.Tries), zap.Error(err))
		}
		rt.meter.retried(result)
		err = e.backend.Retry(ctx, it.ID, rt.now().Add(backOff(it.Tries)))
	default:
		if result.fate != "" && result.fate != mail.Withheld && result.client != "" {
			rt.mailServer.tell(c, rt.now(), nil)
		}
		rt.finished(c, result)
		ev := audit.Event{What: result.what + "_" + string(result.fate), Client: result.client, Note: result.reason}
		if result.fate == "" {
			ev.Client = "" // nothing was sent to anybody
		}
		e.told(rt, ev)
		err = e.backend.Done(ctx, it.ID)
	}
	if err != nil && !closed {
		c.Log.Error("keeping the queue", zap.Error(err))
	}
}

// finished tells what became of a mail, which is also the client's when there
// was none to send.
func (rt *Runtime) finished(c *Config, r came) {
	fields := []zap.Field{zap.String("client", r.client)}
	switch {
	case r.client == "" || r.fate == "":
		rt.audit(c, r.what+"_not_sent", fields...)
	case r.reason != "":
		rt.audit(c, r.what+"_"+string(r.fate), append(fields, zap.String("because", r.reason))...)
	default:
		rt.audit(c, r.what+"_"+string(r.fate), fields...)
	}
}

// send does what a queue item asks for.
func (e *engine) send(ctx context.Context, c *Config, it store.Item, now time.Time) (came, error) {
	var l letter
	if json.Unmarshal(it.Data, &l) != nil || l.Made < e.floor {
		// Not ours to guess at, or made before an earlier copy of the store was
		// put back: dropped.
		return came{what: "mail"}, nil
	}
	if l.Session != "" {
		return e.tell(ctx, c, now, it, l)
	}
	if l.PIN != "" {
		return e.tellPIN(ctx, c, now, it, l)
	}
	if l.Account != "" {
		return e.tellAccount(ctx, c, now, it, l)
	}
	if l.Unlocked || l.Lifted || l.Unlinked != "" {
		return e.tellOfHelp(ctx, c, it, l)
	}
	if l.Moved {
		return e.tellMoved(ctx, c, now, it, l)
	}
	if l.Withdrawn {
		return e.tellWithdrawn(ctx, c, now, it, l)
	}
	if it.Lost {
		// It may have been sent, and its link used, in a history that the store
		// has lost: the same link must not be made good again. Another takes its
		// place, which the browser that asked does not know as its own.
		return came{what: l.kind()}, e.enqueue(ctx, itemID(), l, now, it.Expires)
	}
	return e.sendLink(ctx, c, it, l)
}

// sendLink mails a link, unless the address is not on file or the link is not
// to be sent any more. For an address that is not on file it does the same up
// to the sending, on a record that is nobody's: the worker's work must not tell
// either.
func (e *engine) sendLink(ctx context.Context, c *Config, it store.Item, l letter) (came, error) {
	none := came{what: l.kind()}
	to, err := address.Parse(l.Address)
	if err != nil {
		return none, nil
	}
	client, err := c.Clients.ByAddress(ctx, to)
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		return none, err
	}
	mayMail := err == nil && client.Access && client.EmailOK
	tag, scratch := e.records.Tag(client.ID), e.records.Scratch(to)
	if l.Tag != "" && l.Tag != tag {
		mayMail = false // the address is somebody else's now
	}
	if !mayMail {
		client = directory.Client{Email: to.String(), Name: "Some One"}
		tag = scratch
	}
	link := access.Link{
		Hash: e.keys.linkHash(it.ID), Made: l.Made, Expires: l.Made + l.Life, ReturnTo: l.Back, Shared: l.Shared,
		Invited: l.Invited, Sent: l.Tag != "",
	}
	var state access.State
	withheld := false
	err = e.records.Update(ctx, tag, func(now time.Time, r *access.Record) error {
		if !mayMail {
			*r = access.Record{} // nobody's record is always like one just begun
		}
		r.Bind(now, client.ID, e.records.Address(to))
		withheld = r.NoMail()
		state = r.AddLink(now, link)
		return nil
	})
	if err != nil || state != access.Live {
		return none, err
	}
	m, err := e.compose(c, it, client, tag, l)
	if err != nil && mayMail {
		return none, err
	}
	return e.post(ctx, c, parcel{tag: tag, client: client.ID, nobody: !mayMail, withheld: withheld, mailNote: mailNote{
		ID: messageID(it.ID), Kind: l.kind(), To: e.records.Address(to), Asked: l.Made, Until: it.Expires.Unix(),
	}}, m)
}

// compose writes the mail for a link. Neither it nor its secrets are kept.
func (e *engine) compose(c *Config, it store.Item, to directory.Client, tag string, l letter) (mail.Message, error) {
	secret := e.keys.linkSecret(it.ID)
	link, stop := session.Token(tag, secret), session.Token(tag, e.keys.stopSecret(access.HashOf(secret)))
	if l.Tag != "" {
		return c.fromStaff(it.ID, to, link, stop, l)
	}
	return c.compose(mail.SignIn{
		ID: messageID(it.ID), To: to.Email, First: firstName(to),
		Code: e.keys.mailCode(it.ID), Life: time.Duration(l.Life) * time.Second,
	}, link, stop)
}

func (c *Config) compose(in mail.SignIn, link, stop string) (mail.Message, error) {
	letters, err := mail.NewComposer(c.UI, c.Templates)
	if err != nil {
		return mail.Message{}, err
	}
	in.Link, in.Stop = c.page("/link", link), c.page("/stop", stop)
	return letters.SignIn(in)
}

// page is the URL of one of the gate's pages, for the token in a mail.
func (c *Config) page(at, token string) string {
	return origin(c.PublicURL) + c.Path + at + "?t=" + token
}

// messageID names the mail of a queue item, the same at every attempt.
func messageID(item string) string { return string(access.HashOf([]byte("message " + item))) }

// Check reports why mails could not be written in this configuration. Else it
// would be found when the first client waits for one.
func (c *Config) Check() error {
	sample := session.Token(strings.Repeat("a", session.TagSize), make([]byte, session.SecretSize))
	for _, long := range []string{"", strings.Repeat("W", mail.MaxWords)} { // whatever a name or staff's words do to a template
		to := directory.Client{Email: "ada@example.com", Name: long}
		in := mail.SignIn{ID: "sample", To: to.Email, First: long, Code: "00000000", Life: time.Hour}
		if _, err := c.compose(in, sample, sample); err != nil {
			return err
		}
		for _, invited := range []bool{true, false} {
			l := letter{Invited: invited, Words: long, Life: int64(time.Hour / time.Second)}
			if _, err := c.fromStaff("sample", to, sample, sample, l); err != nil {
				return err
			}
		}
	}
	return nil
}
