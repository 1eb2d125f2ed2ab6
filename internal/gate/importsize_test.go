// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/bolt"
	"github.com/portalgate/portalgate/internal/store/redis"
)

// TestManagedAtSize imports a list, searches it, exports it and imports what was
// exported: 3 000 clients, or 100 000 with PORTALGATE_PROOF, on both stores.
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
	t, n := w.t, 3000
	if proof() {
		n = 100_000
	}
	list := manyClients(n)
	begun := time.Now()
	r := w.importing(list)
	imported := time.Since(begun)
	if r.Added != n {
		t.Fatalf("imported %+v", r)
	}

	f := w.conf.Clients.(directory.Finder)
	begun = time.Now()
	if _, _, err := f.Find(t.Context(), directory.Query{Text: "nobody at all"}); err != nil {
		t.Fatal(err)
	}
	first := time.Since(begun)
	search := func(text string) time.Duration {
		begun := time.Now()
		if _, _, err := f.Find(t.Context(), directory.Query{Text: text}); err != nil {
			t.Fatal(err)
		}
		return time.Since(begun)
	}
	var took, changed []time.Duration
	for i := range 1000 {
		took = append(took, search([]string{"a", "zoe m", "jurgen", "mail5", "mail77777@", "no such name", "müller-lü", ""}[i%8]))
	}
	for i := range 200 { // each after somebody's name became another, and was made what it was
		c, err := w.conf.Clients.ByID(t.Context(), fmt.Sprintf("c-%06d", i%100))
		if err != nil {
			t.Fatal(err)
		}
		if c.Name += "!"; i >= 100 {
			c.Name = strings.TrimRight(c.Name, "!")
		}
		if _, err := w.conf.Clients.(directory.Keeper).Change(t.Context(), c); err != nil {
			t.Fatal(err)
		}
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
	if r := w.importing(got); r.Same != n {
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
	t.Logf("proof: %d managed clients, %s: import %v, search p50 %v, p99 %v (after a change p99 %v, the first after the import %v), export %v, the same import again %v",
		n, where, ms(imported), ms(took[len(took)/2]), ms(p99), ms(changedP99), ms(first), ms(exported), ms(again))
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
