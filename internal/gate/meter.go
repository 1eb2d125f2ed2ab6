// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/store"
)

// meter counts what a gate does, through all its configurations. A label has
// one of a few values that stand in this package, or a configured method's
// name: what a visitor could choose would be memory that a visitor takes, and
// could be somebody's address (THREATS T05).
type meter struct {
	signIns, links, limits *prometheus.CounterVec
	mails                  *prometheus.CounterVec
	requests               [outcomes]prometheus.Counter
	store                  *prometheus.HistogramVec
	stale                  atomic.Bool // the list of clients cannot be read

	all []prometheus.Collector
}

// outcome is what became of a request.
type outcome int

const (
	wasRefused     outcome = iota // by what it is, whoever asks
	wasElsewhere                  // not to the public URL
	wasOwn                        // for a page of the gate
	wasSignedIn                   // passed on for a client
	wasPublic                     // passed on for nobody
	wasNotSignedIn                // nobody is signed in
	wasUnknown                    // nobody can tell
	outcomes
)

func (o outcome) String() string {
	return [outcomes]string{"refused", "elsewhere", "own", "signed_in", "public", "not_signed_in", "unknown"}[o]
}

// linkEvents are what can become of a link.
var linkEvents = []string{"asked", "sent", "not_sent", "bounced", "withheld", "retried", "used", "stopped"}

// mailFates are what can become of a mail.
var mailFates = []mail.Fate{mail.Sent, mail.Delivered, mail.Delayed, mail.Bounced, mail.Complained, mail.Withheld}

// limitNames are the limits, as the keys begin under which is counted.
var limitNames = []string{
	"ask-browser", "ask-network", "unknown-browser", "unknown-network", "mail-minute", "mail-hour", "mail-day",
	"code", "code-browser", "code-network", "stop", "pin-guesser", "pin-browser", "pin-network", "staff-pin", "staff-mail", "away-network", "away-attempt", "back-network",
	"step-begin", "step-browser", "step-network", "step-unknown-browser", "step-unknown-network", "step-attempt", "step-guesser", "step-secret",
	"step-minute", "step-hour", "step-day",
}

func newMeter(rt *Runtime) *meter {
	m := new(meter)
	gate := prometheus.Labels{"gate": rt.o.Gate}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "portalgate_" + name, Help: help, ConstLabels: gate}, labels)
		m.all = append(m.all, v)
		return v
	}
	// read has a value read when it is asked for: 0 while the store is not open.
	read := func(f func(*engine) float64) func() float64 {
		return func() float64 {
			if e := rt.eng.Load(); e != nil {
				return f(e)
			}
			return 0
		}
	}
	gauge := func(name, help string, f func(*engine) float64) {
		m.all = append(m.all, prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Name: "portalgate_" + name, Help: help, ConstLabels: gate}, read(f)))
	}
	counter := func(name, help string, f func(*engine) float64) {
		m.all = append(m.all, prometheus.NewCounterFunc(
			prometheus.CounterOpts{Name: "portalgate_" + name, Help: help, ConstLabels: gate}, read(f)))
	}

	m.signIns = counters("sign_ins_total", "Sign-ins, and tries that came to nothing, by method and outcome.", "method", "outcome")
	m.links = counters("links_total", "What became of sign-in links.", "event")
	m.mails = counters("mails_total", "What became of mails.", "fate")
	for _, fate := range mailFates {
		m.mails.WithLabelValues(string(fate))
	}
	m.all = append(m.all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "portalgate_mail_server_down", Help: "1 while the mail server takes no mail, as the last one showed.", ConstLabels: gate,
	}, func() float64 {
		if rt.mailServer.down.Load() {
			return 1
		}
		return 0
	}))
	m.limits = counters("limits_hit_total", "Requests that a limit refused, by limit.", "limit")
	requests := counters("requests_total", "Requests, by what the gate made of them.", "outcome")
	for o := range outcomes {
		m.requests[o] = requests.WithLabelValues(o.String())
	}
	for _, event := range linkEvents {
		m.links.WithLabelValues(event) // there from the start, or the first one would not be seen as a rise
	}
	for _, name := range limitNames {
		m.limits.WithLabelValues(limitLabel(name))
	}
	m.store = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "portalgate_store_seconds", Help: "How long calls of the store took, by call and outcome.", ConstLabels: gate,
		Buckets: []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5}, // from memory to a timeout
	}, []string{"op", "outcome"})
	m.all = append(m.all, m.store, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "portalgate_clients_list_stale", Help: "1 while the list of clients cannot be read and an older one is in force.", ConstLabels: gate,
	}, func() float64 {
		if m.stale.Load() {
			return 1
		}
		return 0
	}))

	gauge("live_sessions", "Sessions that are not over, of the clients whose records are in memory.", func(e *engine) float64 {
		if c := rt.conf.Load(); c != nil {
			return float64(e.records.Live(c.Session))
		}
		return 0
	})
	gauge("audit_waiting", "Clients with events that are not in the audit log yet.", func(e *engine) float64 {
		return float64(e.records.Waiting())
	})
	gauge("open_streams", "WebSockets and event streams that are open.", func(e *engine) float64 {
		open, _ := e.records.Streams()
		return float64(open)
	})
	counter("streams_closed_total", "Streams and requests under way that were closed because their session ended.", func(e *engine) float64 {
		_, ended := e.records.Streams()
		return float64(ended)
	})
	counter("assertions_signed_total", "Assertions that were signed, and not taken from memory.", func(e *engine) float64 {
		return float64(e.ring.Signed())
	})
	return m
}

// Metrics are the runtime's metrics, the same as long as it lives. They may be
// registered in any number of registries.
func (rt *Runtime) Metrics() []prometheus.Collector { return rt.meter.all }

// event counts what the audit log is told. Everything that is counted of
// sign-ins and links is counted here, so that the two never differ.
func (m *meter) event(what string, fields []zap.Field) {
	field := func(key string) string {
		for _, f := range fields {
			if f.Key == key {
				return f.String
			}
		}
		return ""
	}
	method := "magic_link"
	signIn := func(outcome string) { m.signIns.WithLabelValues(method, outcome).Inc() }
	link := func(event string) { m.links.WithLabelValues(event).Inc() }
	switch what {
	case "signed_in":
		method = field("method")
		signIn("signed_in")
		if method == "magic_link" {
			link("used")
		}
	case "link_refused":
		signIn(refusal(field("because")))
	case "link_wrong_address":
		if field("by") != "stop" { // nobody signs in there
			signIn("wrong_address")
		}
	case "code_wrong":
		signIn("wrong_code")
	case "code_refused":
		signIn("codes_off")
	case "pin_wrong":
		method = pinMethod
		signIn("wrong_pin")
	case "pin_refused":
		method = pinMethod
		signIn(refusal(field("because")))
	case "account_refused":
		method = field("method")
		signIn(what)
	case "method_refused":
		method = field("method")
		if outcome := field("because"); outcome == "answer" {
			signIn("wrong_answer")
		} else {
			signIn(refusal(outcome))
		}
	case "address_unknown":
		signIn("unknown_address")
	case "link_asked", "link_sent", "link_not_sent", "link_stopped", "link_bounced", "link_withheld":
		link(strings.TrimPrefix(what, "link_"))
	case "invitation_asked", "invitation_sent", "invitation_not_sent", "invitation_bounced", "invitation_withheld":
		link(strings.TrimPrefix(what, "invitation_"))
	}
	if _, fate, ok := strings.Cut(what, "_"); ok && slices.Contains(mailFates, mail.Fate(fate)) {
		m.mails.WithLabelValues(fate).Inc()
	}
}

// retried counts a mail that could not be sent and will be tried again.
func (m *meter) retried(r came) {
	if r.what == "link" || r.what == "invitation" {
		m.links.WithLabelValues("retried").Inc()
	}
	if r.fate != "" {
		m.mails.WithLabelValues(string(r.fate)).Inc()
	}
}

// refusal is the label for why a link did not sign anybody in.
func refusal(because string) string {
	switch access.State(because) {
	case access.Used:
		return "used"
	case access.Expired:
		return "expired"
	case access.NewerAsked, access.NewerSignedIn, access.NewerInvited:
		return "superseded"
	case access.StoppedClient, access.StoppedOffice:
		return "stopped"
	case "limit":
		return "limit"
	}
	return "other"
}

// metered counts which limits refuse.
type metered struct {
	store.Backend
	*meter
}

func (b metered) Allow(ctx context.Context, asks []limit.Ask) (limit.Decision, error) {
	d, err := b.Backend.Allow(ctx, asks)
	if err == nil && !d.Allowed {
		for _, i := range d.Refused {
			name, _, _ := strings.Cut(asks[i].Key, "/")
			b.limits.WithLabelValues(limitLabel(name)).Inc()
		}
	}
	return d, err
}

func limitLabel(name string) string { return strings.ReplaceAll(name, "-", "_") }

// timed observes a call of the store.
func (m *meter) timed(op string, took time.Duration, failure error) {
	outcome := "ok"
	if failure != nil {
		outcome = "failed"
	}
	m.store.WithLabelValues(op, outcome).Observe(took.Seconds())
}
