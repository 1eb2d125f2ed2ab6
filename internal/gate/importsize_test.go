// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/bolt"
	"github.com/portalgate/portalgate/internal/store/redis"
)

// TestManagedAtSize imports a list, searches it, exports it and imports what was
// exported: 1 000 clients, or 100 000 with PORTALGATE_PROOF, on both stores.
// Where it measures, the embedded store is on a disk.
func TestManagedAtSize(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		w := &world{clock: &clock{}}
		w.clock.t.Store(time.Now().UnixNano())
		if proof() {
			path := t.TempDir() + "/gate.db"
			w.store = func() (store.Backend, error) { return bolt.Open(path, bolt.Options{Now: w.clock.now}) }
		}
		w.begin(t, sampleClients, kept)
		w.atSize("embedded")
	})
	t.Run("redis", func(t *testing.T) {
		o := redis.Options{URL: redistest.Standalone(t).URL(), Prefix: "main"}
		w := &world{clock: &clock{}, store: func() (store.Backend, error) { return redis.Open(o) }}
		w.clock.t.Store(time.Now().UnixNano())
		w.begin(t, sampleClients, kept)
		w.atSize("redis")
	})
}

func (w *world) atSize(where string) {
	t, n, searches := w.t, 1000, 100
	if proof() {
		n, searches = 100_000, 1000
	}
	list := manyClients(n)
	imports := func(list string) ImportReport {
		return patiently(t, func() (ImportReport, error) {
			return w.rt.ImportClients(t.Context(), strings.NewReader(list), false, "desk")
		})
	}
	before, begun := heap(), time.Now()
	r := imports(list)
	imported := time.Since(begun)
	if r.Added+r.Same != n { // some may be the second try's
		t.Fatalf("imported %+v", r)
	}

	written := patiently(t, func() (audit.Report, error) { return w.rt.VerifyEvents(t.Context(), "") })
	if written.Last < int64(n) {
		t.Errorf("%d events are in the audit log, want one of each client", written.Last)
	}
	begun = time.Now()
	w.rt.Standing(t.Context(), "c-000001")
	stands := time.Since(begun)

	f := w.conf.Clients.(directory.Finder)
	search := func(text string) time.Duration {
		begun := time.Now()
		patiently(t, func() (string, error) {
			_, next, err := f.Find(t.Context(), directory.Query{Text: text})
			return next, err
		})
		return time.Since(begun)
	}
	first := search("nobody at all")
	memory := int64(heap()) - int64(before)
	var took, changed []time.Duration
	for i := range searches {
		took = append(took, search([]string{"a", "zoe m", "jurgen", "mail5", "mail77777@", "no such name", "müller-lü", ""}[i%8]))
	}
	for i := range searches / 5 { // each after somebody's name became another, and was made what it was
		patiently(t, func() (directory.Client, error) {
			c, err := w.conf.Clients.ByID(t.Context(), fmt.Sprintf("c-%06d", i%(searches/10)))
			if err != nil {
				return c, err
			}
			if c.Name += "!"; i >= searches/10 {
				c.Name = strings.TrimRight(c.Name, "!")
			}
			return w.conf.Clients.(directory.Keeper).Change(t.Context(), c)
		})
		changed = append(changed, search("no such name"))
	}
	slices.Sort(took)
	slices.Sort(changed)
	p99, changedP99 := took[len(took)*99/100], changed[len(changed)*99/100]

	begun = time.Now()
	got := w.exported()
	exported := time.Since(begun)
	if got != list {
		t.Error("what was exported is not what was imported")
	}
	begun = time.Now()
	if r := imports(got); r.Same != n {
		t.Errorf("imported again: %+v", r)
	}
	again := time.Since(begun)
	if !proof() {
		return
	}
	if imported > time.Minute || p99 > 20*time.Millisecond || changedP99 > 100*time.Millisecond {
		t.Errorf("import %v, search %v, after a change %v", imported, p99, changedP99)
	}
	ms := func(d time.Duration) time.Duration { return d.Round(time.Millisecond / 10) }
	t.Logf("proof: %d managed clients, %s: import %v, how one stands after it %v, search p50 %v, p99 %v (after a change p99 %v, the first after the import %v), export %v, the same import again %v; %d MB of memory",
		n, where, ms(imported), ms(stands), ms(took[len(took)/2]), ms(p99), ms(changedP99), ms(first), ms(exported), ms(again), memory>>20)
}

// patiently does something again while nobody can tell whether it was done: on a
// busy machine a server may answer late.
func patiently[T any](t testing.TB, do func() (T, error)) T {
	t.Helper()
	for try := 0; ; try++ {
		v, err := do()
		if err == nil {
			return v
		}
		if try == 10 || !errors.Is(err, store.ErrUnknown) && !errors.Is(err, directory.ErrChanged) {
			t.Fatal(err)
		}
	}
}

// manyClients is a list as it is exported, of names as there are.
func manyClients(n int) string {
	first := []string{"Ada", "Zoë", "Jürgen", "Søren", "Anna-Lena", "O'Neil", "'t", "Łukasz", "महात्मा", "=SUM"}
	last := []string{"Lovelace", "Müller-Lüdenscheidt", "Hopper", "van der Berg", "गांधी", "García Márquez", "+Plus", "Strauß"}
	pick := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	b.WriteString(head)
	for i := range n {
		name := first[pick.IntN(len(first))] + " " + last[pick.IntN(len(last))]
		if strings.HasPrefix(name, "=") {
			name = "'" + name
		}
		access, mail := "yes", "yes"
		if i%7 == 0 {
			access = "no"
		}
		if i%11 == 0 {
			mail = "no"
		}
		fmt.Fprintf(&b, "c-%06d,Mail%d@example.com,%s,'+1 555 %07d,en-GB,%s,%s\n", i, i, name, i, access, mail)
	}
	return b.String()
}
