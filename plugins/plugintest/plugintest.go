// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package plugintest holds a plugin to the protocol, whatever language it is
// written in: it runs the program as the gate would and says in words what is
// wrong with it. A plugin's own test calls [Run]; an operator who was given a
// program asks `portalgate plugin test`.
//
// It cannot say whether a plugin lets the right people in. That is for the
// plugin's own tests.
package plugintest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/plugins"
	"github.com/portalgate/portalgate/providers"
	"github.com/portalgate/portalgate/providers/providertest"
)

// atMost is how many problems are told; after so many it is the same one.
const atMost = 10

// Run reports every problem of the program as an error of the test.
func Run(t *testing.T, c plugins.Command, email string) {
	t.Helper()
	for _, p := range Problems(t.Context(), c, email, zap.NewNop()) {
		t.Error(p)
	}
}

// Problems runs the program and returns what is wrong with it, a sentence each.
// email is an address that the program would take for one on file; it serves a
// program whose first form asks for an address. What the program writes goes to
// log.
func Problems(ctx context.Context, c plugins.Command, email string, log *zap.Logger) []string {
	p := plugins.New(c, log)
	defer func() {
		p.Close()
		<-p.Done()
	}()
	if err := started(ctx, p); err != nil {
		return []string{"It does not start: " + err.Error()}
	}
	first, err := p.Start(ctx, providers.Request{})
	if err != nil {
		return []string{"It does not begin a sign-in: " + err.Error()}
	}
	var found []string
	if first.Ask != nil {
		found = append(found, afterAddress(ctx, p, *first.Ask, email)...)
	}
	for _, problem := range providertest.Problems(p) {
		found = append(found, "A browser can send anything, and it does not bear it: "+clipped(problem))
	}
	return distinct(found)
}

// started waits until the program has said what it is.
func started(ctx context.Context, p *plugins.Process) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return p.Ready(ctx, 12*time.Second)
}

// afterAddress checks that the form which the gate shows to strangers is the
// one that the plugin shows to those on file, and that it takes the same
// address twice, as it may have to after a crash.
func afterAddress(ctx context.Context, p *plugins.Process, first providers.Ask, email string) (found []string) {
	declared := p.Describe().AfterAddress
	asks := len(first.Fields) == 1 && first.Fields[0].Kind == providers.Email
	switch {
	case !asks && declared != nil:
		return []string{"It declares a form for after an address, but its first form does not ask for just one."}
	case !asks && slices.ContainsFunc(first.Fields, func(f providers.Field) bool { return f.Kind == providers.Email }):
		return yesOrNo(ctx, p, first, email, nil)
	case !asks:
		return nil
	case declared == nil:
		return []string{"Its first form asks for an address, but it does not declare the form that follows (after_address): anybody could tell who is on file."}
	}
	req := providers.Request{Fields: map[string]string{first.Fields[0].Name: email}, Phone: "+15550100", Language: "en"}
	var step providers.Step
	for _, again := range []string{"", ", the second time"} {
		var err error
		step, _, err = p.Continue(ctx, req)
		switch {
		case err != nil:
			found = append(found, fmt.Sprintf("It does not go on after the address %s%s: %v", email, again, err))
		case step.Ask == nil:
			found = append(found, "What follows an address is no form: the gate could not show the same to a stranger.")
		case !reflect.DeepEqual(step.Ask, declared):
			found = append(found, "The form after an address is not the one that it declares (after_address): anybody could tell who is on file.")
		}
	}
	if len(found) == 0 {
		found = yesOrNo(ctx, p, *declared, email, step.State)
	}
	return found
}

// yesOrNo checks that a wrong answer beside an address is denied: the gate believes
// nothing else there, for it could not show it to a stranger.
func yesOrNo(ctx context.Context, p *plugins.Process, ask providers.Ask, email string, state []byte) []string {
	req := providers.Request{Fields: make(map[string]string), State: state, Language: "en"}
	for _, f := range ask.Fields {
		if req.Fields[f.Name] = "0"; f.Kind == providers.Email {
			req.Fields[f.Name] = email
		}
	}
	step, _, err := p.Continue(ctx, req)
	if err == nil && (step.Ask != nil || step.Redirect != nil) {
		return []string{"A wrong answer beside an address gets another form, or leads elsewhere, and no denial: anybody could tell who is on file, so the gate refuses it."}
	}
	return nil
}

// distinct drops repetitions.
func distinct(all []string) (once []string) {
	seen := make(map[string]bool)
	for _, s := range all {
		// What was typed differs; what is wrong is after it.
		_, what, ok := strings.Cut(s, "]: ")
		if !ok {
			what = s
		}
		if !seen[what] && len(once) < atMost {
			once = append(once, s)
		}
		seen[what] = true
	}
	return once
}

// clipped shortens a problem that quotes what was typed.
func clipped(s string) string {
	r := []rune(s)
	if len(r) <= 400 {
		return s
	}
	return string(r[:150]) + " … " + string(r[len(r)-250:])
}
