// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/directory/csv"
	"github.com/portalgate/portalgate/internal/store"
)

// ErrImportMoved is returned by ImportClients if the list was changed meanwhile.
// Some clients may be taken; doing it again takes the rest, or says what is wrong.
var ErrImportMoved = errors.New("the list of clients was changed meanwhile; import it again")

// ImportReport says what an import did, or what it would do.
type ImportReport struct {
	// Done reports that the list was taken. It is not if anything in it is bad,
	// or if it was only to be tried.
	Done bool `json:"done"`
	// Added, Changed and Same are how many clients are new, different, and as
	// they were on file.
	Added   int `json:"added"`
	Changed int `json:"changed"`
	Same    int `json:"same"`
	// Ended is how many of those that change are signed out: their access is
	// withdrawn, or their address is another.
	Ended int `json:"ended"`
	// Bad says what is wrong, one sentence for each thing, with its line. More is
	// how many there are beside those.
	Bad  []string `json:"bad,omitempty"`
	More int      `json:"more,omitempty"`
}

// ImportClients takes a list of clients (CSV) into the one that the gate keeps;
// clients who are not on it stay as they are. With anything bad in it nothing is
// changed, and the report says what. by is who of the staff does it.
//
// What a change takes away is over before it is made, as with ChangeClient, and of
// another address the client is told at both. An import that an error ended is
// finished by doing it again.
func (rt *Runtime) ImportClients(ctx context.Context, r io.Reader, dryRun bool, by string) (ImportReport, error) {
	e, c, err := rt.desk(ctx)
	if err != nil {
		return ImportReport{}, err
	}
	list, ok := c.Clients.(directory.Bulk)
	if !ok {
		return ImportReport{}, ErrElsewhere
	}
	data, err := io.ReadAll(io.LimitReader(r, csv.MaxSize+1))
	if err != nil {
		return ImportReport{}, fmt.Errorf("reading the list of clients: %w", err)
	}
	changes, err := plan(ctx, data, list)
	if bad, is := errors.AsType[*csv.Bad](err); is {
		return ImportReport{Bad: bad.Problems, More: bad.More}, nil
	}
	if err != nil {
		return ImportReport{}, err
	}
	report := count(changes)
	what := "clients_import_tried"
	if !dryRun {
		if err := rt.take(ctx, e, list, changes, by); err != nil {
			rt.audit(c, "clients_import_broke_off", zap.String("by", by))
			rt.keep(ctx, e, audit.Event{What: "clients_import_broke_off", By: by})
			return ImportReport{}, err
		}
		report.Done, what = true, "clients_imported"
		for _, ch := range changes {
			if !ch.New() && !ch.Same() {
				rt.audit(c, "client_changed", zap.String("client", ch.After.ID), zap.String("by", by))
			}
		}
	}
	rt.imported(ctx, e, c, what, by, report)
	return report, nil
}

// imported tells what became of an import. Whom it adds and changes is in the audit
// log already.
func (rt *Runtime) imported(ctx context.Context, e *engine, c *Config, what, by string, r ImportReport) {
	rt.audit(c, what, zap.String("by", by), zap.Int("added", r.Added), zap.Int("changed", r.Changed), zap.Int("ended", r.Ended))
	rt.keep(ctx, e, audit.Event{
		What: what, By: by, Note: fmt.Sprintf("added %d, changed %d, ended %d", r.Added, r.Changed, r.Ended),
	})
}

func plan(ctx context.Context, data []byte, list directory.Bulk) ([]csv.Change, error) {
	rows, err := csv.Parse(data, csv.Rules{NoID: true})
	if err != nil {
		return nil, err
	}
	on, gone, err := list.All(ctx)
	if err != nil {
		return nil, err
	}
	return csv.Plan(rows, on, gone)
}

func count(changes []csv.Change) (r ImportReport) {
	for _, ch := range changes {
		switch {
		case ch.New():
			r.Added++
		case ch.Same():
			r.Same++
		default:
			r.Changed++
		}
		if ch.Ends() {
			r.Ended++
		}
	}
	return r
}

// take makes the changes as AddClient and ChangeClient make one: it writes down whom
// they are about, and makes what they take away first, then the list, and then what
// they take away once more, for what was begun in between.
func (rt *Runtime) take(ctx context.Context, e *engine, list directory.Bulk, changes []csv.Change, by string) error {
	var changed []string
	for _, ch := range changes {
		if !ch.New() && !ch.Same() {
			changed = append(changed, ch.After.ID)
		}
	}
	if err := rt.foretell(ctx, e, "client_change_asked", by, changed); err != nil {
		return err
	}
	for _, ch := range changes {
		if err := rt.announceChange(ctx, e, ch.Before, ch.After); err != nil {
			return err
		}
	}
	if err := e.withdraw(ctx, changes); err != nil {
		return err
	}
	clients := make([]directory.Client, len(changes))
	for i, ch := range changes {
		clients[i] = ch.After
	}
	err := list.Put(ctx, clients, func(ctx context.Context, ids []string) error {
		return rt.foretell(ctx, e, "client_add_asked", by, ids)
	})
	switch {
	case err == nil:
		return e.withdraw(ctx, slices.DeleteFunc(slices.Clone(changes), csv.Change.New))
	case errors.Is(err, store.ErrUnknown):
		return err
	}
	// All of it was checked, so somebody else was at the list.
	return fmt.Errorf("%w: %w", ErrImportMoved, err)
}

// signsInBy returns the address by which c may sign in; the zero one for none.
func signsInBy(c directory.Client) address.Address {
	a, err := address.Parse(c.Email)
	if err != nil || !c.Access {
		return address.Address{}
	}
	return a
}

// boundTo is the hash of the address to which a client's record is to be bound;
// empty for who may not sign in.
func (e *engine) boundTo(c directory.Client) access.Hash {
	a := signsInBy(c)
	if a == (address.Address{}) {
		return ""
	}
	return e.records.Address(a)
}

// withdraw takes away what the changes take away, of many clients at once. Where
// the access or the address is another, the record is bound to what holds from
// then on.
func (e *engine) withdraw(ctx context.Context, changes []csv.Change) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for _, ch := range changes {
		switch {
		case ch.Same(), ch.New() && ch.After.ID == "": // then nobody has had the id
		case ch.New():
			g.Go(func() error { return e.records.Rebind(ctx, ch.After.ID, "") })
		case ch.Moves(), ch.Before.Access != ch.After.Access:
			g.Go(func() error { return e.records.Rebind(ctx, ch.After.ID, e.boundTo(ch.After)) })
		default:
			to, _ := address.Parse(ch.After.Email) // as it was read
			take := e.withdrawal(ch.Before, ch.After, to)
			g.Go(func() error { return take(ctx) })
		}
	}
	return g.Wait()
}

// ExportClients writes everybody on file as a list that can be imported: the same
// clients are the same bytes. by is who of the staff does it.
func (rt *Runtime) ExportClients(ctx context.Context, w io.Writer, by string) error {
	_, c, err := rt.desk(ctx)
	if err != nil {
		return err
	}
	on, err := everybody(ctx, c.Clients)
	if err != nil {
		return err
	}
	rt.audit(c, "clients_exported", zap.String("by", by), zap.Int("clients", len(on)))
	return csv.Write(w, on)
}

func everybody(ctx context.Context, d directory.Directory) (on []directory.Client, err error) {
	if list, ok := d.(directory.Bulk); ok {
		on, _, err = list.All(ctx)
		return on, err
	}
	list, ok := d.(directory.Finder)
	if !ok {
		return nil, ErrUnlisted
	}
	for q := (directory.Query{Limit: 500}); ; {
		found, next, err := list.Find(ctx, q)
		if err != nil {
			return nil, err
		}
		on = append(on, found...)
		if q.Cursor = next; next == "" {
			return on, nil
		}
	}
}
