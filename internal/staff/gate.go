// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"context"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/gate"
)

// Gate is the gate that a desk is of; [gate.Runtime] is one.
type Gate interface {
	Roster
	Helper
	Trail
}

// Roster is who is on file.
type Roster interface {
	// Roster says what can be done with the list.
	Roster() gate.Roster
	FindClients(ctx context.Context, q directory.Query) (found []directory.Client, next string, err error)
	// ClientByAddress returns who has exactly this address.
	ClientByAddress(ctx context.Context, email string) (directory.Client, error)
	// LinkAsked returns when a link was last asked for with an address that is not
	// on file, within a day; the zero time if none was.
	LinkAsked(ctx context.Context, email string) (time.Time, error)
	ClientByID(ctx context.Context, id string) (gate.Sheet, error)
	AddClient(ctx context.Context, c directory.Client, by string) (directory.Client, error)
	ChangeClient(ctx context.Context, c directory.Client, by string) (directory.Client, error)
	RemoveClient(ctx context.Context, id string, version int, by string) error
	ImportClients(ctx context.Context, r io.Reader, dryRun bool, by string) (gate.ImportReport, error)
	ExportClients(ctx context.Context, w io.Writer, by string) error
}

// Helper is what is done for one client.
type Helper interface {
	// AllowPIN counts a PIN that by is about to make. wait is zero if that is
	// within the limit, else how long until one would be.
	AllowPIN(ctx context.Context, by string) (wait time.Duration, err error)
	IssuePIN(ctx context.Context, o gate.PINOrder) (gate.IssuedPIN, error)
	// AllowMail is AllowPIN for a link that by is about to have mailed.
	AllowMail(ctx context.Context, by string) (wait time.Duration, err error)
	QueueLink(ctx context.Context, o gate.LinkOrder) error
	VoidPIN(ctx context.Context, client, by string) error
	Unlock(ctx context.Context, client, by string) error
	Unlink(ctx context.Context, client, by string) error
	// Standing is how it stands with a client's getting in: see [Why].
	Standing(ctx context.Context, client string) gate.Standing
	Sessions(ctx context.Context, client string) ([]gate.Signed, error)
	EndSessions(ctx context.Context, client, by string) error
	// Mails returns the mails to a client, newest first, and whether no more are
	// sent because one was called spam.
	Mails(ctx context.Context, client string) (all []gate.Mailed, withheld bool, err error)
}

// Trail is what is written down.
type Trail interface {
	// Note writes down what is about to be done. If it returns an error it is not
	// done.
	Note(ctx context.Context, e audit.Event) error
	// Events returns what happened, newest first, and the cursor of the next page.
	Events(ctx context.Context, f audit.Filter) (found []audit.Event, next string, err error)
	// Audit tells the log what happened.
	Audit(what string, fields ...zap.Field)
}
