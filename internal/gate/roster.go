// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/store"
)

// Staff keep the list of clients, where it is kept here. What a change takes
// away it takes away before it is made: the access record comes first, on every
// gate at once, and then the list. Whatever fails in between has let nobody in;
// at worst a client who keeps access has to sign in again.

var (
	// ErrElsewhere is returned for a change to a list that is not kept here.
	ErrElsewhere = errors.New("the list of clients is kept elsewhere and is changed there")
	// ErrUnlisted is returned where the list cannot say who is on it.
	ErrUnlisted = errors.New("the list of clients can only be asked for one address at a time")
)

// Roster says what can be done with the list of clients.
type Roster struct {
	// Kept reports that it is kept here and can be changed, and Listed that it can
	// say who is on it.
	Kept, Listed bool
	// Stale reports that it could not be read lately and an older one is in force.
	Stale bool
	// PINs reports that the gate takes PINs.
	PINs bool
}

// Roster returns what can be done with the list of clients.
func (rt *Runtime) Roster() Roster {
	c := rt.conf.Load()
	if c == nil {
		return Roster{}
	}
	_, kept := c.Clients.(directory.Keeper)
	_, listed := c.Clients.(directory.Finder)
	_, pins := c.takesPIN()
	return Roster{Kept: kept, Listed: listed, Stale: rt.meter.stale.Load(), PINs: pins}
}

// FindClients returns clients, and the cursor of the next page. Where the list
// cannot say who is on it, a text that is an address finds who has it, and any
// other is ErrUnlisted.
func (rt *Runtime) FindClients(ctx context.Context, q directory.Query) (found []directory.Client, next string, err error) {
	_, c, err := rt.desk(ctx)
	if err != nil {
		return nil, "", err
	}
	if list, ok := c.Clients.(directory.Finder); ok {
		found, next, err = list.Find(ctx, q)
		return found, next, rosterError(err)
	}
	if _, bad := address.Parse(q.Text); bad != nil {
		return nil, "", ErrUnlisted
	}
	one, err := rt.ClientByAddress(ctx, q.Text)
	if errors.Is(err, directory.ErrNotFound) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	return []directory.Client{one}, "", nil
}

// ClientByAddress returns who has exactly this address, or directory.ErrNotFound.
func (rt *Runtime) ClientByAddress(ctx context.Context, email string) (directory.Client, error) {
	_, c, err := rt.desk(ctx)
	if err != nil {
		return directory.Client{}, err
	}
	who, err := c.find(ctx, PINOrder{Email: email})
	return who, rosterError(err)
}

// AddClient puts a client on file, and returns what is on file then. See
// directory.Keeper.Add for its errors; ErrElsewhere.
func (rt *Runtime) AddClient(ctx context.Context, client directory.Client, by string) (directory.Client, error) {
	e, c, list, err := rt.keeper(ctx)
	if err != nil {
		return directory.Client{}, err
	}
	if client.ID != "" {
		switch _, err := list.ByID(ctx, client.ID); {
		case err == nil:
			return directory.Client{}, &directory.Invalid{Field: "id", Text: "is somebody's already"}
		case !errors.Is(err, directory.ErrNotFound):
			return directory.Client{}, rosterError(err)
		}
		// Whatever there is under this id is not this client's.
		if err := e.records.Rebind(ctx, client.ID, ""); err != nil {
			return directory.Client{}, err
		}
	}
	on, err := list.Add(ctx, client, func(ctx context.Context, ids []string) error {
		return rt.foretell(ctx, e, "client_add_asked", by, ids)
	})
	if err != nil {
		return directory.Client{}, rosterError(err)
	}
	rt.done(ctx, e, c, "client_added", on.ID, by)
	return on, nil
}

// foretell writes down what is about to be done to clients. What cannot be written
// down is not done.
func (rt *Runtime) foretell(ctx context.Context, e *engine, what, by string, ids []string) error {
	events, from := make([]audit.Event, len(ids)), session.CauseIn(ctx).From
	for i, id := range ids {
		events[i] = rt.named(audit.Event{What: what, Client: id, By: by, From: from})
	}
	return e.chain.AppendNew(ctx, events...)
}

// ChangeClient changes what is on file under client.ID, if that is still of
// client.Version, and returns what is on file then. Where access is withdrawn or
// the address becomes another, all that was made for it is over first: sessions,
// links with their codes, the PIN, linked accounts, known browsers. Where consent
// to email is withdrawn, what was mailed is. See directory.Keeper.Change for its
// errors; ErrElsewhere.
func (rt *Runtime) ChangeClient(ctx context.Context, client directory.Client, by string) (directory.Client, error) {
	e, c, list, err := rt.keeper(ctx)
	if err != nil {
		return directory.Client{}, err
	}
	was, err := list.ByID(ctx, client.ID)
	switch {
	case err != nil:
		return directory.Client{}, rosterError(err)
	case was.Version != client.Version:
		return directory.Client{}, directory.ErrChanged
	}
	to, err := address.Parse(client.Email)
	if err != nil {
		return directory.Client{}, &directory.Invalid{Field: "email", Text: err.Error()}
	}
	// Nobody is signed out for a change that cannot be made.
	switch other, err := list.ByAddress(ctx, to); {
	case err == nil && other.ID != client.ID:
		return directory.Client{}, &directory.Taken{By: other}
	case err != nil && !errors.Is(err, directory.ErrNotFound):
		return directory.Client{}, rosterError(err)
	}
	if err := rt.announceChange(ctx, e, was, client); err != nil {
		return directory.Client{}, err
	}
	take := e.withdrawal(was, client, to)
	if err := take(ctx); err != nil {
		return directory.Client{}, err
	}
	on, err := list.Change(ctx, client)
	if err != nil {
		return directory.Client{}, rosterError(err)
	}
	// What was begun under the old entry, between the two, must not come back
	// with it.
	if err := take(ctx); err != nil {
		return directory.Client{}, err
	}
	rt.done(ctx, e, c, "client_changed", on.ID, by)
	return on, nil
}

// announceChange queues what the client is to be told of a change from was to is.
// At worst a change is told that was not made; none is made in silence.
func (rt *Runtime) announceChange(ctx context.Context, e *engine, was, is directory.Client) error {
	if was.Access && !is.Access {
		if err := rt.announceWithdrawn(ctx, e, was); err != nil {
			return err
		}
	}
	// Also of who has no access just now: taken away, moved and given back within
	// seconds it would otherwise be told to nobody.
	return rt.announceMoved(ctx, e, was, is)
}

// withdrawal returns what takes away what a change from was to is takes away; to
// is the address of is.
func (e *engine) withdrawal(was, is directory.Client, to address.Address) func(context.Context) error {
	before, _ := address.Parse(was.Email)
	var bound access.Hash // from then on; the list has to agree
	if is.Access {
		bound = e.records.Address(to)
	}
	switch {
	case was.Access != is.Access || e.records.Address(before) != e.records.Address(to):
		return func(ctx context.Context) error { return e.records.Rebind(ctx, is.ID, bound) }
	case was.EmailOK && !is.EmailOK:
		return func(ctx context.Context) error {
			return e.records.Update(ctx, e.records.Tag(is.ID), func(now time.Time, r *access.Record) error {
				if !r.StopLinks(now) {
					return store.ErrUnchanged
				}
				return nil
			})
		}
	}
	return func(context.Context) error { return nil }
}

// RemoveClient takes a client off file, if what is on file is of this version.
// Everything that lets the client in is over first. See directory.Keeper.Remove
// for its errors; ErrElsewhere.
func (rt *Runtime) RemoveClient(ctx context.Context, id string, version int, by string) error {
	e, c, list, err := rt.keeper(ctx)
	if err != nil {
		return err
	}
	was, err := list.ByID(ctx, id)
	switch {
	case err != nil:
		return rosterError(err)
	case was.Version != version:
		return directory.ErrChanged
	}
	if was.Access {
		if err := rt.announceWithdrawn(ctx, e, was); err != nil {
			return err
		}
	}
	if err := e.records.Rebind(ctx, id, ""); err != nil {
		return err
	}
	if err := list.Remove(ctx, id, version); err != nil {
		return rosterError(err)
	}
	rt.done(ctx, e, c, "client_removed", id, by)
	return e.forget(ctx, id)
}

// forget forgets what is kept beside the list about a client who is off it: what
// was mailed, and what would otherwise be kept without an end.
func (e *engine) forget(ctx context.Context, id string) error {
	tag := e.records.Tag(id)
	err := e.records.Update(ctx, tag, func(now time.Time, r *access.Record) error {
		r.Bind(now, r.Client, "")
		resumed := r.ResumeMail(now)
		if !r.Unlock(now) && !resumed {
			return store.ErrUnchanged
		}
		return nil
	})
	if err != nil {
		return err
	}
	return e.backend.Update(ctx, "mails/"+tag, func(time.Time, store.Value) (store.Value, error) { return store.Value{}, nil })
}

// EndSessions signs a client out everywhere. It is nil if nobody was signed in.
func (rt *Runtime) EndSessions(ctx context.Context, client, by string) error {
	return rt.change(ctx, client, "sessions_ended", by, func(now time.Time, r *access.Record) bool {
		return r.EndSessions(now, access.ByPractice)
	})
}

// keeper is desk, for who changes the list.
func (rt *Runtime) keeper(ctx context.Context) (*engine, *Config, directory.Keeper, error) {
	e, c, err := rt.desk(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	list, ok := c.Clients.(directory.Keeper)
	if !ok {
		return nil, nil, nil, ErrElsewhere
	}
	return e, c, list, nil
}

// rosterError tells what the list said no to from what it could not tell.
func rosterError(err error) error {
	var taken *directory.Taken
	var invalid *directory.Invalid
	if err == nil || errors.As(err, &taken) || errors.As(err, &invalid) || errors.Is(err, directory.ErrNotFound) ||
		errors.Is(err, directory.ErrChanged) || errors.Is(err, directory.ErrDeleted) || errors.Is(err, store.ErrUnknown) {
		return err
	}
	return fmt.Errorf("the list of clients: %w (%w)", err, store.ErrUnknown)
}
