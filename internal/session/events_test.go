// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/audit"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/store"
)

// toldLog is a log that keeps everything.
type toldLog struct{ whats []string }

func (l *toldLog) Append(_ context.Context, events ...audit.Event) error {
	for _, ev := range events {
		l.whats = append(l.whats, ev.Client+" "+ev.What)
	}
	return nil
}

func (l *toldLog) Pretend(context.Context) error { return nil }

// everybody finds clients, one on a page.
type everybody []string

func (e everybody) Find(_ context.Context, q directory.Query) ([]directory.Client, string, error) {
	at := slices.Index(e, q.Cursor) + 1
	next := e[at]
	if at == len(e)-1 {
		next = ""
	}
	return []directory.Client{{ID: e[at]}}, next, nil
}

// TestMoveAllPastADamagedRecord: whoever can write to the store could otherwise keep
// what happened to everybody else out of the log, by spoiling one record.
func TestMoveAllPastADamagedRecord(t *testing.T) {
	w, log := newWorld(t), new(toldLog)
	w.Keep(log)
	w.signIn(1, false)
	w.restart(time.Time{}) // it was killed before it moved them
	w.Keep(log)
	w.db.values[key(w.Tag("c-bad"))] = store.Value{Data: []byte("spoilt")}
	if err := w.MoveAll(t.Context(), everybody{"c-bad", ada, "c-none"}); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("MoveAll = %v, want it to tell of the record", err)
	}
	if want := []string{ada + " link_made", ada + " signed_in"}; !slices.Equal(log.whats, want) {
		t.Errorf("in the log are %q, want %q", log.whats, want)
	}
	r, err := access.Decode(w.db.values[key(w.Tag(ada))].Data)
	if err != nil || len(r.Events) != 0 {
		t.Errorf("%d events wait on (%v)", len(r.Events), err)
	}
}
