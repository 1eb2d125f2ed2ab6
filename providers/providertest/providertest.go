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
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/providers"
)

// Run holds a to the contract of package providers.
func Run(t *testing.T, a providers.Authenticator) {
	t.Helper()
	t.Run("start", func(t *testing.T) { start(t, a) })
	t.Run("odd fields", func(t *testing.T) { oddFields(t, a) })
	t.Run("concurrent", func(t *testing.T) { concurrent(t, a) })
	t.Run("cancelled", func(t *testing.T) { cancelled(t, a) })
}

// start checks that a sign-in can begin with nothing known about the person.
func start(t *testing.T, a providers.Authenticator) {
	step, err := a.Start(context.Background(), providers.Request{})
	if err != nil {
		t.Fatalf("Start() = %v; a sign-in must be able to begin", err)
	}
	if err := check(step, nil); err != nil {
		t.Errorf("Start(): %v", err)
	}
}

// oddFields sends what no form of ours would send, but anybody can.
func oddFields(t *testing.T, a providers.Authenticator) {
	for _, req := range odd(t, a) {
		step, err := a.Continue(context.Background(), req)
		if err := check(step, err); err != nil {
			t.Errorf("Continue(%q): %v", req.Fields, err)
		}
		if err := check(a.Start(context.Background(), req)); err != nil {
			t.Errorf("Start(%q): %v", req.Fields, err)
		}
	}
}

// concurrent makes the race detector look at a method used by many people.
func concurrent(t *testing.T, a providers.Authenticator) {
	requests := odd(t, a)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, req := range requests {
				if err := check(a.Start(context.Background(), req)); err != nil {
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
func cancelled(t *testing.T, a providers.Authenticator) {
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
func odd(t *testing.T, a providers.Authenticator) []providers.Request {
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
func check(step providers.Step, err error) error {
	set := 0
	for _, is := range []bool{step.Ask != nil, step.SendLink != nil} {
		if is {
			set++
		}
	}
	denial, denied := errors.AsType[*providers.Denial](err)
	switch {
	case err != nil && set != 0:
		return errors.New("both an error and a step; the gate would not know which holds")
	case denied && denial.Reason == "":
		return errors.New("a denial without a reason; nothing could be shown")
	case err != nil && !denied:
		return fmt.Errorf("%v; what a browser sends must never break a method, use a *Denial", err)
	case err != nil:
		return nil
	case set != 1:
		return fmt.Errorf("%d members of the step are set, not 1", set)
	case step.Ask != nil:
		return checkAsk(*step.Ask)
	}
	return checkSendLink(*step.SendLink)
}

func checkAsk(a providers.Ask) error {
	if a.Text == "" {
		return errors.New("an ask without a text prefix")
	}
	if len(a.Fields) == 0 {
		return errors.New("an ask without fields")
	}
	if a.Life < 0 || a.Life > 24*time.Hour {
		return fmt.Errorf("an ask whose answer is good for %v; the contract is at most 24h", a.Life)
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

func checkSendLink(s providers.SendLink) error {
	switch {
	case s.Address == "":
		return errors.New("a link to nowhere")
	case s.Life <= 0 || s.Life > 24*time.Hour:
		return fmt.Errorf("a link that lives %v; the contract is more than nothing and at most 24h", s.Life)
	}
	return nil
}
