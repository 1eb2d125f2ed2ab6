// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package directory

import "context"

// Bulk is a Keeper that can also be asked for everybody, and be given many at
// once.
type Bulk interface {
	Keeper
	// All returns everybody on file, and the ids of everybody who was taken off,
	// in no order.
	All(ctx context.Context) (on []Client, gone []string, err error)
	// Put puts each of the clients on file: as a new one if its Version is zero,
	// under a random id if it has none, and in the place of what is on file
	// otherwise, if that is still of this version. Who is on file just so stays
	// as it is. before is told of all the new ones at once.
	//
	// An error may leave some of it done. Doing it again, with what All says
	// then, does the rest and nothing twice. *Taken, *Invalid, ErrDeleted,
	// ErrNotFound, ErrChanged, or the error of before.
	Put(ctx context.Context, clients []Client, before Before) error
}
