// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/redis"
)

func (w *world) importing(list string) ImportReport {
	w.t.Helper()
	r, err := w.rt.ImportClients(w.t.Context(), strings.NewReader(list), false, "desk")
	if err != nil || !r.Done {
		w.t.Fatalf("importing: %+v, %v", r, err)
	}
	return r
}

func (w *world) exported() string {
	w.t.Helper()
	var b bytes.Buffer
	if err := w.rt.ExportClients(w.t.Context(), &b, "desk"); err != nil {
		w.t.Fatal(err)
	}
	return b.String()
}

// onFile is who has an address.
func (w *world) onFile(email string) directory.Client {
	w.t.Helper()
	c, err := w.conf.Clients.ByAddress(w.t.Context(), mustAddress(w.t, email))
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

const head = "\ufeffid,email,name,phone,language,portal_access,email_ok\n"

// A client whose access is withdrawn in a list that is imported is out at once,
// and giving it back brings back nothing that the client had before.
func TestImportEndsAccess(t *testing.T) {
	w := newWorld(t, kept)
	if r := w.importing(sampleClients); r.Added != 4 || r.Changed+r.Same+r.Ended != 0 {
		t.Errorf("the first import: %+v", r)
	}
	ada, bob := w.signIn("ada@example.com"), w.signIn("bob@example.com")
	if !ada.signedIn() || !bob.signedIn() {
		t.Fatal("not signed in")
	}
	old := w.browser()
	m := old.mailed("bob@example.com")
	r := w.importing("id,email,name,portal_access\nc-ada,ada@example.com,Ada Lovelace,no\nc-bob,new@example.com,Bob Stone,yes\nc-off,off@example.com,Olive Off,no\n")
	if r.Changed != 2 || r.Same != 1 || r.Ended != 2 {
		t.Errorf("the second import: %+v", r)
	}
	if ada.signedIn() || bob.signedIn() {
		t.Error("still signed in")
	}
	if p := old.get(link(m)); p.status == http.StatusOK && strings.Contains(p.body, `action="/sign-in/link"`) {
		t.Error("a link to the address before is still good")
	}
	w.importing(sampleClients)
	if ada.signedIn() || bob.signedIn() {
		t.Error("signed in again by what was withdrawn")
	}
	w.signIn("ada@example.com")
	if log := w.logs.String(); !strings.Contains(log, "clients_imported") || strings.Contains(log, "new@example.com") {
		t.Error("the log lacks the import, or has an address in it")
	}
}

// One bad line, and nothing changes; a dry run changes nothing either.
func TestImportChangesNothing(t *testing.T) {
	w := newWorld(t, kept)
	w.importing(sampleClients)
	ada := w.signIn("ada@example.com")
	before := w.exported()
	for _, tc := range []struct {
		list   string
		dryRun bool
		bad    []string
	}{
		{"id,email,name,portal_access\nc-ada,ada@example.com,Ada,no\nc-x,nonsense,X,yes\nc-y,y@example.com,Y,perhaps\n", false,
			[]string{"line 3: email: ", "line 4: portal_access: "}},
		{"id,email,name,portal_access\nc-ada,ada@example.com,Ada,no\nc-new,bob@example.com,B,yes\n", false,
			[]string{`line 3: address b•••@example.com is on file for client "c-bob"`}},
		{"nonsense", false, []string{"header: "}},
		{"", false, []string{"empty: "}},
		{strings.Repeat("x", 11<<20), false, []string{"larger than 10 MB"}},
		{"id,email,name,portal_access\nc-ada,ada@example.com,Ada,no\n,new@example.com,N,yes\n", true, nil},
	} {
		r, err := w.rt.ImportClients(t.Context(), strings.NewReader(tc.list), tc.dryRun, "desk")
		if err != nil || r.Done || len(r.Bad) != len(tc.bad) {
			t.Errorf("%.60q: %+v, %v", tc.list, r, err)
			continue
		}
		for i, want := range tc.bad {
			if !strings.HasPrefix(r.Bad[i], want) {
				t.Errorf("%.60q: %q, want %q", tc.list, r.Bad[i], want)
			}
		}
		if tc.dryRun && (r.Added != 1 || r.Changed != 1 || r.Ended != 1) {
			t.Errorf("the dry run: %+v", r)
		}
	}
	if after := w.exported(); after != before || !ada.signedIn() {
		t.Errorf("on file was\n%s and is\n%s, signed in: %t", before, after, ada.signedIn())
	}
}

func TestExportIsImported(t *testing.T) {
	w := newWorld(t, kept)
	list := head +
		"C.1,Ada@Example.com,\"Lovelace, Ada \"\"A\"\"\",'+1 555 0100,en-GB,yes,no\n" +
		"a,'=x@example.com,'=HYPERLINK(1),,,no,yes\n" +
		"b,'t@example.com,'t Hooft,'-1,,yes,yes\n"
	w.importing(list)
	if got := w.exported(); got != list {
		t.Errorf("exported is\n%s, imported was\n%s", got, list)
	}
	if r := w.importing(list); r.Same != 3 || r.Added+r.Changed != 0 {
		t.Errorf("imported again: %+v", r)
	}
	if c, err := w.conf.Clients.ByID(t.Context(), "a"); err != nil || c.Email != "=x@example.com" || c.Name != "=HYPERLINK(1)" {
		t.Errorf("on file is %+v, %v", c, err)
	}
	w.rt.Close()
	w.open(kept)
	if got := w.exported(); got != list {
		t.Errorf("after a restart exported is\n%s", got)
	}
}

// TestImportIsWrittenDownBefore: somebody at the desk slips one of their own into a
// list of many, without an id, and hopes that of an import only the number is kept.
// Each client whom it adds or changes is in the audit log by their id, before it is
// done: where that cannot be written it is not done. What was only tried says so.
func TestImportIsWrittenDownBefore(t *testing.T) {
	w := newWorld(t, kept)
	w.importing("id,email,name\nc-ada,ada@example.com,Ada\nc-bob,bob@example.com,Bob\n")
	list := "id,email,name\nc-ada,ada@example.com,Ada King\nc-bob,bob@example.com,Bob\nc-new,new@example.com,New\n,eve@example.net,Eve\n"
	before := w.exported()
	w.db.deaf.Store(true)
	if r, err := w.rt.ImportClients(t.Context(), strings.NewReader(list), false, "desk"); !errors.Is(err, store.ErrUnknown) || r.Done {
		t.Errorf("an import that cannot be written down: %+v, %v", r, err)
	}
	if on, err := w.rt.AddClient(t.Context(), directory.Client{Email: "eve@example.net", Access: true}, "desk"); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("a client who cannot be written down: %+v, %v", on, err)
	}
	w.db.deaf.Store(false)
	w.events() // that it broke off, which had to wait
	if after := w.exported(); after != before {
		t.Errorf("on file is\n%s, and was\n%s", after, before)
	}
	if _, err := w.rt.ImportClients(t.Context(), strings.NewReader(list), true, "desk"); err != nil {
		t.Fatal(err)
	}
	tried := w.events()
	if last := tried[len(tried)-1]; last.What != "clients_import_tried" || last.By != "desk" || last.Note != "added 2, changed 1, ended 0" {
		t.Errorf("of a try the log says %+v", last)
	}
	w.importing(list)
	on := w.onFile("eve@example.net")
	all := w.events()
	for client, what := range map[string]string{"c-ada": "client_change_asked", "c-new": "client_add_asked", on.ID: "client_add_asked"} {
		if n := of(all[len(tried):], client)[what]; n != 1 || client == "" {
			t.Errorf("%d events %s of %q, want one", n, what, client)
		}
	}
	if got := of(all[len(tried):], "c-bob"); len(got) > 0 {
		t.Errorf("of who stays as he was the log says %v", got)
	}
	if last := all[len(all)-1]; last.What != "clients_imported" || last.By != "desk" || last.Note != "added 2, changed 1, ended 0" {
		t.Errorf("at the end the log says %+v", last)
	}
}

// TestAddedIsWrittenDownBefore is that for one who is added at the desk.
func TestAddedIsWrittenDownBefore(t *testing.T) {
	w := newWorld(t, kept)
	on, err := w.rt.AddClient(Acting(t.Context(), "desk", "192.0.2.1"), directory.Client{Email: "eve@example.net", Access: true}, "desk")
	if err != nil {
		t.Fatal(err)
	}
	all := w.events()
	if len(all) != 2 || all[0].What != "client_add_asked" || all[1].What != "client_added" {
		t.Fatalf("the log says %+v", all)
	}
	for _, ev := range all {
		if ev.Client != on.ID || ev.By != "desk" || ev.From != "192.0.2.1" {
			t.Errorf("%+v does not say whom, who or from where", ev)
		}
	}
}

// Where the list is kept elsewhere it is not imported here.
func TestImportElsewhere(t *testing.T) {
	w := newWorld(t)
	if _, err := w.rt.ImportClients(t.Context(), strings.NewReader(sampleClients), false, "desk"); !errors.Is(err, ErrElsewhere) {
		t.Errorf("ImportClients = %v", err)
	}
	if got := w.exported(); !strings.Contains(got, "c-mum,mum@example.com,Mum NoMail,,,yes,no\n") || strings.Count(got, "\n") != 5 {
		t.Errorf("exported is\n%s", got)
	}
	// One that is asked for one client at a time cannot be listed.
	w = newWorld(t, func(c *Config, _ *HandlerOptions) { c.Clients = struct{ directory.Directory }{c.Clients} })
	if err := w.rt.ExportClients(t.Context(), new(bytes.Buffer), "desk"); !errors.Is(err, ErrUnlisted) {
		t.Errorf("ExportClients = %v", err)
	}
}

// Before the store could be opened nobody knows who is on file, and nobody is
// told that somebody is not.
func TestManagedBeforeTheStoreIsOpen(t *testing.T) {
	w := newWorld(t, kept)
	w.importing(sampleClients)
	w.rt.Close()
	o := w.rt.o
	o.Open = func(context.Context) (store.Backend, error) { return nil, fmt.Errorf("no disk: %w", store.ErrUnknown) }
	rt := NewRuntime(o)
	defer rt.Close()
	c := *w.conf
	c.Clients = rt.Managed()
	if _, err := rt.Use(&c); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Clients.ByID(t.Context(), "c-ada"); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("ByID = %v", err)
	}
	if _, err := rt.ImportClients(t.Context(), strings.NewReader(sampleClients), false, "desk"); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("ImportClients = %v", err)
	}
}

// The list has another spelling of a mailbox than its owner types, or than
// somebody else owns: mail goes to what is on file, byte for byte, and to nobody
// for what only looks alike.
func TestE12_ImportedAddressIsKeptToTheLetter(t *testing.T) {
	w := newWorld(t, kept)
	w.importing("id,email,name\nc-1,A.b+Clinic@Gmail.com,Ada\n")
	w.browser().ask("a.B+clinic@gmail.com")
	m := w.letters("A.b+Clinic@Gmail.com", 1)[0]
	if m.To != "A.b+Clinic@Gmail.com" {
		t.Errorf("mailed to %q", m.To)
	}
	for _, other := range []string{"ab@gmail.com", "a.b@gmail.com", "ab+clinic@gmail.com", "a.b+clinic@googlemail.com"} {
		w.browser().ask(other)
	}
	w.idle()
	if all := w.rt.Outbox().Messages(); len(all) != 1 {
		t.Errorf("%d mails, want one", len(all))
	}
}

// Two people of a family share a mailbox. Neither a list nor staff can put both
// on file with it, so a link to that mailbox is always one person's.
func TestE16_SharedMailboxIsOnePersons(t *testing.T) {
	w := newWorld(t, kept)
	r, err := w.rt.ImportClients(t.Context(), strings.NewReader("id,email,name\nc-1,home@example.com,Ada\nc-2,Home@Example.com,Byron\n"), false, "desk")
	if err != nil || r.Done || len(r.Bad) != 1 || r.Bad[0] != "line 3: address H•••@Example.com is already in line 2; each client needs an own address" {
		t.Fatalf("importing both: %+v, %v", r, err)
	}
	w.importing("id,email,name\nc-1,home@example.com,Ada\n")
	r, err = w.rt.ImportClients(t.Context(), strings.NewReader("id,email,name\nc-2,HOME@example.com,Byron\n"), false, "desk")
	if err != nil || r.Done || len(r.Bad) != 1 || !strings.Contains(r.Bad[0], `is on file for client "c-1"`) {
		t.Errorf("importing the other: %+v, %v", r, err)
	}
	var taken *directory.Taken
	if _, err := w.rt.AddClient(t.Context(), directory.Client{Email: "HOME@example.com", Name: "Byron", Access: true}, "desk"); !errors.As(err, &taken) || taken.By.ID != "c-1" {
		t.Errorf("adding the other: %v", err)
	}
	w.signIn("home@example.com")
	if got := w.upstream(); len(got) == 0 || got[len(got)-1].Header.Get("Remote-User") != "c-1" {
		t.Error("the mailbox opens another's portal")
	}
}

// Whoever talks staff into a list with another address takes the portal over, so
// the client is told of it at both, as of any other change of the address.
func TestImportedAddressIsToldAtBoth(t *testing.T) {
	w := newWorld(t, kept)
	w.importing(sampleClients)
	w.signIn("ada@example.com")
	w.importing("id,email,name\nc-ada,countess@example.com,Ada Lovelace\nc-bob,bob2@example.com,Bob Stone\n")
	w.clock.advance(movedWait + time.Second)
	w.notices("ada@example.com", 1)
	w.notices("countess@example.com", 1)
	for _, m := range w.rt.Outbox().Messages() {
		if strings.HasPrefix(m.To, "bob") {
			t.Errorf("a mail to %s, who has never been here", m.To)
		}
	}
}

// What a list takes away at one gate is over at the other, which keeps copies of
// the list and of the records: the clock stands, so only the feed can tell it.
func TestImportActsOnEveryGate(t *testing.T) {
	srv := redistest.Standalone(t)
	c := &clock{}
	c.t.Store(time.Now().UnixNano())
	var gates []*world
	for range 2 {
		w := &world{clock: c, store: func() (store.Backend, error) {
			return redis.Open(redis.Options{URL: srv.URL(), Prefix: "main"})
		}}
		w.begin(t, sampleClients, wide, kept)
		gates = append(gates, w)
	}
	gates[0].importing(sampleClients)
	ada, bob := gates[1].signIn("ada@example.com"), gates[1].signIn("bob@example.com")
	gates[0].importing("id,email,name,portal_access\nc-ada,ada@example.com,Ada Lovelace,no\n")
	redistest.Await(t, "the other gate knows", func() bool { return !ada.signedIn() })
	if !bob.signedIn() {
		t.Error("somebody else is signed out")
	}
	gates[0].importing("id,email,name,portal_access\nc-ada,ada@example.com,Ada Lovelace,yes\nc-new,new@example.com,New,yes\n")
	redistest.Await(t, "the other gate knows who is new", func() bool {
		on, err := gates[1].conf.Clients.ByID(t.Context(), "c-new")
		return err == nil && on.Name == "New"
	})
	if ada.signedIn() {
		t.Error("signed in again by what was withdrawn")
	}
}
