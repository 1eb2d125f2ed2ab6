// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package providertest is what every sign-in method is held to. A method's own
// test calls [Run] once and then tests what is particular to the method.
//
// It knows no method and needs no server: a method that passes here answers
// any input with exactly one step or one error, whatever a browser sends.
package providertest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/providers"
)

// Run holds a to the contract of package providers.
func Run(t *testing.T, a providers.Authenticator) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.run(t, a) })
	}
}

var checks = []struct {
	name string
	run  func(reporter, providers.Authenticator)
}{
	{"start", start}, {"odd fields", oddFields}, {"concurrent", concurrent}, {"cancelled", cancelled},
}

// reporter is what the checks need of a *testing.T.
type reporter interface {
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Problems holds a to the contract where there is no test: it returns what Run
// would report.
func Problems(a providers.Authenticator) []string {
	var found findings
	for _, c := range checks {
		done := make(chan struct{})
		go func() { // which Fatalf ends
			defer close(done)
			c.run(&found, a)
		}()
		<-done
	}
	return found.said
}

// findings collects what is wrong.
type findings struct {
	mu   sync.Mutex
	said []string
}

func (f *findings) Error(args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = append(f.said, fmt.Sprint(args...))
}

func (f *findings) Errorf(format string, args ...any) { f.Error(fmt.Sprintf(format, args...)) }

func (f *findings) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

// start checks that a sign-in can begin with nothing known about the person.
func start(t reporter, a providers.Authenticator) {
	step, err := a.Start(context.Background(), providers.Request{})
	if err != nil {
		t.Fatalf("Start() = %v; a sign-in must be able to begin", err)
	}
	if err := check(step, nil, nil); err != nil {
		t.Errorf("Start(): %v", err)
	}
	d := a.Describe()
	switch {
	case d.Text == "":
		t.Error("Describe() has no text prefix; nothing could be shown")
	case len(d.Label) > 200:
		t.Errorf("Describe() has a label of %d characters; the contract is at most 200", len(d.Label))
	case d.Life < 0 || d.Life > 24*time.Hour:
		t.Errorf("Describe() has a life of %v; the contract is at most 24h", d.Life)
	case d.Away != (step.Redirect != nil):
		t.Errorf("Describe() says away is %t, and Start() answers otherwise", d.Away)
	case !reflect.DeepEqual(d, a.Describe()):
		t.Error("Describe() answers differently each time")
	}
}

// oddFields sends what no form of ours would send, but anybody can.
func oddFields(t reporter, a providers.Authenticator) {
	for _, req := range odd(t, a) {
		if err := check(a.Continue(context.Background(), req)); err != nil {
			t.Errorf("Continue(%q): %v", req.Fields, err)
		}
		step, err := a.Start(context.Background(), req)
		if err := check(step, nil, err); err != nil {
			t.Errorf("Start(%q): %v", req.Fields, err)
		}
	}
}

// concurrent makes the race detector look at a method used by many people.
func concurrent(t reporter, a providers.Authenticator) {
	requests := odd(t, a)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, req := range requests {
				step, err := a.Start(context.Background(), req)
				if err := check(step, nil, err); err != nil {
					t.Errorf("Start(): %v", err)
				}
				if err := check(a.Continue(context.Background(), req)); err != nil {
					t.Errorf("Continue(): %v", err)
				}
			}
		})
	}
	wg.Wait()
}

// cancelled checks that nobody waits for a method whose person has gone.
func cancelled(t reporter, a providers.Authenticator) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, req := range odd(t, a) {
			// Either an answer that needed no waiting, or an error; both are fine.
			a.Start(ctx, req)
			a.Continue(ctx, req)
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("the method still runs 10 s after its context was cancelled")
	}
}

// odd returns requests with hostile values for the fields that a asks for.
func odd(t reporter, a providers.Authenticator) []providers.Request {
	step, err := a.Start(context.Background(), providers.Request{})
	if err != nil {
		t.Errorf("Start() = %v", err)
		return nil
	}
	names := []string{"", "email", "no-such-field"}
	if step.Ask != nil {
		for _, f := range step.Ask.Fields {
			names = append(names, f.Name)
		}
	}
	values := []string{
		"", " ", "\x00", "\r\nBcc: x@example.com", "name@example.com", "a@b", "@", "<script>",
		"{env.HOME}", "../../etc/passwd", "\xff\xfe", "‮gmo.elpmaxe@eman", strings.Repeat("a", 1<<16),
	}
	requests := []providers.Request{{}, {Fields: map[string]string{}}}
	for _, v := range values {
		fields := make(map[string]string)
		for _, n := range names {
			fields[n] = v
		}
		requests = append(requests, providers.Request{Fields: fields})
	}
	return requests
}

// check returns what is wrong with an answer.
func check(step providers.Step, claim *providers.Claim, err error) error {
	set := 0
	for _, is := range []bool{
		step.Ask != nil, step.Redirect != nil, step.SendLink != nil, step.CheckSecret != nil, claim != nil,
	} {
		if is {
			set++
		}
	}
	denial, denied := errors.AsType[*providers.Denial](err)
	switch {
	case err != nil && set != 0:
		return errors.New("both an error and an answer; the gate would not know which holds")
	case denied && denial.Reason == "" && denial.Text == "":
		return errors.New("a denial without a reason; nothing could be shown")
	case err != nil && !denied:
		return fmt.Errorf("%v; what a browser sends must never break a method, use a *Denial", err)
	case err != nil:
		return nil
	case set != 1:
		return fmt.Errorf("%d members of the answer are set, not 1", set)
	case len(step.State) > 1024:
		return fmt.Errorf("a state of %d bytes; the contract is at most 1024", len(step.State))
	case step.Ask != nil:
		return checkAsk(*step.Ask)
	case step.Redirect != nil:
		return checkRedirect(*step.Redirect)
	case step.SendLink != nil:
		return checkSendLink(*step.SendLink)
	case step.CheckSecret != nil:
		if c := *step.CheckSecret; c.Address == "" || c.Secret == "" {
			return errors.New("nothing to check, or nobody to check it for")
		}
		return nil
	case claim.Subject == "" || len(claim.Subject) > 255:
		return fmt.Errorf("a claim whose subject has %d characters; the contract is 1 to 255", len(claim.Subject))
	}
	return nil
}

func checkAsk(a providers.Ask) error {
	if len(a.Fields) == 0 {
		return errors.New("an ask without fields")
	}
	seen := make(map[string]bool)
	for _, f := range a.Fields {
		switch {
		case f.Name == "" || f.Kind == "":
			return fmt.Errorf("field %q has no name or no kind", f.Name)
		case seen[f.Name]:
			return fmt.Errorf("field %q is asked for twice", f.Name)
		}
		seen[f.Name] = true
	}
	return nil
}

func checkRedirect(r providers.Redirect) error {
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("a redirect to %q, which is no address of another site", r.URL)
	}
	if !slices.Contains(r.Origins, u.Scheme+"://"+u.Host) {
		return fmt.Errorf("a redirect to %s://%s, which is none of its origins %q", u.Scheme, u.Host, r.Origins)
	}
	return nil
}

func checkSendLink(s providers.SendLink) error {
	switch {
	case s.Address == "":
		return errors.New("a link to nowhere")
	case s.Life <= 0 || s.Life > 24*time.Hour:
		return fmt.Errorf("a link that lives %v; the contract is more than nothing and at most 24h", s.Life)
	}
	return nil
}
