// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"strconv"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/ui"
)

// Press is the one thing that staff can do about what is in a client's way.
type Press string

// The presses.
const (
	Nothing       Press = ""
	LookAgain     Press = "look_again"
	AddClient     Press = "add_client"
	GiveAccess    Press = "give_access"
	RecordConsent Press = "record_consent"
	ChangeAddress Press = "change_address"
	SendLink      Press = "send_link"
	MakePIN       Press = "make_pin"
	Unlock        Press = "unlock"
	LiftWait      Press = "lift_wait"
	Unlink        Press = "unlink"
)

// Route is the route of the desk that does it; empty for Nothing.
func (p Press) Route() string {
	const client = " /api/v1/clients/{id}"
	switch p {
	case LookAgain:
		return "GET" + client
	case AddClient:
		return "POST /api/v1/clients"
	case GiveAccess, RecordConsent, ChangeAddress:
		return "PATCH" + client
	case SendLink:
		return "POST" + client + "/link"
	case MakePIN:
		return "POST" + client + "/pin"
	case Unlock, LiftWait:
		return "POST" + client + "/unlock"
	case Unlink:
		return "DELETE" + client + "/google"
	}
	return ""
}

// Reason is why a client cannot get in now.
type Reason struct {
	// Key is that of the sentence that says it, in the catalogue.
	Key string
	// Do is the press that helps most.
	Do Press
	// What the sentence needs: when it was, or until when it is; how often; why
	// not, in the words of package mail; what a method is called.
	At      time.Time
	N       int
	Because string
	Method  string
}

// recent is how long something that went wrong is told as the reason why a
// client who calls now cannot get in.
const recent = 24 * time.Hour

// Why says in one sentence why a client cannot get in now, and which one press
// helps. Of several reasons it is the first of these:
//
//  1. Nobody can tell: the list of clients or the store does not answer.
//  2. Nobody like that is on file.
//  3. Portal access is off: nothing else would help.
//  4. PINs are off after too many wrong ones. That takes staff.
//  5. The PIN that works was typed wrong.
//  6. Another account than the one that was linked was shown.
//  7. A PIN has expired, and nothing was mailed since.
//  8. There is no consent to email, and hence no mail.
//  9. Mail is held back, because one was called spam.
//  10. The last mail bounced.
//  11. The mail server takes no mail.
//  12. The last mail was delayed on its way, or has not left yet.
//  13. Links were asked for so often that the next mail has to wait.
//  14. The mailed links have expired, were replaced by newer ones, or switched off.
//  15. Codes are off after too many wrong ones. Links go on working.
//
// Then nothing is in the way, and it says what is to be expected: a link or a
// PIN that waits to be used, that the client is signed in, or that nobody has
// tried. Up to 5 a way in stands open and staff have it in hand; from 6 on
// nothing that is older than a session that is going on is in its owner's way.
func Why(in gate.Standing) Reason {
	switch {
	case in.Unknown:
		return Reason{Key: "why.unknown", Do: LookAgain}
	case in.Client.ID == "":
		return Reason{Key: "why.nobody", Do: AddClient}
	case !in.Client.Access:
		return Reason{Key: "why.access", Do: GiveAccess}
	case in.Record.PINsClosed(in.Now):
		return Reason{Key: "why.pin.off", Do: Unlock}
	}
	w := weigh(in)
	if r, found := w.pinOrAccount(); found {
		return r
	}
	if !w.signedIn {
		if r, found := w.noMail(); found {
			return r
		}
	}
	if r, found := w.lastMail(); found {
		return r
	}
	if r, found := w.links(); found {
		return r
	}
	return w.nothing()
}

// weighed is a Standing of which is known what still counts.
type weighed struct {
	gate.Standing
	signedIn bool
	// since is when the session that is going on was opened, or a day ago: what
	// is older is nobody's reason to call.
	since time.Time
	last  gate.Mailed // the last mail since; zero if there is none
	link  access.Link // the newest that works
	past  access.Past // the link that was over last, since
	pin   access.PIN  // the one that works
	spent access.Past // the PIN that was over last, since
}

func weigh(in gate.Standing) weighed {
	w := weighed{Standing: in, since: in.Now.Add(-recent)}
	for _, s := range in.Record.Live(in.Now, in.Lifetimes) {
		w.signedIn = true
		if at := time.Unix(s.Made, 0); at.After(w.since) {
			w.since = at
		}
	}
	if len(in.Mails) > 0 && !in.Mails[0].Asked.Before(w.since) {
		w.last = in.Mails[0]
	}
	for _, l := range in.Record.Links {
		switch {
		case in.Now.Unix() < l.Expires && l.Made >= w.link.Made:
			w.link = l
		case in.Now.Unix() >= l.Expires: // over, and not yet put down as such
			w.over(access.Past{State: access.Expired, At: l.Expires, Life: l.Expires - l.Made})
		}
	}
	for _, p := range in.Record.Past {
		w.over(p)
	}
	pin, live := in.Record.LivePIN(in.Now)
	if live {
		w.pin = pin
	} else if c := in.Record.PINs; c != nil && c.Live != nil {
		w.over(access.Past{State: access.Expired, At: c.Live.Expires, Life: c.Live.Expires - c.Live.Made, PIN: true})
	}
	return w
}

// over notes what became of a link or a PIN, if it is news.
func (w *weighed) over(p access.Past) {
	known := &w.past
	if p.PIN {
		known = &w.spent
	}
	if p.Life == 0 {
		return // an account, which has no end of its own
	}
	if p.At > w.since.Unix() && p.At >= known.At {
		*known = p
	}
}

// pinOrAccount is what went wrong with a PIN, or with an account elsewhere.
func (w *weighed) pinOrAccount() (Reason, bool) {
	if w.pin.Tries > 0 {
		return Reason{Key: "why.pin.wrong", Do: MakePIN, N: w.pin.Tries}, true
	}
	for _, e := range w.Record.Events {
		if e.What == "account_refused" && e.At > w.since.Unix() && w.bound(e.Method) {
			return Reason{Key: "why.account", Do: Unlink, At: time.Unix(e.At, 0), Method: w.Methods[e.Method]}, true
		}
	}
	if w.spent.State == access.Expired && !w.last.Asked.After(time.Unix(w.spent.At, 0)) {
		return Reason{Key: "why.pin.expired", Do: MakePIN, At: time.Unix(w.spent.At, 0)}, true
	}
	return Reason{}, false
}

// bound reports whether an account of a method is the client's: if it is not
// any more, the next one is.
func (w *weighed) bound(method string) bool {
	return w.Record.Subject(func(s access.Subject) bool { return s.Method == method }).Hash != ""
}

// noMail is why nothing is mailed at all. A bounce counts until a later mail
// fares better, however long ago it was.
func (w *weighed) noMail() (Reason, bool) {
	switch {
	case w.pin.ID != "": // there is no need of mail
		return Reason{}, false
	case !w.Client.EmailOK:
		return Reason{Key: "why.consent", Do: RecordConsent}, true
	case w.Record.NoMail():
		return Reason{Key: "why.complaint", Do: Unlock}, true
	}
	if len(w.Mails) > 0 && w.Mails[0].Fate == mail.Bounced {
		m := w.Mails[0]
		r := Reason{Key: "why.bounced", Do: ChangeAddress, At: m.At, Because: m.Reason}
		if m.Reason == "" {
			r.Key = "why.bounced.bare"
		}
		return r, true
	}
	return Reason{}, false
}

// lastMail is why the last mail is not there, or another one not to be had.
func (w *weighed) lastMail() (Reason, bool) {
	waits := w.last.Fate == mail.Queued || w.last.Fate == mail.Delayed
	switch {
	case w.MailDown && (waits || !w.signedIn && w.pin.ID == ""):
		return Reason{Key: "why.mail.down", Do: w.withoutMail()}, true
	case w.last.Fate == mail.Delayed:
		return Reason{Key: "why.mail.delayed", Do: w.withoutMail(), At: w.last.Asked}, true
	case w.last.Fate == mail.Queued:
		return Reason{Key: "why.mail.queued", Do: w.withoutMail(), At: w.last.Asked}, true
	case !w.signedIn && w.pin.ID == "" && w.NextMail.After(w.Now):
		return Reason{Key: "why.wait", Do: LiftWait, At: w.NextMail}, true
	}
	return Reason{}, false
}

// withoutMail is a PIN, where there are any. A link that staff send has limits
// of its own.
func (w *weighed) withoutMail() Press {
	if w.TakesPIN {
		return MakePIN
	}
	return SendLink
}

// links is what is wrong with the links, or with their codes.
func (w *weighed) links() (Reason, bool) {
	r := Reason{Do: SendLink, At: time.Unix(w.past.At, 0)}
	live := w.link.Hash != ""
	switch w.past.State {
	case access.NewerAsked, access.NewerInvited:
		r.Key = "why.link.newer"
	case access.Expired:
		r.Key = "why.link.expired"
	case access.StoppedClient, access.StoppedOffice:
		r.Key = "why.link.stopped"
	case access.Used, access.NewerSignedIn:
		r.Key = "why.link.used"
	}
	switch {
	case r.Key == "why.link.newer", r.Key != "" && !live:
		return r, true
	case w.Record.CodesOff() && !w.signedIn:
		return Reason{Key: "why.codes", Do: Unlock}, true
	}
	return Reason{}, false
}

// nothing says what is to be expected where nothing is in the way.
func (w *weighed) nothing() Reason {
	switch {
	case w.pin.ID != "":
		return Reason{Key: "why.pin.live", At: time.Unix(w.pin.Expires, 0)}
	case w.last.ID != "" && w.link.Hash != "":
		return Reason{Key: "why.link.live", At: w.last.Asked}
	case w.signedIn:
		return Reason{Key: "why.in"}
	}
	return Reason{Key: "why.quiet", Do: SendLink}
}

// Say says a reason in the words and the time zone of a practice, at now.
func (r Reason) Say(u *ui.UI, now time.Time) string {
	slots := ui.Slots{"n": strconv.Itoa(r.N), "because": r.Because, "method": r.Method}
	if !r.At.IsZero() {
		at := ui.Slots{"date": u.Day(r.At), "time": u.Clock(r.At)}
		slots["when"] = u.Text("why.when.on", at)
		if u.Day(r.At) == u.Day(now) {
			slots["when"] = u.Text("why.when.at", at)
		}
	}
	key := r.Key
	if key == "why.pin.wrong" && r.N == 1 {
		key += ".once"
	}
	return u.Text(key, slots)
}
