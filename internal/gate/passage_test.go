// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// TestPassages: whoever stands behind gates can tell which ones a request came
// through and which of them knew its client, on public paths too. A handler
// that takes a client of the portal for one of the staff would hand out PINs to
// them (THREATS C01).
func TestPassages(t *testing.T) {
	w := newWorld(t, public("/open/*"))
	b := w.signIn("ada@example.com")
	var got []Passage
	look := func(_ http.ResponseWriter, r *http.Request) error {
		got = append([]Passage{{Gate: "looked"}}, Passages(r.Context())...)
		return nil
	}
	// through is what stands behind the gate and then, if the request is the
	// gate's to pass on once more, behind it a second time.
	through := func(again Next) Next {
		return func(rw http.ResponseWriter, r *http.Request) error { return w.h.ServeHTTP(rw, r, Front{}, again) }
	}
	signedIn := func(path string) *http.Request {
		r := w.signedInRequest(b)
		r.URL.Path = path
		return r
	}
	nobody := func(path string) *http.Request { return httptest.NewRequest("GET", w.front+path, nil) }
	forged := nobody("/open/x")
	for _, name := range []string{"Passage", "Portalgate-Passage", "Remote-User", "X-Portalgate-Signed-In"} {
		forged.Header.Set(name, "main")
	}
	looked, in, by := Passage{Gate: "looked"}, Passage{"main", true}, Passage{"main", false}
	for _, tc := range []struct {
		name  string
		r     *http.Request
		chain Next
		want  []Passage
	}{
		{"no gate", nobody("/"), look, []Passage{looked}},
		{"signed in", signedIn("/files"), through(look), []Passage{looked, in}},
		{"signed in, on a public path", signedIn("/open/x"), through(look), []Passage{looked, in}},
		{"nobody, on a public path", nobody("/open/x"), through(look), []Passage{looked, by}},
		{"nobody", nobody("/files"), through(look), nil},
		{"a gate's own page", signedIn("/sign-in/help"), through(look), nil},
		{"what a visitor writes", forged, through(look), []Passage{looked, by}},
		// The first one takes its cookie away, so that the second knows nobody.
		{"two gates", signedIn("/open/x"), through(through(look)), []Passage{looked, by, in}},
	} {
		got = nil
		if err := tc.chain(httptest.NewRecorder(), tc.r); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// TestPassageKeepsTheContext: one context more in between still ends with the
// request's own, and has its values.
func TestPassageKeepsTheContext(t *testing.T) {
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
	inner, stop := context.WithTimeout(withPassage(ctx, Passage{Gate: "main"}), time.Hour)
	defer stop()
	if inner.Value(key{}) != "v" || Passages(inner)[0].Gate != "main" || Passages(ctx) != nil {
		t.Errorf("values: %v, %v, outside %v", inner.Value(key{}), Passages(inner), Passages(ctx))
	}
	cancel()
	<-inner.Done()
}
