// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/store"
)

// Mark is a counter kept outside a store, by which a gate notices that the
// store was put back to an earlier state: what was used, ended or voided since
// would otherwise come to life again. A store and its mark restored together
// cannot be told.
type Mark interface {
	// Load returns the counter of the store with an id; 0 if there is none.
	Load(ctx context.Context, id string) (int64, error)
	Save(ctx context.Context, id string, n int64) error
}

// marked is what the store keeps of the counter.
type marked struct {
	// ID tells this store from others of the same gate, which count for
	// themselves.
	ID string `json:"i"`
	N  int64  `json:"n"`
	// Floor is when the store was last found to be an earlier one, in Unix
	// seconds: what was made before that does not count.
	Floor int64 `json:"f,omitempty"`
}

const markKey = "mark"

// mark raises the counter in the store and then outside it, so that the store
// is never behind unless it was put back. It returns the floor.
func (rt *Runtime) mark(ctx context.Context, st store.Store) (floor int64, err error) {
	if rt.o.Mark == nil {
		return 0, nil
	}
	var m marked
	read := func(old store.Value) error {
		m = marked{ID: randomID()}
		if old.Data == nil {
			return nil
		}
		return json.Unmarshal(old.Data, &m)
	}
	v, err := st.Get(ctx, markKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, fmt.Errorf("reading the store's mark: %w", err)
	}
	if err := read(v); err != nil {
		return 0, fmt.Errorf("reading the store's mark: %v", err)
	}
	id := m.ID
	outside, err := rt.o.Mark.Load(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("reading the store's mark: %v (%w)", err, store.ErrUnknown)
	}
	err = st.Update(ctx, markKey, func(now time.Time, old store.Value) (store.Value, error) {
		if err := read(old); err != nil {
			return store.Value{}, err
		}
		m.ID = id
		if m.N < outside {
			m.N, m.Floor = outside, now.Unix()
		}
		m.N++
		data, err := json.Marshal(m)
		return store.Value{Data: data}, err
	})
	if err != nil {
		return 0, fmt.Errorf("raising the store's mark: %w", err)
	}
	if err := rt.o.Mark.Save(ctx, id, m.N); err != nil {
		return 0, fmt.Errorf("raising the store's mark: %v (%w)", err, store.ErrUnknown)
	}
	return m.Floor, nil
}

// raiseMark raises the mark.
func (rt *Runtime) raiseMark(ctx context.Context, st store.Store) {
	if _, err := rt.mark(ctx, st); err != nil && ctx.Err() == nil {
		rt.conf.Load().Log.Warn("marking the store", zap.Error(err))
	}
}
